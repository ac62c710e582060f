// The verdict of a flawmap run on PNG images: dotnet run -- RUN/model.onnx IMAGE.png...

using System.Globalization;
using Flawmap;
using Microsoft.ML.OnnxRuntime;
using StbImageSharp;

const string Prefix = "flawmap.";

using var session = new InferenceSession(args[0]);
Dictionary<string, string> about = session.ModelMetadata.CustomMetadataMap
    .Where(entry => entry.Key.StartsWith(Prefix, StringComparison.Ordinal))
    .ToDictionary(entry => entry.Key[Prefix.Length..], entry => entry.Value);
if (!about.TryGetValue("format", out string? format) || format != "1")
    throw new InvalidDataException("not a network of this version of flawmap");
if (about["requires"] != "")
    throw new NotSupportedException(
        $"this program does not know how to apply: {about["requires"]}");

int height = int.Parse(about["input.height"], CultureInfo.InvariantCulture);
int width = int.Parse(about["input.width"], CultureInfo.InvariantCulture);
double review = double.Parse(about["threshold.review"], CultureInfo.InvariantCulture);
double reject = double.Parse(about["threshold.reject"], CultureInfo.InvariantCulture);
long[] shape = [1, height, width, 3];
string[] outputs = ["map", "score"];

foreach (string path in args.Skip(1))
{
    byte[] file = File.ReadAllBytes(path);
    if (file.Length < 26 || file[24] != 8)
        throw new InvalidDataException($"{path}: an 8-bit PNG is wanted");
    // Grey becomes RGB, alpha is dropped and colours are not converted, as in flawmap.
    ImageResult image = ImageResult.FromMemory(file, ColorComponents.RedGreenBlue);
    byte[] pixels =
        PillowResize.Resize(image.Data, image.Height, image.Width, 3, height, width);

    using OrtValue input = OrtValue.CreateTensorValueFromMemory(pixels, shape);
    using var options = new RunOptions();
    var inputs = new Dictionary<string, OrtValue> { [about["input.name"]] = input };
    using IDisposableReadOnlyCollection<OrtValue> found = session.Run(options, inputs, outputs);
    double score = found[1].GetTensorDataAsSpan<float>()[0];
    // Strictly above: the threshold is itself the score of a good part.
    string verdict = score > reject ? "reject" : score > review ? "review" : "good";
    Console.WriteLine(FormattableString.Invariant($"{verdict}\t{score:G9}\t{path}"));
}
