// .tflite files by LiteRT.js, in WebAssembly; with threads where the page is isolated (see sw.js) and the browser can.

import { loadAndCompile, loadLiteRt, supportsFeature, Tensor } from '@litertjs/core';
import { ModelError } from './metadata.js';

const FILES = new URL('runtime/@litertjs/core/wasm/', document.baseURI).href;
let loaded;

async function load() {
  const threads = globalThis.crossOriginIsolated && (await supportsFeature('relaxedSimd'));
  return loadLiteRt(FILES, { threads });
}

/** Open a .tflite: {run, close}, see predictor.js. */
export async function open(bytes, name) {
  loaded ??= load();
  await loaded.catch((error) => {
    loaded = undefined; // lest a network that comes back find the old failure
    throw new ModelError(`LiteRT.js cannot be loaded (${error.message ?? error}). Are you offline?`);
  });
  let model;
  try {
    model = await loadAndCompile(bytes, { accelerator: 'wasm' });
  } catch (error) {
    throw new ModelError(`${name} cannot be run by LiteRT.js (${error.message ?? error}).`);
  }
  const outputs = model.getOutputDetails();

  async function run(image, shape) {
    const input = new Tensor(image, shape);
    const tensors = await model.run([input]);
    input.delete();
    const found = {};
    outputs.forEach((output, i) => {
      found[output.name] = { data: tensors[i].toTypedArray().slice(), shape: Array.from(output.shape) };
      tensors[i].delete();
    });
    return found;
  }

  return { run, close: () => model.delete() };
}
