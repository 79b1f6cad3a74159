// @ts-check
import { mark } from "./colours.js";

const PICK = 3; // pixels beside a mark that still count as a click on it
const TOUCH = 14; // the same for a finger
const SNAP = 28; // pixels for the end of a morph line
const DRAG = 5; // pixels before a press becomes a drag
const ROOM = 0.4; // share of the height (or width) that even a very flat map may fill
const MOST_STRETCH = 4;
const SLOW = 10; // milliseconds for all marks that still feel smooth

/**
 * The map: marks on a canvas that can be moved, zoomed, picked and joined by a line.
 * It knows positions, styles and what is visible; what a click means is decided by `asks`.
 *
 * @typedef {{onSound: (i: number) => void, onSpot: (x: number, y: number) => void,
 *   onMorph: (a: number, b: number) => void, onHover: (i: number, x: number, y: number) => void,
 *   onCross: (i: number, x: number, y: number) => void}} Asks
 */
export class SoundMap {
  /** @param {HTMLCanvasElement} canvas @param {Asks} asks */
  constructor(canvas, asks) {
    this.canvas = canvas;
    this.asks = asks;
    this.to = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.layer = document.createElement("canvas"); // the marks alone: hovering repaints only what lies above
    this.xs = new Float32Array(0);
    this.ys = new Float32Array(0);
    this.styles = /** @type {{colour: string, shape: string}[]} */ ([]);
    this.stretch = { x: 1, y: 1 }; // of a very flat map; xs and ys are stretched already
    this.style = new Uint16Array(0); // per sound, into styles
    this.visible = new Uint8Array(0);
    this.view = { x: 0, y: 0, scale: 1 }; // the map's coordinates in the middle; pixels per unit
    this.home = 1;
    this.width = 0;
    this.height = 0;
    this.hover = -1;
    this.selected = -1;
    /** @type {{x: number, y: number, near: number[], far: boolean} | null} */ this.spot = null;
    /** @type {{a: number, b: number, steps: number, at: number} | null} */ this.morph = null;
    /** @type {{xs: number[], ys: number[]} | null} */ this.way = null; // where the morph's way runs; else a line
    /** @type {{from: number, x: number, y: number, to: number} | null} */ this.rubber = null;
    /** @type {{x: number, y: number} | null} */ this.cross = null;
    this.keys = false; // the cross shows while keys move it, not after a click
    this.gliding = false; // from one map to the other
    this.stale = true;
    this.moved = false; // stale only because the view moved
    this.cost = 0; // milliseconds that the marks took last time
    this.layerView = { ...this.view }; // what the layer shows
    this.asked = false;
    /** @type {Map<number, {x: number, y: number}>} */ this.pointers = new Map();
    /** @type {any} */ this.press = null;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.listen();
  }

  /**
   * Put the sounds somewhere else; when their number stays, they glide there.
   * @param {number[]} xs @param {number[]} ys @param {{glide?: boolean}} [options]
   */
  place(xs, ys, { glide = false } = {}) {
    this.stretch = this.stretchFor(xs, ys);
    const toX = Float32Array.from(xs, (x) => x * this.stretch.x);
    const toY = Float32Array.from(ys, (y) => y * this.stretch.y);
    const fromX = this.xs, fromY = this.ys, view = { ...this.view };
    this.xs = toX;
    this.ys = toY;
    this.spot = this.way = null;
    this.cross = null;
    this.reset(false);
    if (this.visible.length !== toX.length) this.visible = new Uint8Array(toX.length).fill(1);
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.gliding = glide && !calm && fromX.length === toX.length && fromX.length > 0;
    const begin = performance.now();
    this.glide = begin;
    if (!this.gliding) return this.repaint();
    const target = { ...this.view };
    const frame = (/** @type {number} */ now) => {
      if (this.glide !== begin) return; // another placement took over
      const t = Math.min(1, Math.max(0, (now - begin) / 600));
      const s = t * t * (3 - 2 * t);
      if (t >= 1) {
        this.xs = toX;
        this.ys = toY;
        this.view = target;
        this.gliding = false;
      } else {
        // in pixels of the two views, so that maps of different size flow into each other
        this.view = { x: 0, y: 0, scale: 1 };
        this.xs = toX.map((x, i) => (1 - s) * (fromX[i] - view.x) * view.scale + s * (x - target.x) * target.scale);
        this.ys = toY.map((y, i) => (1 - s) * (fromY[i] - view.y) * view.scale + s * (y - target.y) * target.scale);
        requestAnimationFrame(frame);
      }
      this.repaint();
    };
    requestAnimationFrame(frame);
  }

