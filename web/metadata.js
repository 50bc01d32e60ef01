// What a file says of itself: the description that tools/export.py wrote into it, and whether the file is whole.

const ENTRY = 'mobiledense'; // the name of our description
const FORMAT = 1; // of descriptions, the latest that is known here
// sets of outputs that predictor.js makes something of
const OUTPUTS = {
  classification: ['probabilities'],
  segmentation: ['logits', 'mask'],
  detection: ['boxes,scores', 'offsets,logits', 'location,category,score,count', 'location,score'],
  joint: ['mask_logits,boxes,scores', 'mask,boxes,scores', 'mask_logits,offsets,logits'],
};

/** A fault of the user's file, told on the page as it is. */
export class ModelError extends Error {}

/**
 * The description inside a .tflite or .onnx file, as deploy/description.py has it, with `suffix`.
 * Throws ModelError, naming the file, if it is none of ours, of another kind, or changed since it was written.
 */
export async function readDescription(bytes, name) {
  const suffix = isTflite(bytes) ? '.tflite' : '.onnx';
  if (suffix === '.onnx' && /\.tflite$/i.test(name)) throw new ModelError(`${name} is no .tflite file, or a damaged one.`);
  let range;
  try {
    range = suffix === '.tflite' ? findInTflite(bytes) : findInOnnx(bytes);
  } catch {
    const what = suffix === '.tflite' ? 'a damaged .tflite file' : 'neither a .tflite nor an .onnx file, or a damaged one';
    throw new ModelError(`${name} is ${what}.`);
  }
  if (!range) throw new ModelError(`${name} lacks the entry "${ENTRY}" in its metadata: MobileDense did not export it.`);
  const description = parse(bytes.subarray(...range), name);
  await requireWhole(bytes, range, name);
  return { ...description, suffix };
}

function parse(text, name) {
  let found;
  try {
    found = JSON.parse(new TextDecoder().decode(text));
  } catch {
    throw new ModelError(`${name} has a description that cannot be read. Export it again.`);
  }
  if (!(typeof found.format === 'number' && found.format <= FORMAT)) {
    throw new ModelError(`${name} is of format ${found.format}, and this page reads up to ${FORMAT}. Reload or update it.`);
  }
  const lacking = ['task', 'spec', 'output_kind', 'outputs', 'size', 'input'].filter((key) => !(key in found));
  if (lacking.length) throw new ModelError(`${name} lacks ${lacking.join(', ')} in its description. Export it again.`);
  if (!OUTPUTS[found.task]?.includes(String(found.outputs))) {
    throw new ModelError(`${name} has outputs that this page cannot draw (${found.task}: ${found.outputs}).`);
  }
  return found;
}

/** Compare the file's SHA-256 with the one in it, which was computed with zeros in its place. */
async function requireWhole(bytes, [start, stop], name) {
  if (!globalThis.crypto?.subtle) return; // browsers have it at https addresses and on localhost alone
  const text = new TextDecoder('latin1').decode(bytes.subarray(start, stop));
  const found = /"sha256": "([0-9a-f]{64})"/.exec(text);
  if (!found) throw new ModelError(`${name} has no checksum. Export it again.`);
  const blank = bytes.slice();
  const place = start + found.index + '"sha256": "'.length;
  blank.fill('0'.charCodeAt(0), place, place + 64);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', blank));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  if (hex !== found[1]) throw new ModelError(`${name} was changed or damaged since it was exported. Export it again.`);
}

function isTflite(bytes) {
  return new TextDecoder('latin1').decode(bytes.subarray(4, 8)) === 'TFL3';
}

/** [start, stop] of the description in a .tflite, a flatbuffer: the buffer that Model.metadata names; or undefined. */
function findInTflite(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const follow = (at) => at + view.getUint32(at, true);
  /** Where the field of a table is, by its place in the schema; 0 if it is absent. */
  const field = (table, id) => {
    const layout = table - view.getInt32(table, true);
    const slot = 4 + 2 * id;
    const offset = slot < view.getUint16(layout, true) ? view.getUint16(layout + slot, true) : 0;
    return offset && table + offset;
  };
  /** Start and length of a vector or string. */
  const vector = (at) => [follow(at) + 4, view.getUint32(follow(at), true)];
  const tables = (at) => {
    if (!at) return [];
    const [start, length] = vector(at);
    if (start + 4 * length > bytes.length) throw new RangeError();
    return Array.from({ length }, (_, i) => follow(start + 4 * i));
  };
  const model = follow(0);
  const buffers = tables(field(model, 4));
  for (const entry of tables(field(model, 6))) {
    const [start, length] = vector(field(entry, 0));
    if (new TextDecoder().decode(bytes.subarray(start, start + length)) !== ENTRY) continue;
    const index = field(entry, 1) ? view.getUint32(field(entry, 1), true) : 0;
    const [from, size] = vector(field(buffers[index], 0));
    if (from + size > bytes.length) throw new RangeError();
    return [from, from + size];
  }
  return undefined;
}

/** [start, stop] of the description in an .onnx, a protobuf: a pair (1, 2) in field 14, metadata_props; or undefined. */
function findInOnnx(bytes) {
  let found;
  for (const prop of fields(bytes, 0, bytes.length)) {
    if (prop.id !== 14) continue;
    const pair = Object.fromEntries(fields(bytes, prop.start, prop.stop).map((part) => [part.id, part]));
    const key = new TextDecoder().decode(bytes.subarray(pair[1]?.start, pair[1]?.stop));
    if (key === ENTRY && pair[2]) found = [pair[2].start, pair[2].stop];
  }
  return found;
}

/** The fields of a protobuf message between two places: {id, start, stop} of each one's content. */
function fields(bytes, start, stop) {
  const found = [];
  let at = start;
  const varint = () => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      if (at >= stop || scale > 2 ** 63) throw new RangeError();
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < stop) {
    const tag = varint();
    const type = tag % 8;
    if (type === 0) varint();
    const length = { 0: 0, 1: 8, 5: 4 }[type] ?? (type === 2 ? varint() : NaN);
    if (!(at + length <= stop) || tag < 8) throw new RangeError();
    found.push({ id: Math.floor(tag / 8), start: at, stop: at + length });
    at += length;
  }
  return found;
}
