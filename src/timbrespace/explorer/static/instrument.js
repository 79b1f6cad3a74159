// @ts-check
// The selected point as an instrument: a keyboard of two octaves that plays it, and its export.
import { ask, getBytes, getJson } from "./api.js";
import { button, element, input, select } from "./dom.js";
import { noteName, Piano } from "./piano.js";

// an octave on keys that nothing else on the page uses: white ones in letters, black ones in digits
const LETTERS = [..."q4w5et6y7u8i"];
const KEYS = 24;
const POLL = 300; // milliseconds between looks at an export

/**
 * What the instrument asks of the page: the selected place for the server, null when there is none; the two
 * ends of the morph, likewise; how it is to sound; the player; and where words go.
 * @typedef {{
 *   place: () => object | null, way: () => {place: object, end: object} | null, how: () => import("./api.js").How, title: () => string,
 *   player: import("./sound.js").Player, heard: (wav: ArrayBuffer, name: string) => void,
 *   say: (text: string, bad?: boolean) => void, sayError: (error: unknown) => void,
 * }} Page
 */

export class Instrument {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.pitched = false;
    this.low = 48;
    this.following = false;
    this.piano = new Piano(element("keyboard", HTMLCanvasElement), (pitch) => this.play(pitch));
    button("octave-down").addEventListener("click", () => this.shift(-12));
    button("octave-up").addEventListener("click", () => this.shift(12));
    input("play-velocity").addEventListener("input", () => {
      element("play-velocity-shown", HTMLOutputElement).value = input("play-velocity").value;
    });
    button("export").addEventListener("click", () => this.export());
    button("export-stop").addEventListener("click", () => {
      ask("/api/export/stop", {}).catch(page.sayError);
    });
  }

  /** The keys of the page that play or move the octaves. @returns {Record<string, (event: KeyboardEvent) => void>} */
  keys() {
    /** @type {Record<string, (event: KeyboardEvent) => void>} */
    const found = { ",": () => this.shift(-12), ".": () => this.shift(12) };
    LETTERS.forEach((letter, step) => {
      found[letter] = (event) => { if (!event.repeat) this.play(this.low + step); };
    });
    return found;
  }

  /** Another run or a newer state of it. @param {{pitched: boolean, pitches: [number, number] | null}} run */
  show(run) {
    this.pitched = run.pitched;
    this.known = run.pitches ?? [0, 127];
    element("play-why", HTMLElement).hidden = run.pitched;
    for (const id of ["octave-down", "octave-up"]) button(id).disabled = !run.pitched;
    for (const id of ["play-velocity", "play-seconds"]) input(id).disabled = !run.pitched;
    element("keyboard", HTMLElement).hidden = !run.pitched;
    this.range();
  }

  range() {
    const high = Math.min(127, this.low + KEYS - 1);
    const letters = new Map(LETTERS.map((letter, step) => [this.low + step, letter.toUpperCase()]));
    this.piano.setKeys(this.low, high, this.known ?? [0, 127], letters);
    element("octaves", HTMLElement).textContent = `${noteName(this.low)} – ${noteName(high)}`;
  }

  /** @param {number} keys */
  shift(keys) {
    this.low = Math.min(108, Math.max(0, this.low + keys));
    this.range();
    this.page.say(`Keyboard from ${noteName(this.low)}.`);
  }

  /** One note of what is selected. @param {number} pitch */
  async play(pitch) {
    const { page } = this;
    if (!this.pitched) return page.say(element("play-why", HTMLElement).textContent ?? "", true);
    const place = page.place();
    if (!place) return page.say("Select a sound or a spot first, then play it.");
    if (pitch < this.low || pitch >= this.low + KEYS) {
      this.low = Math.min(108, Math.floor(pitch / 12) * 12);
      this.range();
    }
    this.piano.show(pitch, false);
    const seconds = Number(input("play-seconds").value) || null;
    const velocity = Number(input("play-velocity").value);
    const { ticket } = page.player;
    try {
      const wav = await getBytes("/api/play", { place, pitch, velocity, seconds, ...page.how() });
      if (ticket !== page.player.ticket) return; // silence was asked for, or something else
      page.heard(wav, `${page.title()}_${noteName(pitch)}_v${velocity}`);
      page.say(`Playing ${noteName(pitch)} of ${page.title()}.`);
      await page.player.note(wav);
    } catch (error) {
      page.sayError(error);
    }
  }

  async export() {
    const { page } = this;
    const over = select("export-of").value;
    const place = over ? null : page.place(), way = over ? page.way() : null;
    if (over && !way) return page.say("Set two different sounds, A and B, then export the way between them.");
    if (!over && !place) return page.say("Select a sound or a spot first, then export it.");
    const what = way ? { ...way, over } : { place };
    try {
      const to = select("export-to").value, format = select("export-format").value;
      const keys = input("export-keys").value;
      await this.follow(await ask("/api/export", { ...what, to, format, keys, ...page.how() }));
    } catch (error) {
      page.sayError(error);
    }
  }

  /** Show an export until it ends, then download it. @param {any} progress */
  async follow(progress) {
    if (this.following) return;
    this.following = true;
    button("export").disabled = true;
    element("export-progress", HTMLElement).hidden = false;
    this.page.say(`Exporting ${progress.file} …`);
    try {
      while (progress.state === "running") {
        const share = progress.total ? progress.done / progress.total : 0;
        element("export-bar", HTMLProgressElement).value = progress.stage === "render" ? 0.8 * share : progress.stage ? 0.8 + 0.2 * share : 0;
        const words = /** @type {Record<string, string>} */ ({ render: "rendering", write: "writing", pack: "packing" });
        element("export-stage", HTMLElement).textContent = progress.stage ? `${words[progress.stage]} ${progress.done} of ${progress.total}` : "beginning";
        await new Promise((resolve) => setTimeout(resolve, POLL));
        progress = await getJson("/api/export");
      }
      if (progress.state !== "done") return this.page.say(progress.sentence, progress.state === "failed");
      const link = document.createElement("a");
      link.href = `/api/export/${progress.number}.zip`;
      link.download = progress.file;
      link.click();
      this.page.say(`Saved ${progress.file}, ${(progress.bytes / 1e6).toFixed(1)} MB.`);
    } finally {
      this.following = false;
      button("export").disabled = false;
      element("export-progress", HTMLElement).hidden = true;
    }
  }

  /** Go on showing an export that began before the page was opened. */
  async again() {
    try {
      const progress = await getJson("/api/export");
      if (progress.state === "running") await this.follow(progress);
    } catch (error) {
      this.page.sayError(error);
    }
  }
}
