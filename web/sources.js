// Where pictures come from: an image file, a video file, or the camera. Each gives {image, close}, or frames one by one.

/** A fault of a source, told on the page as it is. */
export class SourceError extends Error {}

const frame = document.createElement('canvas');
const context = frame.getContext('2d', { willReadFrequently: true });

/** The pixels of what can be drawn, as they are: RGBA {data, width, height}. */
function read(drawable, width, height) {
  if (frame.width !== width || frame.height !== height) [frame.width, frame.height] = [width, height];
  else context.clearRect(0, 0, width, height);
  context.drawImage(drawable, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** The pixels of an image file, upright. */
export async function readImage(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
    return read(bitmap, bitmap.width, bitmap.height);
  } catch {
    throw new SourceError(`${file.name} is no image that this browser can read, or too large a one.`);
  } finally {
    bitmap?.close();
  }
}

/** A video file, playing in a loop. */
export async function openVideo(file) {
  const video = makeVideo();
  video.src = URL.createObjectURL(file);
  video.loop = true;
  try {
    await video.play();
  } catch {
    URL.revokeObjectURL(video.src);
    throw new SourceError(`${file.name} is no video that this browser can play.`);
  }
  return new Frames(video, () => URL.revokeObjectURL(video.src));
}

/** The camera: "environment" for the one at the back, "user" for the one at the front. */
export async function openCamera(facing) {
  if (!navigator.mediaDevices) {
    throw new SourceError('The camera needs an https address, or localhost: browsers give it to no other page.');
  }
  const wanted = { facingMode: facing, width: { ideal: 640 }, height: { ideal: 480 } };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
  } catch (error) {
    const refused = error.name === 'NotAllowedError';
    const absent = error.name === 'NotFoundError' ? 'There is no camera.' : `The camera does not start (${error.message}).`;
    throw new SourceError(refused ? 'The camera was not allowed; allow it in the settings of this page.' : absent);
  }
  const video = makeVideo();
  video.srcObject = stream;
  await video.play();
  return new Frames(video, () => stream.getTracks().forEach((track) => track.stop()));
}

function makeVideo() {
  const video = document.createElement('video');
  video.muted = true;
  video.playsInline = true;
  return video;
}

class Frames {
  constructor(video, release) {
    this.video = video;
    this.release = release;
    this.open = true;
  }

  /** Hold it, or go on. */
  toggle() {
    if (this.video.paused) this.video.play();
    else this.video.pause();
  }

  /** The next frame's pixels, once there is one; undefined after close(). */
  async next() {
    if (this.video.paused) await new Promise((resolve) => this.video.addEventListener('play', resolve, { once: true }));
    await Promise.race([
      new Promise((resolve) => this.video.requestVideoFrameCallback(resolve)),
      new Promise((resolve) => setTimeout(resolve, 250)), // a video that stands still is drawn, too
    ]);
    return this.open ? read(this.video, this.video.videoWidth, this.video.videoHeight) : undefined;
  }

  close() {
    this.open = false;
    this.video.pause();
    this.release();
  }
}
