// @ts-check
const NAMES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
const BLACK = new Set([1, 3, 6, 8, 10]);

/** @param {number} pitch MIDI number; 60 is C4, 60.25 is 25 cents above */
export function noteName(pitch) {
  const key = Math.round(pitch), cents = Math.round((pitch - key) * 100);
  return NAMES[key % 12] + (Math.floor(key / 12) - 1) + (cents ? ` ${cents > 0 ? "+" : "−"}${Math.abs(cents)} ct` : "");
}

/** A strip of piano keys that is a slider for assistive technology. */
export class Piano {
  /** @param {HTMLCanvasElement} canvas @param {(pitch: number) => void} onPitch */
  constructor(canvas, onPitch) {
    this.canvas = canvas;
    this.onPitch = onPitch;
    this.low = 36;
    this.high = 96;
    /** @type {[number, number]} */ this.known = [36, 96];
    this.pitch = 60;
    this.own = true;
    /** @type {Map<number, string>} */ this.letters = new Map(); // what is written on keys
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => {
      const box = canvas.getBoundingClientRect();
      this.onPitch(this.at((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height));
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 12, PageDown: -12 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      this.onPitch(Math.min(127, Math.max(0, Math.round(this.pitch) + step)));
    });
  }

  /** @param {[number, number]} known the pitches of the corpus */
  setRange(known) {
    this.known = known;
    this.low = Math.max(0, Math.floor((known[0] - 2) / 12) * 12);
    this.high = Math.min(127, Math.ceil((known[1] + 3) / 12) * 12 - 1);
    this.draw();
  }

  /** @param {number} low @param {number} high @param {[number, number]} known @param {Map<number, string>} letters */
  setKeys(low, high, known, letters) {
    Object.assign(this, { low, high, known, letters });
    this.draw();
  }

  /** @param {number} pitch @param {boolean} own true: the sound's own pitch, none was chosen */
  show(pitch, own) {
    this.pitch = pitch;
    this.own = own;
    this.canvas.setAttribute("aria-valuenow", String(pitch));
    this.canvas.setAttribute("aria-valuetext", noteName(pitch) + (own ? ", as the sound" : ""));
    this.draw();
  }

  whites() {
    const found = [];
    for (let p = this.low; p <= this.high; p++) if (!BLACK.has(p % 12)) found.push(p);
    return found;
  }

  /** @param {number} x 0..1 @param {number} y 0..1 */
  at(x, y) {
    const whites = this.whites();
    const place = Math.min(Math.max(x, 0), 0.9999) * whites.length;
    const white = whites[Math.floor(place)];
    if (y < 0.6) {
      const part = place % 1;
      if (part > 0.68 && BLACK.has((white + 1) % 12)) return Math.min(white + 1, 127);
      if (part < 0.32 && white > 0 && BLACK.has((white - 1) % 12)) return white - 1;
    }
    return white;
  }

  draw() {
    const scale = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (!width) return;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const to = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    to.scale(scale, scale);
    const whites = this.whites();
    const key = width / whites.length;
    const known = (/** @type {number} */ p) => p >= this.known[0] && p <= this.known[1];
    const lit = this.own ? "#4d7f9c" : "#6cc5f0";
    const letter = (/** @type {number} */ p, /** @type {number} */ x, /** @type {number} */ y, /** @type {string} */ colour) => {
      to.fillStyle = colour;
      to.font = "600 10px system-ui, sans-serif";
      to.textAlign = "center";
      to.fillText(this.letters.get(p) ?? "", x, y);
      to.textAlign = "start";
    };
    whites.forEach((p, i) => {
      to.fillStyle = p === Math.round(this.pitch) ? lit : known(p) ? "#d9e0e9" : "#77849a";
      to.fillRect(i * key + 0.5, 0, key - 1, height - 12);
      letter(p, (i + 0.5) * key, height - 16, "#0b0f15");
      if (p % 12 === 0) {
        to.fillStyle = "#93a2b7";
        to.font = "10px system-ui, sans-serif";
        to.fillText(noteName(p), i * key + 1, height - 1);
      }
    });
    whites.forEach((p, i) => {
      if (!BLACK.has((p + 1) % 12) || p + 1 > this.high) return;
      to.fillStyle = p + 1 === Math.round(this.pitch) ? lit : known(p + 1) ? "#1a2230" : "#3a465a";
      to.fillRect((i + 1) * key - key * 0.31, 0, key * 0.62, (height - 12) * 0.6);
      letter(p + 1, (i + 1) * key, (height - 12) * 0.6 - 4, "#e9eef5");
    });
  }
}
