// Results on the screen: a mask's colours or boxes with names, on a canvas over the picture.

const BACKGROUND = /^_*background_*$/i; // a class of this name stays unpainted, as in tasks/drawing.py
const VOID = 255;

/** A mask's colours, on a canvas of the mask's size; what is background or void stays clear. */
export function drawMask(canvas, mask, width, height, names, colours) {
  const palette = new Uint32Array(65536);
  const bytes = new Uint8Array(palette.buffer);
  colours.forEach((colour, index) => bytes.set([...colour, BACKGROUND.test(names[index]) ? 0 : 255], 4 * index));
  if (names.length <= VOID) palette[VOID] = 0;
  const pixels = new Uint32Array(width * height);
  for (let i = 0; i < pixels.length; i++) pixels[i] = palette[mask[i]];
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext('2d').putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
}

/**
 * Boxes with names, at the screen's resolution whatever the picture's; the surest lies on top.
 * boxes [n, 4] are corners in pixels of a picture of width and height, which the canvas shows whole in its middle.
 */
export function drawBoxes(canvas, { boxes, scores, labels }, width, height, names, colours, mirrored = false) {
  const density = globalThis.devicePixelRatio;
  const [across, down] = [canvas.clientWidth, canvas.clientHeight];
  [canvas.width, canvas.height] = [Math.round(across * density), Math.round(down * density)];
  const context = canvas.getContext('2d');
  const scale = Math.min(across / width, down / height);
  const [left, top] = [(across - width * scale) / 2, (down - height * scale) / 2];
  context.scale(density, density);
  context.font = '600 13px system-ui, sans-serif';
  context.textBaseline = 'middle';
  const places = Array.from(scores, (_, i) => {
    const [x1, y1, x2, y2] = boxes.subarray(4 * i, 4 * i + 4);
    return [left + (mirrored ? width - x2 : x1) * scale, top + y1 * scale, (x2 - x1) * scale, (y2 - y1) * scale];
  });
  for (let i = scores.length - 1; i >= 0; i--) drawBox(context, places[i], colours[labels[i]]);
  for (let i = scores.length - 1; i >= 0; i--) {
    drawName(context, places[i], `${names[labels[i]]} ${Math.round(100 * scores[i])}`, colours[labels[i]], across);
  }
}

function drawBox(context, [x, y, width, height], colour) {
  context.strokeStyle = `rgb(${colour.join(' ')})`;
  context.lineWidth = 2.5;
  context.beginPath();
  context.roundRect(x, y, width, height, Math.min(6, width / 4, height / 4));
  context.stroke();
}

function drawName(context, [x, y], text, colour, across) {
  const plate = context.measureText(text).width + 12;
  const start = Math.max(0, Math.min(x - 1.25, across - plate));
  const above = y >= 22 ? y - 22 : y + 1.25; // inside where there is no room above
  context.fillStyle = `rgb(${colour.join(' ')})`;
  context.beginPath();
  context.roundRect(start, above, plate, 21, 6);
  context.fill();
  const light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140;
  context.fillStyle = light ? '#000' : '#fff';
  context.fillText(text, start + 6, above + 11);
}

/** What a legend says of a result: [{index, text, share}], the most important first. */
export function summarise(result, names) {
  if (result.mask) return ofMask(result.mask, names);
  if (result.scores) return ofBoxes(result.labels);
  return Array.from(result.probabilities, (share, index) => ({ index, share, text: percent(share) }))
    .sort((a, b) => b.share - a.share)
    .slice(0, 5);
}

function ofMask(mask, names) {
  const counts = new Uint32Array(65536);
  for (let i = 0; i < mask.length; i++) counts[mask[i]]++;
  return names
    .map((_, index) => ({ index, share: counts[index] / mask.length, text: percent(counts[index] / mask.length) }))
    .filter(({ share, index }) => share >= 0.001 && !BACKGROUND.test(names[index]))
    .sort((a, b) => b.share - a.share);
}

function ofBoxes(labels) {
  const counts = new Map();
  for (const index of labels) counts.set(index, (counts.get(index) ?? 0) + 1);
  return [...counts]
    .map(([index, count]) => ({ index, share: count, text: `×${count}` }))
    .sort((a, b) => b.share - a.share);
}

function percent(share) {
  return share > 0 && share < 0.01 ? '<1 %' : `${Math.round(100 * share)} %`;
}
