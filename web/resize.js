// An image as networks take it. Canvases scale by other rules than OpenCV, by which networks are trained, so that this
// repeats datasets.resize_image: averaging where an image shrinks, linear otherwise. Tests hold it to OpenCV's.

/**
 * A window of an image, stretched to a size.
 * pixels is RGBA, uint8 [height, width, 4] of `image` = {data, width, height}; window is [left, top, width, height], by
 * default all of it. Returns RGB, uint8 [size[0], size[1], 3].
 */
export function resize(image, [height, width], window = [0, 0, image.width, image.height]) {
  const [left, top, columns, rows] = window;
  const area = rows >= height && columns >= width;
  const across = (area ? areaTaps : linearTaps)(columns, width);
  const down = (area ? areaTaps : linearTaps)(rows, height);
  const factor = Math.fround((height * width) / (rows * columns)); // of an area, so that sums over whole pixels are exact
  const out = new Uint8Array(height * width * 3);
  const sums = new Float32Array(width * 3);
  const lines = new Map(); // rows resized along x, as long as they are needed
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (const row of lines.keys()) if (row < down.start[y]) lines.delete(row);
    for (let tap = down.first[y], row = down.start[y]; tap < down.first[y + 1]; tap++, row++) {
      if (!lines.has(row)) lines.set(row, resizeRow(image, top + row, left, across, width));
      const [line, weight] = [lines.get(row), down.weights[tap]];
      if (area) for (let i = 0; i < sums.length; i++) sums[i] += line[i] * weight;
      else for (let i = 0; i < sums.length; i++) sums[i] += (weight * (line[i] >> 4)) >> 16; // OpenCV's own rounding
    }
    const at = y * sums.length;
    if (area) for (let i = 0; i < sums.length; i++) out[at + i] = roundToEven(Math.fround(sums[i] * factor));
    else for (let i = 0; i < sums.length; i++) out[at + i] = (sums[i] + 2) >> 2;
  }
  return out;
}

/** One row along x: float32 [width, 3]. */
function resizeRow({ data, width: stride }, row, left, across, width) {
  const line = new Float32Array(width * 3);
  for (let x = 0; x < width; x++) {
    let at = 4 * (row * stride + left + across.start[x]);
    let [red, green, blue] = [0, 0, 0];
    for (let tap = across.first[x]; tap < across.first[x + 1]; tap++, at += 4) {
      const weight = across.weights[tap];
      red += data[at] * weight;
      green += data[at + 1] * weight;
      blue += data[at + 2] * weight;
    }
    line[3 * x] = red;
    line[3 * x + 1] = green;
    line[3 * x + 2] = blue;
  }
  return line;
}

export function roundToEven(value) {
  const low = Math.floor(value + 0.5);
  return value + 0.5 === low && low % 2 ? low - 1 : low;
}

/** What each of `to` pixels takes of `from`: the first pixel, and weights[first[i]] to weights[first[i + 1] - 1]. */
function taps(to, weigh) {
  const start = new Int32Array(to);
  const first = new Int32Array(to + 1);
  const weights = [];
  for (let i = 0; i < to; i++) {
    const [begin, shares] = weigh(i);
    start[i] = begin;
    weights.push(...shares);
    first[i + 1] = weights.length;
  }
  return { start, first, weights: Float32Array.from(weights) };
}

/** Each source pixel by the share of it that the target pixel covers. */
function areaTaps(from, to) {
  const scale = from / to;
  return taps(to, (i) => {
    const [low, high] = [i * scale, Math.min((i + 1) * scale, from)];
    const begin = Math.floor(low + 1e-6); // lest rounding add a sliver of a pixel
    const end = Math.max(Math.ceil(high - 1e-6), begin + 1);
    const shares = [];
    for (let x = begin; x < end; x++) shares.push(Math.min(x + 1, high) - Math.max(x, low));
    return [begin, shares];
  });
}

/** Two source pixels by their distance, pixel centres aligned; weights are whole numbers of 1 / 2048. */
function linearTaps(from, to) {
  return taps(to, (i) => {
    const place = Math.min(Math.max(Math.fround((i + 0.5) * (from / to) - 0.5), 0), from - 1);
    const begin = Math.min(Math.floor(place), Math.max(from - 2, 0));
    const share = place - begin;
    return [begin, from === 1 ? [2048] : [roundToEven((1 - share) * 2048), roundToEven(share * 2048)]];
  });
}
