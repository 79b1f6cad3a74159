// @ts-check
// One line for each knob: a slider along its curve, its value in its unit, and why it cannot be heard.

const STEPS = 1000; // of a slider

/**
 * @typedef {{name: string, unit: string, low: number, high: number, default: number, curve: string,
 *   range: string, unheard: string | null}} Knob
 */

/** Where a value lies, 0 to 1. @param {Knob} knob @param {number} value */
export function toUnit(knob, value) {
  if (knob.curve === "log") return Math.log(value / knob.low) / Math.log(knob.high / knob.low);
  return (value - knob.low) / (knob.high - knob.low);
}

/** The value at a place from 0 to 1, no further than the knob goes. @param {Knob} knob @param {number} place */
export function fromUnit(knob, place) {
  const value = knob.curve === "log" ? knob.low * (knob.high / knob.low) ** place : knob.low + place * (knob.high - knob.low);
  return Math.min(knob.high, Math.max(knob.low, value));
}

/** A value as people write it, four digits. @param {number} value */
export function plain(value) {
  return String(Number(value.toPrecision(4)));
}

/** @param {string} tag @param {object} [given] @returns {any} */
function make(tag, given = {}) {
  return Object.assign(document.createElement(tag), given);
}

export class Knobs {
  /** @param {HTMLElement} box @param {(name: string, value: number, event: Event, done: boolean) => void} onTurn */
  constructor(box, onTurn) {
    this.box = box;
    this.onTurn = onTurn;
    /** @type {Map<string, {knob: Knob, slider: HTMLInputElement, number: HTMLInputElement}>} */ this.lines = new Map();
  }

  /** @param {Knob[]} knobs @param {string} stem of the names, which is not shown ("overdrive." of a chain) */
  build(knobs, stem = "") {
    this.lines.clear();
    let part = stem;
    const made = [];
    for (const knob of knobs) {
      const own = knob.name.slice(0, knob.name.lastIndexOf(".") + 1);
      if (own !== part) made.push(make("h4", { textContent: own.slice(0, -1) }));
      part = own;
      made.push(this.line(knob, knob.name.slice(own.length)));
    }
    this.box.replaceChildren(...made);
  }

  /** @param {Knob} knob @param {string} shown */
  line(knob, shown) {
    const id = `knob-${this.lines.size}`;
    const line = make("div", { className: "knob" });
    const label = make("label", { textContent: shown, htmlFor: id });
    const slider = make("input", { type: "range", min: "0", max: String(STEPS), step: "1", id });
    const number = make("input", { type: "number", step: "any", min: String(knob.low), max: String(knob.high) });
    number.setAttribute("aria-label", `${knob.name}, ${knob.range}`);
    const unit = make("span", { className: "quiet", textContent: knob.unit });
    const about = make("small", { className: "quiet", id: `${id}-about` });
    about.textContent = knob.unheard ?? `${knob.range}${knob.curve === "log" ? ", even in octaves" : ""}`;
    slider.setAttribute("aria-describedby", about.id);
    line.classList.toggle("unheard", knob.unheard !== null);
    line.append(label, slider, number, unit, about);
    const turn = (/** @type {boolean} */ done) => (/** @type {Event} */ event) => this.onTurn(knob.name, fromUnit(knob, Number(slider.value) / STEPS), event, done);
    slider.addEventListener("input", turn(false));
    slider.addEventListener("change", turn(true));
    number.addEventListener("change", (/** @type {Event} */ event) => this.onTurn(knob.name, Number(number.value), event, true));
    this.lines.set(knob.name, { knob, slider, number });
    return line;
  }

  /** @param {Record<string, number>} values */
  show(values) {
    for (const [name, { knob, slider, number }] of this.lines) {
      slider.value = String(Math.round(STEPS * toUnit(knob, values[name])));
      slider.setAttribute("aria-valuetext", `${plain(values[name])} ${knob.unit}`.trim());
      number.value = plain(values[name]);
    }
  }
}
