// The page: which model, which source, and what is on the screen. The work is done in the modules that this one imports.

import { drawBoxes, drawMask, summarise } from './draw.js';
import { ModelError } from './metadata.js';
import { openModel } from './predictor.js';
import { openCamera, openVideo, readImage, SourceError } from './sources.js';

const $ = (id) => document.getElementById(id);

const SETTING = { segmentation: 'segmentation', detection: 'detection', joint: 'detection' }; // what a slider sets

/** All that changes; tests read it. */
export const state = {
  predictor: null,
  frames: null, // of the video or camera that plays
  image: null, // the pixels that are shown
  result: null, // and what the network saw in them
  mirrored: false, // as people expect of a camera that looks at them
  facing: 'environment',
  settings: { segmentation: 55, detection: 50 }, // opacity, and least score, in percent
  times: [], // when the last frames were done
};

let turn = Promise.resolve();

/** Do one thing after the other: a network runs one image at a time, and is not closed while it does. */
function inTurn(work) {
  turn = turn.then(work).catch(tell);
  return turn;
}

function tell(error) {
  const expected = error instanceof ModelError || error instanceof SourceError;
  if (!expected) console.error(error);
  $('error').firstChild.textContent = expected ? error.message : `Something failed: ${error?.message ?? error}`;
  $('error').hidden = false;
}

async function busy(text, work) {
  $('error').hidden = true;
  $('busy').lastChild.textContent = text;
  $('busy').hidden = false;
  await new Promise((resolve) => setTimeout(resolve, 30)); // to be seen before the work begins
  try {
    return await work();
  } finally {
    $('busy').hidden = true;
  }
}

// Models

async function useModel(name, read) {
  $('sheet').close();
  await inTurn(() => busy(`Loading ${name} …`, async () => {
    const predictor = await openModel(new Uint8Array(await read()), name);
    state.predictor?.close();
    state.settings.detection = startingScore(predictor) ?? state.settings.detection;
    Object.assign(state, { predictor, result: null, times: [] });
    $('model-name').textContent = name.replace(/\.(tflite|onnx)$/i, '');
    describe(predictor);
    if (state.image && !state.frames) await show(state.image);
  }));
}

/** The score that validation chose for a detector, in percent. */
function startingScore({ description }) {
  const threshold = description.spec.score_threshold;
  return threshold == null ? undefined : Math.round(100 * threshold);
}

async function download(path, file) {
  const response = await fetch(path).catch(() => undefined);
  if (!response?.ok) throw new ModelError(`${file} cannot be loaded. Are you offline?`);
  return response.arrayBuffer();
}

function describe({ file, description, task, names }) {
  const { size, suffix, precision, output_kind: kind, scores, license } = description;
  const rows = {
    File: file,
    Task: `${task}, ${names.length} classes`,
    Image: `${size[1]} × ${size[0]} pixels`,
    Numbers: `${precision}, ${kind}, by ${suffix === '.onnx' ? 'ONNX Runtime' : 'LiteRT.js'}`,
    Scores: Object.entries(scores ?? {}).map(([key, value]) => `${key} ${value}`).join(', '),
    Licence: license,
  };
  $('about').replaceChildren(...Object.entries(rows).filter(([, text]) => text).flatMap(([key, text]) => {
    return [make('dt', key), make('dd', text)];
  }));
  for (const button of $('models').children) button.ariaPressed = String(button.dataset.file === file);
  const label = { segmentation: 'Opacity', detection: 'Score above' }[SETTING[task]];
  $('setting').hidden = !label;
  $('setting').firstChild.textContent = label;
  $('setting').querySelector('input').value = state.settings[SETTING[task]] ?? '';
  showSetting();
}

function offer(models) {
  $('models').replaceChildren(...models.map(({ name, file, path, bytes }) => {
    const button = make('button', name);
    button.append(make('small', `${file.split('.').at(-1)}, ${(bytes / 1e6).toFixed(1)} MB`));
    button.dataset.file = file;
    button.onclick = () => useModel(file, () => download(path, file));
    return button;
  }));
}

