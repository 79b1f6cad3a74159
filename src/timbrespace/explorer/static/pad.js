// @ts-check
// A square in which one point is a setting. Places run from 0 to 1, to the right and up.

const STEP = 0.02, FAR = 0.1; // what an arrow key moves, without and with Shift
const EDGE = 30; // pixels around the square, for the axes' names

/** @typedef {{x: number, y: number, name: string}} Mark */

export class Pad {
  /** @param {HTMLCanvasElement} canvas @param {(x: number, y: number, event: Event, done: boolean) => void} onMove */
  constructor(canvas, onMove) {
    this.canvas = canvas;
    this.onMove = onMove;
    this.x = this.y = 0.5;
    this.names = ["", ""];
    /** @type {Mark[]} */ this.marks = [];
    this.held = false;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.held = true;
      canvas.setPointerCapture(event.pointerId);
      this.follow(event, false);
    });
    canvas.addEventListener("pointermove", (event) => { if (this.held) this.follow(event, false); });
    canvas.addEventListener("pointerup", (event) => { if (this.held) this.follow(event, true); this.held = false; });
    canvas.addEventListener("pointercancel", () => { this.held = false; });
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** @param {PointerEvent} event @param {boolean} done */
  follow(event, done) {
    const box = this.canvas.getBoundingClientRect();
    const x = (event.clientX - box.left - EDGE) / (box.width - 2 * EDGE);
    const y = 1 - (event.clientY - box.top - EDGE) / (box.height - 2 * EDGE);
    this.move(x, y, event, done);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const moves = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const move = moves[/** @type {keyof typeof moves} */ (event.key)];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const step = event.shiftKey ? FAR : STEP;
    this.move(this.x + move[0] * step, this.y + move[1] * step, event, true);
  }

  /** @param {number} x @param {number} y @param {Event} event @param {boolean} done */
  move(x, y, event, done) {
    this.show(Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y)));
    this.onMove(this.x, this.y, event, done);
  }

  /** @param {number} x @param {number} y */
  show(x, y) {
    this.x = x;
    this.y = y;
    this.canvas.setAttribute("aria-description", `${x.toFixed(2)} across, ${y.toFixed(2)} up`);
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const width = canvas.clientWidth, height = canvas.clientHeight, ratio = devicePixelRatio || 1;
    if (width < 3 * EDGE || height < 3 * EDGE) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const to = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    to.scale(ratio, ratio);
    const w = width - 2 * EDGE, h = height - 2 * EDGE;
    const px = (/** @type {number} */ x) => EDGE + x * w, py = (/** @type {number} */ y) => EDGE + (1 - y) * h;
    const style = getComputedStyle(canvas);
    to.font = `12px ${style.fontFamily}`;
    to.strokeStyle = style.getPropertyValue("--line");
    to.lineWidth = 1;
    for (let i = 0; i <= 8; i++) {
      to.globalAlpha = i % 4 ? 0.45 : 1;
      to.beginPath();
      to.moveTo(px(i / 8), py(0));
      to.lineTo(px(i / 8), py(1));
      to.moveTo(px(0), py(i / 8));
      to.lineTo(px(1), py(i / 8));
      to.stroke();
    }
    to.globalAlpha = 1;
    to.fillStyle = style.getPropertyValue("--quiet");
    to.textAlign = "center";
    to.textBaseline = "middle";
    to.fillText(this.names[0], width / 2, height - EDGE / 2, w);
    to.save();
    to.translate(EDGE / 2, height / 2);
    to.rotate(-Math.PI / 2);
    to.fillText(this.names[1], 0, 0, h);
    to.restore();
    for (const mark of this.marks) {
      to.beginPath();
      to.arc(px(mark.x), py(mark.y), 6, 0, 2 * Math.PI);
      to.strokeStyle = style.getPropertyValue("--warn");
      to.lineWidth = 1.5;
      to.stroke();
      to.textAlign = mark.x > 0.5 ? "right" : "left";
      to.fillText(mark.name, px(mark.x) + (mark.x > 0.5 ? -12 : 12), py(mark.y) + (mark.y > 0.5 ? 12 : -12));
    }
    to.strokeStyle = to.fillStyle = style.getPropertyValue("--accent");
    to.lineWidth = 1;
    to.globalAlpha = 0.5;
    to.beginPath();
    to.moveTo(px(this.x), py(0));
    to.lineTo(px(this.x), py(1));
    to.moveTo(px(0), py(this.y));
    to.lineTo(px(1), py(this.y));
    to.stroke();
    to.globalAlpha = 0.25;
    to.beginPath();
    to.arc(px(this.x), py(this.y), 17, 0, 2 * Math.PI);
    to.fill();
    to.globalAlpha = 1;
    to.beginPath();
    to.arc(px(this.x), py(this.y), 8, 0, 2 * Math.PI);
    to.fill();
  }
}
