// From the raw outputs of a network to its results: deploy/numpy_decoding.py in JavaScript, function by function.
// Matrices are flat typed arrays, row by row; the tests hold each function to NumPy's.

const CODING = [10, 10, 5, 5]; // offsets are multiplied by these
const LARGEST_GROWTH = Math.log(1000 / 16); // of an anchor's side

/** Probabilities along the last axis: float32 [rows, columns]. */
export function softmax(logits, columns) {
  const out = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += columns) {
    let most = -Infinity;
    for (let i = start; i < start + columns; i++) most = Math.max(most, logits[i]);
    let sum = 0;
    for (let i = start; i < start + columns; i++) sum += out[i] = Math.exp(logits[i] - most);
    for (let i = start; i < start + columns; i++) out[i] /= sum;
  }
  return out;
}

/** Logits [A, K + 1], background first -> scores [A, K]: softmax, or sigmoid for networks trained by focal loss. */
export function classScores(logits, columns, sigmoid = false) {
  const all = sigmoid ? logits.map((logit) => 1 / (1 + Math.exp(-logit))) : softmax(logits, columns);
  const classes = columns - 1;
  const scores = new Float32Array((all.length / columns) * classes);
  for (let from = 1, to = 0; to < scores.length; from += columns, to += classes) {
    scores.set(all.subarray(from, from + classes), to);
  }
  return scores;
}

/**
 * Boxes [A, 4], corners x1, y1, x2, y2 in shares of the image's sides, clipped to it.
 * Offsets [A, 4] are those of the centre in units of the anchor's sides, and logarithms of the ratio of sides, times
 * CODING; anchors [A, 4] are centre x, centre y, width and height in shares of the image's sides.
 */
export function decodeBoxes(offsets, anchors) {
  const boxes = new Float32Array(offsets.length);
  for (let i = 0; i < boxes.length; i += 4) {
    for (let axis = 0; axis < 2; axis++) {
      const side = anchors[i + axis + 2];
      const centre = (offsets[i + axis] / CODING[axis]) * side + anchors[i + axis];
      const half = (Math.exp(Math.min(offsets[i + axis + 2] / CODING[axis + 2], LARGEST_GROWTH)) * side) / 2;
      boxes[i + axis] = Math.min(Math.max(centre - half, 0), 1);
      boxes[i + axis + 2] = Math.min(Math.max(centre + half, 0), 1);
    }
  }
  return boxes;
}

/**
 * Score threshold, the best candidates of each class, and non-maximum suppression within each class.
 * Boxes are [A, 4], corners, and scores [A, K], without background. A box is dropped if its intersection over union with
 * a better one of its class is above iouThreshold. Returns {boxes [n, 4], scores [n], falling, labels [n]}.
 */
export function detect(boxes, scores, options = {}) {
  const { scoreThreshold = 0.001, iouThreshold = 0.55, maxDetections = 300, topkPerClass = 300 } = options;
  const classes = scores.length / (boxes.length / 4);
  const candidates = [];
  for (let i = 0; i < scores.length; i++) if (scores[i] > scoreThreshold) candidates.push(i);
  candidates.sort((a, b) => scores[b] - scores[a] || a - b); // of equal scores, the first one
  const seen = new Uint32Array(classes);
  const kept = Array.from({ length: classes }, () => []); // anchors, by class
  const found = [];
  for (const candidate of candidates) {
    if (found.length === maxDetections) break;
    const label = candidate % classes;
    const anchor = (candidate - label) / classes;
    if (seen[label]++ >= topkPerClass || kept[label].some((other) => overlaps(boxes, anchor, other, iouThreshold))) {
      continue;
    }
    kept[label].push(anchor);
    found.push({ anchor, label, score: scores[candidate] });
  }
  return {
    boxes: Float32Array.from(found.flatMap(({ anchor }) => [...boxes.subarray(4 * anchor, 4 * anchor + 4)])),
    scores: Float32Array.from(found, ({ score }) => score),
    labels: Int32Array.from(found, ({ label }) => label),
  };
}

function overlaps(boxes, one, other, iouThreshold) {
  const [a, b] = [4 * one, 4 * other];
  const width = Math.min(boxes[a + 2], boxes[b + 2]) - Math.max(boxes[a], boxes[b]);
  const height = Math.min(boxes[a + 3], boxes[b + 3]) - Math.max(boxes[a + 1], boxes[b + 1]);
  const intersection = Math.max(width, 0) * Math.max(height, 0);
  const union = area(boxes, a) + area(boxes, b) - intersection;
  return intersection > iouThreshold * union;
}

function area(boxes, at) {
  return (boxes[at + 2] - boxes[at]) * (boxes[at + 3] - boxes[at + 1]);
}

/**
 * The class of every pixel of an image, uint8 [height, width] (uint16 for more than 256 classes), from logits [h, w, K].
 * Logits are resized bilinearly, pixel centres aligned, and the largest one wins. A resized value is a mean of the four
 * cells around it, so that where one class is the largest in all four it is the largest between them: only the other
 * pixels are computed.
 */
export function classMask(logits, [h, w, classes], [height, width]) {
  const coarse = argMax(logits, classes);
  const mask = new coarse.constructor(height * width);
  const rows = neighbours(h, height);
  const columns = neighbours(w, width);
  for (let y = 0, at = 0; y < height; y++) {
    const [top, bottom, down] = [rows.before[y] * w, rows.behind[y] * w, rows.share[y]];
    for (let x = 0; x < width; x++, at++) {
      const left = columns.before[x];
      const right = columns.behind[x];
      const first = coarse[top + left];
      const alike = first === coarse[top + right] && first === coarse[bottom + left] && first === coarse[bottom + right];
      mask[at] = alike ? first : between(top + left, top + right, bottom + left, bottom + right, columns.share[x], down);
    }
  }
  return mask;

  /** The class between four cells: above left and right, below left and right. */
  function between(a, b, c, d, across, down) {
    let most = -Infinity;
    let best = 0;
    for (let k = 0; k < classes; k++) {
      const above = logits[a * classes + k] * (1 - across) + logits[b * classes + k] * across;
      const below = logits[c * classes + k] * (1 - across) + logits[d * classes + k] * across;
      const value = above * (1 - down) + below * down;
      if (value > most) [most, best] = [value, k];
    }
    return best;
  }
}

function argMax(values, classes) {
  const best = new (classes <= 256 ? Uint8Array : Uint16Array)(values.length / classes);
  for (let cell = 0, start = 0; cell < best.length; cell++, start += classes) {
    let most = 0;
    for (let k = 1; k < classes; k++) if (values[start + k] > values[start + most]) most = k;
    best[cell] = most;
  }
  return best;
}

/** For every pixel along a side: the cells before and behind its centre, and the share of the latter. */
function neighbours(cells, pixels) {
  const before = new Int32Array(pixels);
  const behind = new Int32Array(pixels);
  const share = new Float32Array(pixels);
  const ratio = Math.fround(cells / pixels);
  for (let i = 0; i < pixels; i++) {
    const place = Math.max(Math.fround(Math.fround((i + 0.5) * ratio) - 0.5), 0); // as float32 rounds
    before[i] = Math.min(Math.floor(place), cells - 1);
    behind[i] = Math.min(before[i] + 1, cells - 1);
    share[i] = place - before[i];
  }
  return { before, behind, share };
}