  /** How much to widen the shorter side of a very flat map. @param {number[]} xs @param {number[]} ys */
  stretchFor(xs, ys) {
    const extent = (/** @type {number[]} */ values) => {
      let low = Infinity, high = -Infinity;
      for (const v of values) {
        low = Math.min(low, v);
        high = Math.max(high, v);
      }
      return Math.max(high - low, 1e-6);
    };
    const wide = extent(xs) / Math.max(this.width, 1), high = extent(ys) / Math.max(this.height, 1);
    const flat = (/** @type {number} */ share) => Math.min(Math.max(ROOM / share, 1), MOST_STRETCH);
    return { x: flat(wide / high), y: flat(high / wide) };
  }

  /** @param {Uint16Array} style @param {{colour: string, shape: string}[]} styles */
  paint(style, styles) {
    this.style = style;
    this.styles = styles;
    this.repaint();
  }

  /** @param {Uint8Array} visible */
  show(visible) {
    this.visible = visible;
    this.repaint();
  }

  /** The whole map in view. @param {boolean} [paint] */
  reset(paint = true) {
    let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
    for (let i = 0; i < this.xs.length; i++) {
      x0 = Math.min(x0, this.xs[i]);
      x1 = Math.max(x1, this.xs[i]);
      y0 = Math.min(y0, this.ys[i]);
      y1 = Math.max(y1, this.ys[i]);
    }
    if (!(x1 >= x0)) [x0, x1, y0, y1] = [-1, 1, -1, 1];
    const wide = Math.max(x1 - x0, 1e-6), high = Math.max(y1 - y0, 1e-6);
    const scale = Math.min((this.width - 56) / wide, (this.height - 64) / high);
    this.home = Math.max(scale, 1e-9);
    this.view = { x: (x0 + x1) / 2, y: (y0 + y1) / 2, scale: this.home };
    if (paint) this.repaint();
  }

