// .onnx files by onnxruntime-web, in WebAssembly; with threads where the page is isolated (see sw.js).

import * as ort from 'onnxruntime-web';
import { ModelError } from './metadata.js';

ort.env.wasm.wasmPaths = new URL('runtime/onnxruntime-web/dist/', document.baseURI).href;
ort.env.logLevel = 'error';

/** Open an .onnx: {run, close}, see predictor.js. */
export async function open(bytes, name) {
  let session;
  try {
    session = await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'] });
  } catch (error) {
    throw new ModelError(`${name} cannot be run by ONNX Runtime (${error.message ?? error}).`);
  }

  async function run(image, shape) {
    const input = new ort.Tensor(image instanceof Uint8Array ? 'uint8' : 'float32', image, shape);
    const tensors = await session.run({ [session.inputNames[0]]: input });
    return Object.fromEntries(Object.entries(tensors).map(([key, { data, dims }]) => [key, { data, shape: dims }]));
  }

  return { run, close: () => session.release() };
}
