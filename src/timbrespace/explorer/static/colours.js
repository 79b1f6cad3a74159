// @ts-check
// Colours that colour-blind eyes tell apart: Okabe and Ito's eight, lightened for a dark ground.
// The ninth word starts again with another shape, so colour is never the only difference.

const WORDS = ["#56b4e9", "#e69f00", "#2fc39b", "#f0e442", "#e58fc0", "#ff7a45", "#7d9bff", "#d5dbe4"];
export const SHAPES = ["circle", "square", "triangle", "diamond"];

/** @param {number} code @returns {{colour: string, shape: string}} */
export function wordStyle(code) {
  return {
    colour: WORDS[code % WORDS.length],
    shape: SHAPES[Math.floor(code / WORDS.length) % SHAPES.length],
  };
}

// lightness rises evenly from low to high, as in viridis, but never sinks into the dark ground
const NUMBERS = [[108, 92, 196], [66, 129, 190], [44, 165, 156], [122, 198, 104], [246, 226, 82]];
// silence black, then violet, red, orange, near white: the order that eyes read as louder
const LOUDNESS = [[5, 5, 14], [44, 17, 95], [114, 31, 129], [183, 55, 121], [241, 96, 93], [254, 175, 119], [252, 253, 191]];

/** @param {number[][]} stops @param {number} at 0..1 @returns {number[]} */
function between(stops, at) {
  const place = Math.min(Math.max(at, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  const part = place - low;
  return stops[low].map((value, i) => Math.round(value + part * (stops[low + 1][i] - value)));
}

/** @param {number} at 0..1 */
export function numberColour(at) {
  return `rgb(${between(NUMBERS, at).join(" ")})`;
}

/** 256 RGB triples for a spectrogram's bytes. */
export const LOUDNESS_TABLE = Array.from({ length: 256 }, (_, i) => between(LOUDNESS, i / 255));

/**
 * Draw one mark of the map.
 * @param {CanvasRenderingContext2D} to @param {string} shape @param {number} x @param {number} y @param {number} r
 */
export function mark(to, shape, x, y, r) {
  to.beginPath();
  if (shape === "square") to.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76);
  else if (shape === "triangle") {
    to.moveTo(x, y - r * 1.15);
    to.lineTo(x + r * 1.08, y + r * 0.82);
    to.lineTo(x - r * 1.08, y + r * 0.82);
    to.closePath();
  } else if (shape === "diamond") {
    to.moveTo(x, y - r * 1.25);
    to.lineTo(x + r * 1.05, y);
    to.lineTo(x, y + r * 1.25);
    to.lineTo(x - r * 1.05, y);
    to.closePath();
  } else to.arc(x, y, r, 0, 2 * Math.PI);
}
