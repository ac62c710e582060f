// Resizing as Pillow does it (BILINEAR, antialiased), to the bit.

const BITS = 22; // of a weight in fixed point: 32 less 8 of a pixel and 2 to spare
const ONE = 2 ** BITS;

/**
 * Pixels of a scaled image.
 * pixels: Uint8Array of height * width * channels, by rows. Along rows first, then along columns,
 * with the result rounded to 8 bits in between; a direction that stays as long is left alone.
 */
export function resize(pixels, height, width, channels, newHeight, newWidth) {
  const across = width === newWidth ? pixels : along(pixels, height, width, newWidth, channels);
  if (height === newHeight) return across;
  // Columns: each row is one position, whose pixels are newWidth * channels values.
  return along(across, 1, height, newHeight, newWidth * channels);
}

/** Scale `length` positions of `values` numbers each to `newLength`, in each of `count` rows. */
function along(pixels, count, length, newLength, values) {
  const weights = triangles(length, newLength);
  const found = new Uint8Array(count * newLength * values);
  for (let row = 0; row < count; row++) {
    for (let to = 0; to < newLength; to++) {
      const { first, shares } = weights[to];
      const begin = (row * length + first) * values;
      const end = (row * newLength + to) * values;
      for (let value = 0; value < values; value++) {
        let sum = ONE / 2; // so that the shift rounds
        for (let i = 0; i < shares.length; i++) sum += pixels[begin + i * values + value] * shares[i];
        found[end + value] = Math.min(255, sum >> BITS);
      }
    }
  }
  return found;
}

/** Of each new position: the first old one that it reads, and their weights in fixed point. */
function triangles(length, newLength) {
  const scale = length / newLength;
  const support = Math.max(scale, 1); // half the triangle's width: wider where it shrinks
  return Array.from({ length: newLength }, (_, to) => {
    const centre = (to + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(length, Math.trunc(centre + support + 0.5));
    const heights = [];
    for (let at = first; at < last; at++) {
      heights.push(Math.max(0, 1 - Math.abs((at - centre + 0.5) * (1 / support))));
    }
    const sum = heights.reduce((a, b) => a + b, 0);
    return { first, shares: heights.map((one) => Math.trunc(0.5 + (one / sum) * ONE)) };
  });
}
