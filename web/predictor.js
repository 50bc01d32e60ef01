// An exported file as it predicts: deploy/predictors.py in JavaScript.

import { classMask, classScores, decodeBoxes, detect } from './decoding.js';
import { readDescription } from './metadata.js';
import { resize, roundToEven } from './resize.js';

const RUNTIMES = { '.tflite': './runtime_litert.js', '.onnx': './runtime_onnx.js' };
const YXHW = [1, 0, 3, 2]; // MediaPipe's order y, x, height, width among our x, y, width, height; of corners likewise

/** Open a file's bytes. Throws ModelError, naming the file, if it is no model that this page can run. */
export async function openModel(bytes, name) {
  const description = await readDescription(bytes, name);
  const { open } = await import(RUNTIMES[description.suffix]);
  return new Predictor(name, description, await open(bytes, name));
}

class Predictor {
  /** `model` runs an image [1, H, W, 3], uint8 or float32, into {name: {data, shape}}. */
  constructor(file, description, model) {
    this.file = file;
    this.description = description;
    this.model = model;
    this.task = description.task;
    this.names = description.spec.names;
    this.colours = description.spec.colours;
    this.boxNames = description.spec.box_names ?? this.names; // a joint network has a list for each
    this.boxColours = description.spec.box_colours ?? this.colours;
    this.anchors = Float32Array.from((description.anchors ?? []).flat());
  }

  /**
   * What the network sees in an image, RGBA {data, width, height}: {mask} uint8 [height, width],
   * {boxes, scores, labels} in the image's pixels, both of these, or {probabilities}; with {ms} of preparing, network and decoding.
   */
  async predict(image, scoreThreshold = 0.001) {
    const start = performance.now();
    const { size, input, task } = this.description;
    const window = task === 'classification' ? centreCrop(image, size, this.description.spec.crop_ratio) : undefined;
    const pixels = resize(image, size, window);
    const given = input === 'uint8' ? pixels : Float32Array.from(pixels);
    const prepared = performance.now();
    const found = await this.model.run(given, [1, ...size, 3]);
    const ran = performance.now();
    const result = this[task](found, image, scoreThreshold);
    const ms = { prepare: prepared - start, network: ran - prepared, decode: performance.now() - ran };
    return { ...result, ms };
  }

  close() {
    this.model.close();
  }

  classification({ probabilities }) {
    return { probabilities: probabilities.data };
  }

  segmentation({ logits, mask }, { width, height }) {
    if (logits) return { mask: classMask(logits.data, logits.shape.slice(1), [height, width]) };
    return { mask: nearest(mask.data, mask.shape.slice(1), [height, width]) };
  }

  detection(found, { width, height }, scoreThreshold) {
    const named = found.location ? ownOutputs(found) : found;
    const sides = [width, height, width, height];
    const { boxes, ...rest } = named.classes ? suppressed(named, scoreThreshold) : this.suppress(named, scoreThreshold);
    return { boxes: boxes.map((share, i) => share * sides[i % 4]), ...rest };
  }

  joint({ mask_logits: logits, mask, ...found }, image, scoreThreshold) {
    return { ...this.segmentation({ logits, mask }, image), ...this.detection(found, image, scoreThreshold) };
  }

  suppress({ boxes, scores, offsets, logits }, scoreThreshold) {
    const corners = boxes?.data ?? decodeBoxes(offsets.data, this.anchors);
    const shares = scores?.data ?? classScores(logits.data, logits.shape.at(-1), this.description.spec.sigmoid);
    return detect(corners, shares, { scoreThreshold });
  }
}

/** Detections of a file that suppresses boxes itself: those above the threshold. */
function suppressed({ boxes, scores, classes, count }, scoreThreshold) {
  const all = Array.from(scores.data.subarray(0, Number(count.data[0])));
  const kept = all.filter((score) => score > scoreThreshold).length;
  return {
    boxes: boxes.data.slice(0, 4 * kept),
    scores: scores.data.slice(0, kept),
    labels: Int32Array.from(classes.data.subarray(0, kept), Number),
  };
}

/** Outputs of a detector for MediaPipe in the names and order of the others, as deploy/mediapipe_outputs.py does it. */
function ownOutputs({ location, category, score, count }) {
  const data = location.data.map((_, i) => location.data[i - (i % 4) + YXHW[i % 4]]);
  if (!count) return { offsets: { data }, scores: score };
  return { boxes: { data: data.map((share) => Math.min(Math.max(share, 0), 1)) }, classes: category, scores: score, count };
}

/** The window of datasets.CentreCrop: the middle of an image, [left, top, width, height]. */
function centreCrop(image, [height, width], ratio) {
  const scale = ratio * Math.min(image.height / height, image.width / width);
  const [rows, columns] = [height, width].map((side) => Math.max(1, roundToEven(side * scale)));
  return [Math.floor((image.width - columns) / 2), Math.floor((image.height - rows) / 2), columns, rows];
}

/** A mask stretched to an image's size, each pixel that of the cell that its centre lies in. */
function nearest(mask, [h, w], [height, width]) {
  if (h === height && w === width) return mask;
  const out = new mask.constructor(height * width);
  const columns = Int32Array.from({ length: width }, (_, x) => Math.floor(((x + 0.5) * w) / width));
  for (let y = 0, at = 0; y < height; y++) {
    const row = w * Math.floor(((y + 0.5) * h) / height);
    for (let x = 0; x < width; x++, at++) out[at] = mask[row + columns[x]];
  }
  return out;
}