function make(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

// Sources

function stop() {
  state.frames?.close();
  state.frames = null;
  Object.assign(state, { mirrored: false, times: [] });
  $('camera').ariaPressed = 'false';
  $('camera').lastChild.textContent = 'Camera';
  $('flip').hidden = true;
}

async function useImage(file) {
  stop();
  await inTurn(() => busy('Looking …', async () => show(await readImage(file))));
}

async function useFrames(text, open) {
  stop();
  let frames;
  await inTurn(() => busy(text, async () => { frames = await open(); }));
  if (!frames) return false;
  stop(); // what another tap may have begun meanwhile
  state.frames = frames;
  play(frames);
  return true;
}

async function useCamera() {
  if (!(await useFrames('Starting the camera …', () => openCamera(state.facing)))) return;
  state.mirrored = state.facing === 'user';
  $('camera').ariaPressed = 'true';
  $('camera').lastChild.textContent = 'Stop';
  $('flip').hidden = false;
}

async function play(frames) {
  for (let image; (image = await frames.next()); ) {
    if (state.frames !== frames) return;
    await inTurn(() => state.frames === frames && show(image));
    if (!$('error').hidden && !state.result) stop(); // rather than say the same once more with every frame
  }
}

// The screen

async function show(image) {
  const { predictor } = state;
  if (!predictor) throw new ModelError('Choose a model first: a .tflite or .onnx file that MobileDense exported.');
  state.result = null;
  const threshold = Math.max(state.settings.detection / 100, 0.001);
  const result = await predictor.predict(image, threshold);
  Object.assign(state, { image, result });
  const now = performance.now();
  state.times = [...state.times, now].filter((time) => now - time < 2000);
  draw();
}

function draw() {
  const { image, result, predictor, mirrored } = state;
  if (!result) return;
  const { names, colours, boxNames, boxColours } = predictor;
  $('empty').hidden = true;
  $('view').hidden = $('speed').hidden = false;
  $('view').className = mirrored ? 'mirrored' : '';
  const picture = $('picture');
  if (picture.width !== image.width || picture.height !== image.height) {
    [picture.width, picture.height] = [image.width, image.height];
  }
  picture.getContext('2d').putImageData(image, 0, 0);
  const [overlay, boxes] = [$('overlay'), $('boxes')];
  overlay.hidden = !result.mask;
  boxes.hidden = !result.boxes;
  overlay.style.opacity = state.settings.segmentation / 100;
  if (result.mask) drawMask(overlay, result.mask, image.width, image.height, names, colours);
  if (result.boxes) drawBoxes(boxes, result, image.width, image.height, boxNames, boxColours, mirrored);
  showLegend();
  showSpeed();
}

function showLegend() {
  const { result, predictor } = state;
  $('legend').className = result.probabilities ? 'bars' : '';
  $('legend').replaceChildren(...summarise(result, predictor.names).map(({ index, share, text }) => {
    const entry = make('span', '');
    entry.style.setProperty('--colour', `rgb(${predictor.colours[index].join(' ')})`);
    entry.style.setProperty('--share', `${100 * share}%`);
    entry.append(make('i', ''), make('b', predictor.names[index]), make('small', text));
    return entry;
  }));
}

function showSpeed() {
  const { prepare, network, decode } = state.result.ms;
  const [first] = state.times;
  const span = state.times.at(-1) - first;
  const rate = state.frames && span ? `${((1000 * (state.times.length - 1)) / span).toFixed(1)} fps` : '';
  $('speed').replaceChildren(make('b', rate), `${rate && ' · '}${Math.round(prepare + network + decode)} ms`);
  $('speed').title = `prepare ${prepare.toFixed(1)}, network ${network.toFixed(1)}, decode ${decode.toFixed(1)} ms`;
}

function showSetting() {
  $('setting').lastChild.textContent = `${state.settings[SETTING[state.predictor.task]]} %`;
}

// What the user does

function useFile(file) {
  if (/\.(tflite|onnx)$/i.test(file.name)) useModel(file.name, () => file.arrayBuffer());
  else if (file.type.startsWith('image/')) useImage(file);
  else if (file.type.startsWith('video/')) useFrames(`Opening ${file.name} …`, () => openVideo(file));
  else tell(new ModelError(`${file.name} is no image, no video, and no .tflite or .onnx file.`));
}

function listen() {
  for (const id of ['image', 'video', 'file']) {
    $(id).onchange = () => {
      const [file] = $(id).files;
      if (file && id === 'file') useModel(file.name, () => file.arrayBuffer());
      else if (file) useFile(file);
      $(id).value = ''; // so that the same file can be chosen again
    };
  }
  $('camera').onclick = () => (state.frames && $('camera').ariaPressed === 'true' ? stop() : useCamera());
  $('view').onclick = () => state.frames?.toggle();
  $('flip').onclick = () => {
    state.facing = state.facing === 'user' ? 'environment' : 'user';
    useCamera();
  };
  $('model').onclick = () => $('sheet').showModal();
  $('sheet').onclick = (event) => event.target === $('sheet') && $('sheet').close();
  $('error').querySelector('button').onclick = () => { $('error').hidden = true; };
  $('setting').oninput = ({ target }) => {
    state.settings[SETTING[state.predictor.task]] = Number(target.value);
    showSetting();
    if (state.result?.boxes && state.image && !state.frames) inTurn(() => show(state.image));
    else draw();
  };
  new ResizeObserver(() => state.result?.boxes && draw()).observe($('stage')); // boxes are drawn at the screen's size
  addEventListener('dragover', (event) => { event.preventDefault(); $('stage').className = 'drop'; });
  addEventListener('dragleave', () => { $('stage').className = ''; });
  addEventListener('drop', (event) => {
    event.preventDefault();
    $('stage').className = '';
    if (event.dataTransfer.files.length) useFile(event.dataTransfer.files[0]);
  });
}

/** Have sw.js keep what is loaded from now on; browsers run it at https addresses and on localhost alone. */
async function keepForOffline(version) {
  if (!navigator.serviceWorker) return;
  const controlled = new Promise((resolve) => {
    if (navigator.serviceWorker.controller) resolve();
    navigator.serviceWorker.addEventListener('controllerchange', resolve);
  });
  await navigator.serviceWorker.register(`sw.js?${version}`);
  await Promise.race([controlled, new Promise((resolve) => setTimeout(resolve, 5000))]);
}

async function start() {
  listen();
  const { version, models } = await (await fetch('site.json')).json();
  offer(models);
  await keepForOffline(version).catch(tell);
  if (models.length) await useModel(models[0].file, () => download(models[0].path, models[0].file));
  for (const { path } of models.slice(1)) await fetch(path).catch(() => undefined); // into what sw.js keeps
}

start().catch(tell);
