// Resizing as Pillow does it (BILINEAR, antialiased), to the bit.

namespace Flawmap;

public static class PillowResize
{
    private const int Bits = 22; // of a weight in fixed point: 32 less 8 of a pixel and 2 to spare

    /// <summary>
    /// Pixels of an image scaled along rows first, then along columns; the result is rounded to 8
    /// bits in between, and a direction that stays as long is left alone.
    /// </summary>
    /// <param name="pixels">height * width * channels bytes, by rows.</param>
    public static byte[] Resize(
        byte[] pixels, int height, int width, int channels, int newHeight, int newWidth)
    {
        byte[] across =
            width == newWidth ? pixels : Along(pixels, height, width, newWidth, channels);
        // Columns: one position is a whole row of newWidth * channels bytes.
        return height == newHeight
            ? across
            : Along(across, 1, height, newHeight, newWidth * channels);
    }

    /// <summary>Scale <c>length</c> positions of <c>values</c> bytes each, in each row.</summary>
    private static byte[] Along(byte[] pixels, int count, int length, int newLength, int values)
    {
        (int First, int[] Shares)[] weights = Triangles(length, newLength);
        var found = new byte[(long)count * newLength * values];
        for (int row = 0; row < count; row++)
        {
            for (int to = 0; to < newLength; to++)
            {
                (int first, int[] shares) = weights[to];
                long from = ((long)row * length + first) * values;
                long into = ((long)row * newLength + to) * values;
                for (int value = 0; value < values; value++)
                {
                    int sum = 1 << (Bits - 1); // so that the shift rounds
                    for (int i = 0; i < shares.Length; i++)
                        sum += pixels[from + (long)i * values + value] * shares[i];
                    found[into + value] = (byte)Math.Min(255, sum >> Bits);
                }
            }
        }
        return found;
    }

    /// <summary>Of each new position: the first old one that it reads, and their weights.</summary>
    private static (int, int[])[] Triangles(int length, int newLength)
    {
        double scale = (double)length / newLength;
        double support = Math.Max(scale, 1.0); // half the triangle: wider where it shrinks
        var found = new (int, int[])[newLength];
        for (int to = 0; to < newLength; to++)
        {
            double centre = (to + 0.5) * scale;
            int first = Math.Max(0, (int)(centre - support + 0.5));
            int last = Math.Min(length, (int)(centre + support + 0.5));
            var heights = new double[last - first];
            double sum = 0.0;
            for (int i = 0; i < heights.Length; i++)
            {
                double away = Math.Abs((i + first - centre + 0.5) * (1.0 / support));
                heights[i] = Math.Max(0.0, 1.0 - away);
                sum += heights[i];
            }
            found[to] = (first, Array.ConvertAll(heights, x => (int)(0.5 + x / sum * (1 << Bits))));
        }
        return found;
    }
}
