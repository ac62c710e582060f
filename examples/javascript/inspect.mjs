// The verdict of a flawmap run on PNG images: node inspect.mjs RUN/model.onnx IMAGE.png...
// One line of JSON an image: path, score, verdict, and how many map pixels are marked.

import { readFile } from "node:fs/promises";
import ort from "onnxruntime-node";
import { PNG } from "pngjs";
import { readMetadata } from "./metadata.mjs";
import { resize } from "./resize.mjs";

/** RGB pixels of an 8-bit PNG, colour or grey; alpha is dropped, as flawmap does. */
function decode(file) {
  if (file[24] !== 8) throw new Error("an 8-bit PNG is wanted");
  const { width, height, data } = PNG.sync.read(file); // RGBA, whatever the file holds
  const pixels = new Uint8Array(height * width * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    pixels[to] = data[from];
    pixels[to + 1] = data[from + 1];
    pixels[to + 2] = data[from + 2];
  }
  return { pixels, height, width };
}

function verdict(score, review, reject) {
  if (score > reject) return "reject"; // strictly above: the threshold is itself a good part's score
  return score > review ? "review" : "good";
}

const [modelPath, ...imagePaths] = process.argv.slice(2);
const model = await readFile(modelPath);
const about = readMetadata(model);
if (about.requires !== "") {
  throw new Error(`this program does not know how to apply: ${about.requires}`);
}
const [height, width] = [Number(about["input.height"]), Number(about["input.width"])];
const [review, reject, pixel] = ["review", "reject", "pixel"].map((one) =>
  Number(about[`threshold.${one}`]),
);
const session = await ort.InferenceSession.create(model);

for (const path of imagePaths) {
  const image = decode(await readFile(path));
  const pixels = resize(image.pixels, image.height, image.width, 3, height, width);
  const input = new ort.Tensor("uint8", pixels, [1, height, width, 3]);
  const found = await session.run({ [about["input.name"]]: input });
  const score = found.score.data[0];
  const marked = found.map.data.reduce((count, value) => count + (value > pixel), 0);
  console.log(JSON.stringify({ path, score, verdict: verdict(score, review, reject), marked }));
}