  /** @param {number} factor @param {number} [px] @param {number} [py] the pixel that stays in place */
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const [x, y] = this.toData(px, py);
    const scale = Math.min(Math.max(this.view.scale * factor, this.home * 0.4), this.home * 400);
    this.view = {
      scale,
      x: x - (px - this.width / 2) / scale,
      y: y + (py - this.height / 2) / scale,
    };
    this.follow();
  }

  /** @param {number} dx @param {number} dy pixels */
  pan(dx, dy) {
    this.view.x -= dx / this.view.scale;
    this.view.y += dy / this.view.scale;
    this.follow();
  }

  /** @param {number} px @param {number} py @returns {[number, number]} */
  toData(px, py) {
    return [
      this.view.x + (px - this.width / 2) / this.view.scale,
      this.view.y - (py - this.height / 2) / this.view.scale,
    ];
  }

  /** @param {number} x @param {number} y @returns {[number, number]} */
  toPixel(x, y) {
    return [
      this.width / 2 + (x - this.view.x) * this.view.scale,
      this.height / 2 - (y - this.view.y) * this.view.scale,
    ];
  }

  /** @param {number} index */
  pixelOf(index) {
    return this.toPixel(this.xs[index], this.ys[index]);
  }

  /** Pixels of the morph's way, from A to B. @returns {number[][]} */
  morphWay() {
    if (!this.morph) return [];
    const { a, b } = this.morph, { way } = this;
    if (!way || this.gliding) return [this.pixelOf(a), this.pixelOf(b)];
    return way.xs.map((x, i) => this.toPixel(x * this.stretch.x, way.ys[i] * this.stretch.y));
  }

  /** The visible sound nearest to a pixel, -1 when none is within reach. @param {number} px @param {number} py @param {number} reach */
  pick(px, py, reach) {
    const [x, y] = this.toData(px, py);
    let best = -1, least = (reach / this.view.scale) ** 2;
    for (let i = 0; i < this.xs.length; i++) {
      if (!this.visible[i]) continue;
      const d = (this.xs[i] - x) ** 2 + (this.ys[i] - y) ** 2;
      if (d < least) {
        least = d;
        best = i;
      }
    }
    return best;
  }

  /** Bring a sound into view. @param {number} index */
  reveal(index) {
    const [px, py] = this.pixelOf(index);
    const edge = 40;
    const dx = px < edge ? edge - px : px > this.width - edge ? this.width - edge - px : 0;
    const dy = py < edge ? edge - py : py > this.height - edge ? this.height - edge - py : 0;
    if (dx || dy) this.pan(dx, dy);
  }

  get radius() {
    const crowd = Math.sqrt(1500 / Math.max(this.xs.length, 150));
    const near = Math.pow(this.view.scale / this.home, 0.28);
    const small = Math.min(1, Math.max(0.6, this.width / 640));
    return Math.min(Math.max(3.8 * crowd * near * small, 1.6), 9);
  }

  resize() {
    const scale = window.devicePixelRatio || 1;
    const first = !this.width;
    const ratio = this.view.scale / this.home;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    for (const canvas of [this.canvas, this.layer]) {
      canvas.width = Math.max(1, Math.round(this.width * scale));
      canvas.height = Math.max(1, Math.round(this.height * scale));
    }
    if (first || Math.abs(ratio - 1) < 1e-6) this.reset(false);
    this.repaint();
  }

  repaint() {
    this.stale = true;
    this.moved = false;
    this.overlay();
  }

  /** The view moved. Where the marks are slow to draw, their picture moves until the hand rests. */
  follow() {
    if (this.cost < SLOW) return this.repaint();
    this.moved = !this.stale || this.moved;
    this.stale = true;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.repaint(), 90);
    this.overlay();
  }

  overlay() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      if (this.stale && !this.moved) {
        const begin = performance.now();
        this.drawMarks();
        this.cost = performance.now() - begin;
        this.stale = false;
      }
      this.drawAbove();
    });
  }

  /** One small picture per style, so that a mark is a copy and not a path. @param {number} scale @param {number} r */
  sprites(scale, r) {
    return this.styles.map(({ colour, shape }) => {
      const size = Math.ceil((r + 2) * 2 * scale);
      const sprite = document.createElement("canvas");
      sprite.width = sprite.height = size;
      const to = /** @type {CanvasRenderingContext2D} */ (sprite.getContext("2d"));
      mark(to, shape, size / 2, size / 2, r * scale);
      to.globalAlpha = 0.88;
      to.fillStyle = colour;
      to.fill();
      to.globalAlpha = 0.6;
      to.strokeStyle = "#0b0f15";
      to.lineWidth = Math.max(0.5, r * 0.13) * scale;
      to.stroke();
      return sprite;
    });
  }

  drawMarks() {
    const scale = window.devicePixelRatio || 1;
    const to = /** @type {CanvasRenderingContext2D} */ (this.layer.getContext("2d"));
    to.clearRect(0, 0, this.layer.width, this.layer.height);
    this.layerView = { ...this.view };
    if (this.style.length !== this.xs.length) return;
    const sprites = this.sprites(scale, this.radius);
    const half = (sprites[0]?.width ?? 0) / 2;
    const k = this.view.scale * scale;
    const ox = (this.width / 2) * scale - this.view.x * k;
    const oy = (this.height / 2) * scale + this.view.y * k;
    const limitX = this.layer.width + half, limitY = this.layer.height + half;
    for (let i = 0; i < this.xs.length; i++) {
      if (!this.visible[i]) continue;
      const px = ox + this.xs[i] * k, py = oy - this.ys[i] * k;
      if (px < -half || py < -half || px > limitX || py > limitY) continue;
      to.drawImage(sprites[this.style[i]], px - half, py - half);
    }
  }

  drawAbove() {
    const scale = window.devicePixelRatio || 1;
    const to = this.to;
    to.setTransform(1, 0, 0, 1, 0, 0);
    to.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const was = this.layerView, zoomed = this.view.scale / was.scale;
    const [left, top] = this.toPixel(
      was.x - this.width / 2 / was.scale, was.y + this.height / 2 / was.scale,
    );
    to.drawImage(
      this.layer, left * scale, top * scale, this.layer.width * zoomed, this.layer.height * zoomed,
    );
    to.setTransform(scale, 0, 0, scale, 0, 0);
    const r = this.radius;
    if (this.spot) {
      const [x, y] = this.toPixel(this.spot.x * this.stretch.x, this.spot.y * this.stretch.y);
      to.strokeStyle = this.spot.far ? "#f2b84b99" : "#ffffff66";
      to.lineWidth = 1;
      for (const i of this.spot.near) {
        const [px, py] = this.pixelOf(i);
        to.beginPath();
        to.moveTo(x, y);
        to.lineTo(px, py);
        to.stroke();
      }
      this.ring(x, y, 7, this.spot.far ? "#f2b84b" : "#ffffff", 2);
      to.fillStyle = this.spot.far ? "#f2b84b" : "#ffffff";
      to.beginPath();
      to.arc(x, y, 2.5, 0, 7);
      to.fill();
    }
    if (this.morph) {
      const [ax, ay] = this.pixelOf(this.morph.a), [bx, by] = this.pixelOf(this.morph.b);
      const way = this.morphWay();
      to.strokeStyle = "#0b0f15";
      to.lineWidth = 5;
      this.line(...way.flat());
      to.strokeStyle = "#ffffff";
      to.lineWidth = 1.6;
      this.line(...way.flat());
      const n = this.morph.steps;
      for (let i = 1; i < n - 1; i++) {
        const [x, y] = along(way, i / (n - 1));
        to.fillStyle = "#ffffff";
        to.beginPath();
        to.arc(x, y, 2.6, 0, 7);
        to.fill();
      }
      if (this.morph.at >= 0) {
        const [x, y] = along(way, this.morph.at);
        this.ring(x, y, 7, "#6cc5f0", 3);
      }
      this.badge(ax, ay, "A");
      this.badge(bx, by, "B");
    }
    if (this.rubber) {
      const [ax, ay] = this.pixelOf(this.rubber.from);
      const [bx, by] = this.rubber.to >= 0 ? this.pixelOf(this.rubber.to) : [this.rubber.x, this.rubber.y];
      to.setLineDash([6, 5]);
      to.strokeStyle = "#6cc5f0";
      to.lineWidth = 2;
      this.line(ax, ay, bx, by);
      to.setLineDash([]);
      this.ring(ax, ay, r + 4, "#6cc5f0", 2);
      if (this.rubber.to >= 0) this.ring(bx, by, r + 4, "#6cc5f0", 2);
    }
    if (this.selected >= 0 && this.selected < this.xs.length) {
      const [x, y] = this.pixelOf(this.selected);
      this.ring(x, y, r + 5, "#0b0f15", 5);
      this.ring(x, y, r + 5, "#ffffff", 2);
    }
    if (this.hover >= 0 && this.hover < this.xs.length && !this.rubber) {
      const [x, y] = this.pixelOf(this.hover);
      this.ring(x, y, r + 3, "#6cc5f0", 2);
    }
    if (this.cross && this.keys && document.activeElement === this.canvas) {
      const [x, y] = this.toPixel(this.cross.x, this.cross.y);
      to.lineWidth = 1.5;
      for (const [colour, shift] of /** @type {[string, number][]} */ ([["#0b0f15", 1], ["#ffffff", 0]])) {
        to.strokeStyle = colour;
        this.line(x - 14, y + shift, x - 4, y + shift);
        this.line(x + 4, y + shift, x + 14, y + shift);
        this.line(x + shift, y - 14, x + shift, y - 4);
        this.line(x + shift, y + 4, x + shift, y + 14);
      }
    }
  }

  /** A line through pixels. @param {...number} xys x, y, x, y, ... */
  line(...xys) {
    this.to.beginPath();
    for (let i = 0; i < xys.length; i += 2) this.to.lineTo(xys[i], xys[i + 1]);
    this.to.stroke();
  }

  /** @param {number} x @param {number} y @param {number} r @param {string} colour @param {number} width */
  ring(x, y, r, colour, width) {
    this.to.strokeStyle = colour;
    this.to.lineWidth = width;
    this.to.beginPath();
    this.to.arc(x, y, r, 0, 7);
    this.to.stroke();
  }

  /** @param {number} x @param {number} y @param {string} letter */
  badge(x, y, letter) {
    const to = this.to;
    to.fillStyle = "#ffffff";
    to.beginPath();
    to.arc(x, y, 9, 0, 7);
    to.fill();
    to.fillStyle = "#0b0f15";
    to.font = "700 11px system-ui, sans-serif";
    to.textAlign = "center";
    to.textBaseline = "middle";
    to.fillText(letter, x, y + 0.5);
  }

  listen() {
    const canvas = this.canvas;
    const where = (/** @type {MouseEvent} */ event) => {
      const box = canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y } = where(event);
      // a pinch on a touch pad arrives as a wheel with ctrl and small steps
      const speed = event.ctrlKey ? 0.01 : event.deltaMode ? 0.05 : 0.0016;
      this.zoom(Math.exp(-event.deltaY * speed), x, y);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button === 2) return;
      const at = where(event);
      this.keys = false;
      this.pointers.set(event.pointerId, at);
      try {
        canvas.setPointerCapture(event.pointerId);
      } catch { /* the pointer is gone already */ }
      if (this.pointers.size > 1) {
        this.press = null; // two fingers: pinch
        this.rubber = null;
        return;
      }
      const hit = event.altKey ? -1 : this.pick(at.x, at.y, this.radius + (event.pointerType === "touch" ? TOUCH : PICK));
      const panning = event.shiftKey || event.button === 1;
      this.press = { ...at, hit, alt: event.altKey, panning, dragged: false };
    });
    canvas.addEventListener("pointermove", (event) => {
      const at = where(event);
      const before = this.pointers.get(event.pointerId);
      if (before) this.pointers.set(event.pointerId, at);
      if (before && this.pointers.size === 2) return this.pinch(event.pointerId, before, at);
      if (this.press && before) return this.drag(before, at);
      if (event.pointerType !== "touch") this.hoverAt(at.x, at.y);
    });
    const up = (/** @type {PointerEvent} */ event) => {
      const at = where(event);
      this.pointers.delete(event.pointerId);
      const press = this.press;
      this.press = null;
      canvas.classList.remove("panning");
      const rubber = this.rubber;
      this.rubber = null;
      this.overlay();
      if (!press || event.type === "pointercancel") return;
      if (rubber) {
        if (rubber.to >= 0 && rubber.to !== rubber.from) this.asks.onMorph(rubber.from, rubber.to);
      } else if (!press.dragged) {
        this.cross = { x: this.toData(at.x, at.y)[0], y: this.toData(at.x, at.y)[1] };
        if (press.hit >= 0) this.asks.onSound(press.hit);
        else this.askSpot(this.cross);
      }
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => this.hoverAt(-1e6, -1e6));
    canvas.addEventListener("focus", () => this.overlay());
    canvas.addEventListener("blur", () => this.overlay());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {{x: number, y: number}} at */
  askSpot(at) {
    this.asks.onSpot(at.x / this.stretch.x, at.y / this.stretch.y);
  }

  /** @param {number} id @param {{x: number, y: number}} before @param {{x: number, y: number}} at */
  pinch(id, before, at) {
    const other = [...this.pointers].find(([key]) => key !== id)?.[1];
    if (!other) return;
    const was = Math.hypot(before.x - other.x, before.y - other.y);
    const is = Math.hypot(at.x - other.x, at.y - other.y);
    if (was > 1 && is > 1) this.zoom(is / was, (at.x + other.x) / 2, (at.y + other.y) / 2);
    this.pan((at.x - before.x) / 2, (at.y - before.y) / 2);
  }

  /** @param {{x: number, y: number}} before @param {{x: number, y: number}} at */
  drag(before, at) {
    const press = this.press;
    if (!press.dragged && Math.hypot(at.x - press.x, at.y - press.y) < DRAG) return;
    press.dragged = true;
    if (press.hit >= 0 && !press.panning) {
      const target = this.pick(at.x, at.y, SNAP);
      this.rubber = { from: press.hit, x: at.x, y: at.y, to: target === press.hit ? -1 : target };
      this.asks.onHover(this.rubber.to, at.x, at.y);
      this.overlay();
    } else {
      this.canvas.classList.add("panning");
      this.pan(at.x - before.x, at.y - before.y);
    }
  }

  /** @param {number} x @param {number} y */
  hoverAt(x, y) {
    const hit = this.pick(x, y, this.radius + PICK);
    this.canvas.classList.toggle("over", hit >= 0);
    this.asks.onHover(hit, x, y);
    if (hit !== this.hover) {
      this.hover = hit;
      this.overlay();
    }
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 60 : 12;
    const move = {
      ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step],
    }[event.key];
    this.keys = true;
    this.cross ??= { x: this.view.x, y: this.view.y };
    let [px, py] = this.toPixel(this.cross.x, this.cross.y);
    if (move) {
      px += move[0];
      py += move[1];
      const edge = 24;
      const dx = px < edge ? edge - px : px > this.width - edge ? this.width - edge - px : 0;
      const dy = py < edge ? edge - py : py > this.height - edge ? this.height - edge - py : 0;
      const [x, y] = this.toData(px, py);
      this.cross = { x, y };
      if (dx || dy) this.pan(dx, dy);
    } else if (event.key === "n" || event.key === "N") {
      const nearest = this.pick(px, py, Infinity);
      if (nearest < 0) return;
      this.cross = { x: this.xs[nearest], y: this.ys[nearest] };
      this.reveal(nearest);
    } else if (event.key === "Enter") {
      event.preventDefault();
      event.stopPropagation();
      const hit = this.pick(px, py, this.radius + PICK);
      if (hit >= 0) this.asks.onSound(hit);
      else this.askSpot(this.cross);
      return;
    } else return;
    event.preventDefault();
    event.stopPropagation();
    [px, py] = this.toPixel(this.cross.x, this.cross.y);
    this.asks.onCross(this.pick(px, py, this.radius + PICK), px, py);
    this.overlay();
  }
}

/** The pixel at a share t, 0..1, of a way of pixels. @param {number[][]} way @param {number} t */
function along(way, t) {
  const at = t * (way.length - 1), i = Math.min(Math.floor(at), way.length - 2), s = at - i;
  return [0, 1].map((k) => (1 - s) * way[i][k] + s * way[i + 1][k]);
}
