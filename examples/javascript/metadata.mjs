// Flawmap's entries in the metadata of an ONNX file, which onnxruntime-node does not hand out.
// The file is one protobuf message; field 14 is an entry: its key is field 1, its value field 2.

/** Map of flawmap's entries, by keys without "flawmap."; throws where the file is damaged. */
export function readMetadata(model) {
  const found = {};
  for (const { number, value } of fields(model)) {
    if (number !== 14) continue;
    const entry = { 1: "", 2: "" };
    for (const part of fields(value)) entry[part.number] = new TextDecoder().decode(part.value);
    if (entry[1].startsWith("flawmap.")) found[entry[1].slice("flawmap.".length)] = entry[2];
  }
  if (found.format !== "1") throw new Error("not a network of this version of flawmap");
  return found;
}

/** Fields of a message that hold bytes; others are passed over. */
function* fields(bytes) {
  let at = 0;
  const whole = () => {
    let number = 0;
    for (let shift = 1; ; shift *= 128) {
      if (at >= bytes.length || shift > 2 ** 49) throw new Error("the ONNX file is damaged");
      const byte = bytes[at++];
      number += (byte & 127) * shift;
      if (byte < 128) return number;
    }
  };
  const skipVarint = () => {
    while (bytes[at++] >= 128);
  };
  while (at < bytes.length) {
    const key = whole();
    const kind = key % 8;
    if (kind === 2) {
      const length = whole();
      if (at + length > bytes.length) throw new Error("the ONNX file is damaged");
      yield { number: Math.floor(key / 8), value: bytes.subarray(at, at + length) };
      at += length;
    } else if (kind === 0) skipVarint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else throw new Error("the ONNX file is damaged");
  }
}
