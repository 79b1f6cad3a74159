// @ts-check
import { LOUDNESS_TABLE } from "./colours.js";

/**
 * Draw a spectrogram: low notes at the bottom, time to the right.
 * @param {HTMLCanvasElement} canvas @param {{picture: Uint8Array, mels: number, frames: number} | null} clip null clears it
 */
export function drawPicture(canvas, clip) {
  const to = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  if (!clip) {
    canvas.width = canvas.height = 1;
    return;
  }
  const { mels, frames, picture } = clip;
  canvas.width = frames;
  canvas.height = mels;
  const image = to.createImageData(frames, mels);
  for (let mel = 0; mel < mels; mel++) {
    for (let frame = 0; frame < frames; frame++) {
      const rgb = LOUDNESS_TABLE[picture[mel * frames + frame]];
      const at = 4 * ((mels - 1 - mel) * frames + frame);
      image.data[at] = rgb[0];
      image.data[at + 1] = rgb[1];
      image.data[at + 2] = rgb[2];
      image.data[at + 3] = 255;
    }
  }
  to.putImageData(image, 0, 0);
}
