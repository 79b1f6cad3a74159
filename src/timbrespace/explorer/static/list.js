// @ts-check
const HEIGHT = 30; // pixels of one line; the style sheet says the same

/** A list of thousands of sounds of which only the visible lines exist. */
export class SoundList {
  /**
   * @param {HTMLElement} box @param {HTMLElement} space
   * @param {{line: (index: number) => {name: string, note: string, colour: string}, onChoose: (index: number) => void, onMove: (index: number) => void}} asks
   */
  constructor(box, space, asks) {
    this.box = box;
    this.space = space;
    this.asks = asks;
    /** @type {number[]} */ this.shown = [];
    this.at = -1; // place in `shown`
    box.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(box);
    box.addEventListener("keydown", (event) => this.key(event));
    space.addEventListener("click", (event) => {
      const line = /** @type {HTMLElement} */ (event.target).closest("[role=option]");
      if (line instanceof HTMLElement) {
        this.moveTo(Number(line.dataset.at), false);
        asks.onChoose(this.shown[this.at]);
      }
    });
  }

  /** @param {number[]} indices the sounds to list, in order */
  fill(indices) {
    const kept = this.at >= 0 ? this.shown[this.at] : -1;
    this.shown = indices;
    this.at = indices.indexOf(kept);
    this.space.style.height = `${indices.length * HEIGHT}px`;
    this.draw();
  }

  /** Mark a sound chosen elsewhere. @param {number} index -1 for none */
  mark(index) {
    this.at = this.shown.indexOf(index);
    if (this.at >= 0) this.reveal();
    this.draw();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / HEIGHT) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.shown.length, End: this.shown.length };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (step !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      this.moveTo(this.at < 0 && step > 0 && step < this.shown.length ? 0 : this.at + step, true);
    } else if (event.key === "Enter" && this.at >= 0) {
      event.preventDefault();
      event.stopPropagation();
      this.asks.onChoose(this.shown[this.at]);
    }
  }

  /** @param {number} at @param {boolean} tell */
  moveTo(at, tell) {
    if (!this.shown.length) return;
    this.at = Math.min(Math.max(at, 0), this.shown.length - 1);
    this.reveal();
    this.draw();
    if (tell) this.asks.onMove(this.shown[this.at]);
  }

  reveal() {
    const top = this.at * HEIGHT;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + HEIGHT > this.box.scrollTop + this.box.clientHeight) {
      this.box.scrollTop = top + HEIGHT - this.box.clientHeight;
    }
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / HEIGHT) - 4);
    const last = Math.min(this.shown.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / HEIGHT) + 4);
    const lines = [];
    for (let at = first; at < last; at++) {
      const { name, note, colour } = this.asks.line(this.shown[at]);
      const line = document.createElement("div");
      line.setAttribute("role", "option");
      line.id = `sound-${at}`;
      line.dataset.at = String(at);
      line.style.top = `${at * HEIGHT}px`;
      line.setAttribute("aria-selected", String(at === this.at));
      line.setAttribute("aria-posinset", String(at + 1));
      line.setAttribute("aria-setsize", String(this.shown.length));
      const dot = document.createElement("i");
      dot.style.background = colour;
      const title = document.createElement("b");
      title.textContent = name;
      const small = document.createElement("small");
      small.textContent = note;
      line.append(dot, title, small);
      lines.push(line);
    }
    this.space.replaceChildren(...lines);
    if (this.at >= first && this.at < last) this.box.setAttribute("aria-activedescendant", `sound-${this.at}`);
    else this.box.removeAttribute("aria-activedescendant");
  }
}
