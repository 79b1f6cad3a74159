// @ts-check
// The page of effects: one sound, one effect or a chain of them, and what is heard while a hand moves.
import { ask, drop, getJson, picture, Refusal, render } from "./api.js";
import { Blind } from "./compare.js";
import { $, button, canvas, element, input, select } from "./dom.js";
import { fromUnit, Knobs, plain, toUnit } from "./knobs.js";
import { amplify, gainOfStretch, gainTo, levels } from "./level.js";
import { SoundList } from "./list.js";
import { Loop, spliced } from "./loop.js";
import { Pad } from "./pad.js";
import { drawPicture } from "./picture.js";
import { forget, store, stored } from "./presets.js";
import { Player } from "./sound.js";

/** @typedef {import("./api.js").Wet} Wet */
/** @typedef {import("./knobs.js").Knob} Knob */
/** @typedef {"dry" | "effect" | "reference" | "prediction"} Source */
/** @typedef {{effect: string, kind: string, clean: number[], axes: string[]}} Controller */
/** @typedef {{event: Event, done: boolean, at?: number[], values?: Record<string, number>}} Change */

const SOURCES = /** @type {Record<Source, string>} */ ({ dry: "the dry sound", effect: "the effect", reference: "the reference", prediction: "the match" });
/** @type {Record<string, string>} */ const KINDS = { bottleneck: "learnt", umap: "UMAP", pca: "PCA" };
const MODES = ["loop", "once", "release"];
const FIRST_DROPPED = 1e9; // ids from here on are dropped files
const LEAST_AXES = 2, MOST_AXES = 8; // of a pad that is made
const MOST_PARTS = 4; // of a chain
const REST = 120; // milliseconds without a move after which the whole sound is rendered
const PICTURE_AFTER = 140; // milliseconds of rest before the picture is drawn
const POLL = 300; // milliseconds between looks at work
const PREDICTS = "The run has learnt to hear knobs: the search begins where it expects them.";
const LISTENS = "The run has learnt to hear wet sounds alone: of another sound it says which effect that has.";
const MOVES = 40; // of which the delay is told
const HOW_TO_REFER = $("reference-name").textContent; // before there is a reference

/** @type {{sounds: [number, string][], effects: {name: string, words: string}[], controllers: Controller[], source: string, first: string, map: boolean, predicts: boolean, listens: boolean}} */
let known = { sounds: [], effects: [], controllers: [], source: "", first: "", map: false, predicts: false, listens: false };
let sound = -1;
/** @type {string[]} */ let chain = [];
/** @type {any} */ let told = null; // the effect and its knobs, for this sound
/** @type {Record<string, number>} */ let values = {};
/** @type {number | null} */ let controller = null; // whose pad it is; null: the pad lies over the knobs
/** @type {number[]} */ let place = []; // on the pad, one number for each of its axes; empty until the server tells it
const axes = { x: 0, y: 1, flipX: false, flipY: false };
/** @type {Source} */ let source = "effect";
let mode = "loop";
/** @type {{sound: number, name: string, ofPair?: boolean} | null} */ let reference = null;
/** @type {{effect: string, values: Record<string, number>} | null} */ let prediction = null;
/** @type {Map<Source, Wet>} */ const kept = new Map(); // what was rendered last of each
/** @type {Wet | null} */ let draft = null; // the effect as it is heard while a hand moves: new where it plays, else older
/** @type {Loop | null} */ let loop = null;
let wholeGain = 1; // of the effect when it was last heard whole and as loud as the dry sound
/** @type {number[]} */ const delays = [];
const blind = new Blind();

const player = new Player((level) => { element("level", HTMLMeterElement).value = Math.min(1, level * 1.6); });
const pad = new Pad(canvas("pad"), (x, y, event, done) => movePoint(axes.flipX ? 1 - x : x, axes.flipY ? 1 - y : y, event, done));
const knobs = new Knobs($("knobs"), turn);
const list = new SoundList($("list"), $("list-space"), {
  line: (i) => ({ name: known.sounds[i][1], note: "", colour: known.sounds[i][0] === sound ? "#6cc5f0" : "#34445c" }),
  onChoose: (i) => { chooseSound(known.sounds[i][0]); },
  onMove: (i) => say(known.sounds[i][1]),
});

/** @param {string} text @param {boolean} [bad] */
function say(text, bad = false) {
  $("said").textContent = text;
  $("said").classList.toggle("bad", bad);
}

/** @param {unknown} error */
function sayError(error) {
  if (error instanceof Refusal) say(error.message, true);
  else if (error instanceof TypeError) say("The server does not answer; is it still running?", true);
  else {
    say("This sound could not be played.", true);
    console.error(error);
  }
}

const effectName = () => chain.join("+");

/** @returns {Controller | null} */
const pads = () => controller === null ? null : known.controllers[controller];

// ---- what is heard ------------------------------------------------------------------------------

/** What the server is asked for a source; null where there is none. @param {Source} which */
function questionOf(which) {
  if (which === "dry") return { sound };
  if (which === "effect") return { sound, effect: effectName(), values };
  if (which === "reference") return reference && told ? { sound: reference.sound, rate: told.sound.sample_rate } : null;
  return prediction && { sound, ...prediction };
}

/** @param {Source} which @returns {Promise<Wet | null>} */
async function wetOf(which) {
  const before = kept.get(which);
  if (before) return before;
  const question = questionOf(which);
  if (!question) return null;
  const wet = await render(question);
  kept.set(which, wet);
  return wet;
}

/** The dry sound, where all are to be heard as loud as it. */
const dryToo = () => input("same-level").checked ? wetOf("dry") : null;

/** What brings a sound to the dry one's level; 1 where that is not asked for. @param {Wet} wet @param {Wet | null} dry */
function gainOf(wet, dry) {
  if (!dry || wet === dry) return 1;
  if (wet.facts.first !== null) return gainOfStretch(wholeGain, wet.channels, dry.channels);
  const louder = gainTo(wet.channels, dry.channels);
  if (source === "effect") wholeGain = louder;
  return louder;
}

/** The player's loop at the sound's rate. @param {number} rate */
function stage(rate) {
  const context = player.wake(rate);
  if (loop?.context !== context) loop = new Loop(context, /** @type {GainNode} */ (player.gain), ended);
  context.resume();
  return loop;
}

/** Sound it now, in the place of what sounds. @param {Wet} wet @param {{gain?: number, again?: boolean}} [options] @returns {number} milliseconds until it begins */
function sounds(wet, { gain = 1, again = false } = {}) {
  const { channels, facts } = wet;
  const on = stage(facts.sample_rate);
  const buffer = on.context.createBuffer(channels.length, channels[0].length, facts.sample_rate);
  channels.forEach((samples, i) => buffer.copyToChannel(/** @type {Float32Array<ArrayBuffer>} */ (samples), i));
  if (gain !== 1) channels.forEach((_, i) => amplify(buffer.getChannelData(i), gain));
  const silent = !on.voice;
  const when = on.swap(buffer, { loop: mode === "loop", again });
  if (silent) player.watch(++player.ticket, [], Infinity);
  showPlaying(true);
  return (when - on.context.currentTime) * 1000;
}

/** @param {boolean} on */
function showPlaying(on) {
  button("play").setAttribute("aria-pressed", String(on));
  $("play-word").textContent = on ? "Stop" : "Play";
}

function ended() {
  player.stop();
  showPlaying(false);
}

function silence() {
  loop?.stop();
  ended();
}

/** Listen to one of the four. @param {Source} which @param {{again?: boolean}} [options] */
async function hear(which, options = {}) {
  if (!questionOf(which)) return say(which === "reference" ? "Drop a reference first." : "Match a reference first.");
  try {
    const [wet, dry] = await Promise.all([wetOf(which), dryToo()]);
    if (!wet) return;
    source = which;
    const louder = gainOf(wet, dry);
    sounds(wet, { ...options, gain: louder });
    showSource();
    showFigures(wet, louder);
    say(`Playing ${SOURCES[which]}.`);
  } catch (error) {
    sayError(error);
  }
}

function showSource(shown = true) {
  for (const entry of $("source").querySelectorAll("button")) {
    const which = /** @type {Source} */ (entry.dataset.source);
    const on = shown && which === source;
    entry.setAttribute("aria-checked", String(on));
    entry.tabIndex = which === source ? 0 : -1;
    entry.disabled = which === "reference" && !reference || which === "prediction" && !prediction;
  }
  for (const id of ["blind-a", "blind-b"]) {
    for (const option of select(id).options) option.disabled = !questionOf(/** @type {Source} */ (option.value));
  }
}

const decibels = (/** @type {number} */ v) => v > 1e-6 ? `${(20 * Math.log10(v)).toFixed(1)} dB`.replace("-", "−") : "silence";

let pictureAfter = 0;

/** Level and picture of what is heard, when the hand rests. @param {Wet} wet @param {number} [louder] the gain at which it is heard */
function showFigures(wet, louder = 1) {
  const limited = wet.facts.lowered_db;
  element("lowered", HTMLOutputElement).value = limited > 0.05 ? `${limited.toFixed(1)} dB` : "nothing";
  clearTimeout(pictureAfter);
  pictureAfter = setTimeout(async () => {
    const which = source, question = questionOf(which);
    if (!question) return;
    try {
      const seen = await picture(question);
      if (which !== source || blind.listening) return;
      drawPicture(canvas("picture"), seen);
      const { peak, rms } = levels(wet.channels);
      $("picture-caption").textContent = `${SOURCES[which]} · 0 to ${(wet.channels[0].length / wet.facts.sample_rate).toFixed(2)} s · 0 to ${wet.facts.sample_rate / 2000} kHz in ${seen.mels} mel bands · peak ${decibels(peak)} · RMS ${decibels(rms)}${Math.abs(20 * Math.log10(louder)) < 0.05 ? "" : ` · heard at ${louder > 1 ? "+" : ""}${decibels(louder)}`}`;
    } catch (error) {
      sayError(error);
    }
  }, PICTURE_AFTER);
}

// ---- a hand moves -------------------------------------------------------------------------------

/** @type {Change | null} */ let waiting = null; // the newest change while an older one is rendered
let busy = false;
let resting = 0;

/** Render a change and hear it; while one is rendered only the newest waits. @param {Change} change */
async function follow(change) {
  waiting = waiting?.done && !change.done ? { ...change, done: true } : change;
  source = "effect";
  blind.listening = false;
  clearTimeout(resting);
  if (busy) return;
  busy = true;
  let rested = false;
  try {
    while (waiting) {
      const { event, done, at, values: asked } = waiting;
      waiting = null;
      rested = done;
      const name = effectName(), whose = controller, number = sound, again = mode === "release";
      const question = { sound, effect: name, ...at ? { at } : { values: asked }, ...whose === null ? {} : { controller: whose }, moment: again ? 0 : loop?.place ?? 0 };
      const [wet, dry] = await Promise.all([render(question), dryToo()]);
      if (name !== effectName() || whose !== controller || number !== sound) continue;
      if (at) values = /** @type {Record<string, number>} */ (wet.facts.setting);
      else if (wet.facts.place && !waiting) place = wet.facts.place;
      const made = inPlace(wet);
      forgetEffect();
      if (made === wet) kept.set("effect", wet);
      else draft = made;
      const louder = gainOf(wet, dry);
      if (!again || done) {
        const delay = performance.now() + sounds(made, { again, gain: louder }) - event.timeStamp;
        if (event.isTrusted) showDelay(delay);
      }
      showPoint();
      showSource();
      if (made === wet) showFigures(wet, louder);
      if (done && !waiting) say(`${told.name}: ${toldValues()}.`);
    }
  } catch (error) {
    if (told) values = /** @type {Record<string, number>} */ ((kept.get("effect") ?? draft)?.facts.setting ?? values);
    sayError(error);
  } finally {
    busy = false;
  }
  showPoint();
  if (draft) resting = setTimeout(whole, rested ? 0 : REST);
}

/** A stretch of the effect in what was rendered before, in silence where nothing was; a whole sound as it is. @param {Wet} wet @returns {Wet} */
function inPlace(wet) {
  const { first, of, sample_rate } = wet.facts;
  if (first === null || of === null) return wet;
  const before = (kept.get("effect") ?? draft)?.channels ?? wet.channels.map(() => new Float32Array(of));
  return { ...wet, channels: spliced(before, wet.channels, first, sample_rate) };
}

/** Nothing is rendered of the effect as it stands now. */
function forgetEffect() {
  kept.delete("effect");
  draft = null;
}

/** The hand rests: the whole sound takes the place of its new stretch. */
async function whole() {
  const setting = values, number = sound, name = effectName();
  try {
    const [wet, dry] = await Promise.all([render({ sound, effect: name, values }), dryToo()]);
    if (busy || !draft || setting !== values || number !== sound || name !== effectName()) return;
    draft = null;
    kept.set("effect", wet);
    if (source !== "effect" || blind.listening) return;
    const louder = gainOf(wet, dry);
    if (loop?.voice) sounds(wet, { gain: louder });
    showFigures(wet, louder);
  } catch (error) {
    sayError(error);
  }
}

/** @param {number} delay milliseconds from the hand to the sound */
function showDelay(delay) {
  delays.push(delay);
  if (delays.length > MOVES) delays.shift();
  const sorted = [...delays].sort((a, b) => a - b);
  const shown = element("latency", HTMLOutputElement);
  shown.value = `${Math.round(sorted[sorted.length >> 1])} ms`;
  shown.title = `9 of 10 within ${Math.round(sorted[Math.floor(0.9 * sorted.length)])} ms`;
}

/** @param {string} name @param {number} value @param {Event} event @param {boolean} done */
function turn(name, value, event, done) {
  values = { ...values, [name]: value };
  if (controller === null && told) place = unitsOf(values);
  showPoint();
  follow({ event, done, values });
}

/** The pad's point moved, in the axes' own directions. @param {number} x @param {number} y @param {Event} event @param {boolean} done */
function movePoint(x, y, event, done) {
  if (place.length < 2) return;
  place = place.map((v, i) => i === axes.x ? x : i === axes.y ? y : v);
  moveTo(event, done);
}

/** @param {Event} event @param {boolean} done */
function moveTo(event, done) {
  if (controller !== null) {
    showPoint();
    return follow({ event, done, at: place });
  }
  values = Object.fromEntries(told.knobs.map((/** @type {Knob} */ knob, /** @type {number} */ i) => [knob.name, fromUnit(knob, place[i])]));
  showPoint();
  return follow({ event, done, values });
}

/** @param {Record<string, number>} setting @returns {number[]} */
const unitsOf = (setting) => told.knobs.map((/** @type {Knob} */ knob) => toUnit(knob, setting[knob.name]));

const toldValues = () => told.knobs.map((/** @type {Knob} */ knob) => `${knob.name} ${plain(values[knob.name])} ${knob.unit}`.trim()).join(", ");

/** Knobs, the pad's point and the sliders of its axes as they stand. */
function showPoint() {
  if (!told) return;
  knobs.show(values);
  if (place.length >= 2) {
    pad.names = [axisName(axes.x, axes.flipX), axisName(axes.y, axes.flipY)];
    pad.marks = marks();
    pad.show(seenAt(place, "x"), seenAt(place, "y"));
  }
  const lines = $("axes-lines").querySelectorAll("input");
  lines.forEach((slider, i) => {
    slider.disabled = !place.length;
    if (place.length) slider.value = String(Math.round(place[i] * 1000));
  });
}

/** Where a place stands on the pad as it is turned now. @param {number[]} where @param {"x" | "y"} side */
function seenAt(where, side) {
  const v = where[axes[side]];
  return (side === "x" ? axes.flipX : axes.flipY) ? 1 - v : v;
}

/** @param {number} axis @param {boolean} flipped */
function axisName(axis, flipped) {
  return `${flipped ? "←" : ""} ${axisNames()[axis] ?? ""} ${flipped ? "" : "→"}`.trim();
}

const axisNames = () => pads()?.axes ?? told?.knobs.map((/** @type {Knob} */ knob) => knob.name) ?? [];

/** Where the least effect lies. */
function marks() {
  const where = pads()?.clean ?? (told.dry && unitsOf(told.dry));
  return where ? [{ x: seenAt(where, "x"), y: seenAt(where, "y"), name: "clean" }] : [];
}

// ---- choosing -----------------------------------------------------------------------------------

/** @param {number} number */
async function chooseSound(number) {
  const before = sound;
  sound = number;
  kept.delete("dry");
  forgetEffect();
  kept.delete("prediction");
  prediction = null; // it was for the other sound
  showMatch(null);
  if (source === "prediction") source = "effect";
  kept.delete("reference"); // at the other sound's rate
  try {
    await loadEffect();
    if (number !== sound) return;
    if (told.reference) takeReference({ ...told.reference, ofPair: true });
    else if (reference?.ofPair) takeReference(null);
    list.mark(known.sounds.findIndex(([id]) => id === number));
    if (loop?.voice) await hear(source, { again: true });
    else await look();
    say(`${told.sound.name} is played${told.sound.whole > told.sound.seconds + 0.01 ? `, its first ${told.sound.seconds.toFixed(0)} s of ${told.sound.whole.toFixed(0)} s` : ""}${told.reference ? "; the wet sound of its pair is the reference" : ""}.`);
  } catch (error) {
    if (before >= 0 && error instanceof Refusal) sound = before;
    sayError(error);
  }
}

/** The chosen effect's knobs, for the chosen sound; what has the same name stays as it stands. */
async function loadEffect() {
  const name = effectName();
  const answer = await ask("/api/effects/effect", { effect: name, sound });
  if (name !== effectName()) return;
  const same = told?.name === answer.name;
  told = answer;
  const old = values;
  values = Object.fromEntries(told.knobs.map((/** @type {Knob} */ knob) => [knob.name, old[knob.name] >= knob.low && old[knob.name] <= knob.high ? old[knob.name] : knob.default]));
  knobs.build(told.knobs);
  offerAxes();
  $("effect-name").textContent = told.name;
  $("effect-words").textContent = `${told.words[0].toUpperCase()}${told.words.slice(1)}. Level: ${told.level}.`;
  const { name: title, seconds, sample_rate, channels } = told.sound;
  $("sound-facts").textContent = `${title} · ${seconds.toFixed(2)} s · ${sample_rate / 1000} kHz · ${channels === 2 ? "stereo" : "mono"}`;
  document.title = `${told.name} · timbrespace`;
  if (!same) await choosePad(known.controllers.findLastIndex((one) => one.effect === told.name));
  else await locate();
  showPoint();
}

/** From two axes to as many as the effect has knobs, at most eight. */
function offerAxes() {
  const most = Math.min(MOST_AXES, told.knobs.length), list = select("make-dimensions"), chosen = Number(list.value) || LEAST_AXES;
  const counts = Array.from({ length: Math.max(0, most - LEAST_AXES + 1) }, (_, i) => LEAST_AXES + i);
  list.replaceChildren(...counts.map((count) => new Option(`${count} axes`, String(count))));
  list.value = String(Math.min(chosen, most));
  list.disabled = select("make-kind").disabled = !counts.length;
  button("make").disabled = working || !counts.length;
}

/** Render and draw what is chosen, without a sound. */
async function look() {
  const wet = await wetOf(source);
  if (wet) showFigures(wet);
  showSource();
}

/** The pad of a controller, or of the knobs. @param {number} index -1: of the knobs */
async function choosePad(index) {
  controller = index < 0 ? null : index;
  axes.x = 0;
  axes.y = 1;
  axes.flipX = axes.flipY = false;
  const names = axisNames();
  const own = known.controllers.flatMap((one, i) => one.effect === told.name ? [new Option(`${KINDS[one.kind] ?? one.kind}, ${one.axes.length} axes`, String(i))] : []);
  select("pad-of").replaceChildren(new Option("two knobs", "-1"), ...own);
  select("pad-of").value = String(index);
  for (const id of ["axis-x", "axis-y"]) select(id).replaceChildren(...names.map((/** @type {string} */ name, /** @type {number} */ i) => new Option(name, String(i))));
  $("one-knob").hidden = names.length > 1;
  $("pad").hidden = names.length < 2;
  $("axes-lines").replaceChildren(...controller !== null && names.length > 2 ? names.map(axisLine) : []);
  place = [];
  showAxes();
  return locate();
}

/** Where the knobs lie on a controller's pad. */
async function locate() {
  if (controller === null) place = unitsOf(values);
  else {
    const whose = controller, before = place;
    const wet = await render({ sound, effect: effectName(), values, controller: whose });
    if (whose === controller && place === before && wet.facts.place) place = wet.facts.place; // else it was moved
  }
  showPoint();
}

/** @param {string} name @param {number} i */
function axisLine(name, i) {
  const line = document.createElement("div"), label = document.createElement("label");
  line.className = "direction";
  const slider = Object.assign(document.createElement("input"), { type: "range", min: "0", max: "1000", id: `axis-${i}` });
  label.htmlFor = slider.id;
  label.textContent = label.title = name;
  const moved = (/** @type {boolean} */ done) => (/** @type {Event} */ event) => {
    place = place.map((v, k) => k === i ? Number(slider.value) / 1000 : v);
    moveTo(event, done);
  };
  slider.addEventListener("input", moved(false));
  slider.addEventListener("change", moved(true));
  line.append(label, slider);
  return line;
}

function showAxes() {
  select("axis-x").value = String(axes.x);
  select("axis-y").value = String(axes.y);
  button("flip-x").setAttribute("aria-pressed", String(axes.flipX));
  button("flip-y").setAttribute("aria-pressed", String(axes.flipY));
  showPoint();
}

/** Two axes of the pad are never one. @param {"x" | "y"} side @param {number} axis */
function chooseAxis(side, axis) {
  const other = side === "x" ? "y" : "x";
  if (axes[other] === axis) axes[other] = axes[side];
  axes[side] = axis;
  showAxes();
  say(`${axisNames()[axes.x]} across, ${axisNames()[axes.y]} up.`);
}

/** A list of all effects, plug-ins by their host. @param {string} label @param {HTMLOptionElement[]} first @param {string} [chosen] */
function effectList(label, first, chosen) {
  const list = document.createElement("select");
  list.setAttribute("aria-label", label);
  list.append(...first);
  /** @type {Map<string, HTMLOptGroupElement>} */ const groups = new Map();
  const all = known.effects.map((one) => one.name);
  if (chosen && !all.includes(chosen)) all.unshift(chosen);
  for (const name of all) {
    const host = name.includes(":") ? name.slice(0, name.indexOf(":")) : "own";
    const group = groups.get(host) ?? Object.assign(document.createElement("optgroup"), { label: host });
    groups.set(host, group);
    group.append(new Option(host === "own" ? name : name.slice(host.length + 1), name));
  }
  list.append(...groups.size > 1 ? groups.values() : groups.get("own")?.children ?? []);
  list.value = chosen ?? "";
  return list;
}

/** One list for each effect of the chain, and one to add another. */
function showChain() {
  const made = chain.map((name, i) => {
    const choice = effectList(i ? `Effect ${i + 1}` : "Effect", i ? [new Option("none", "")] : [], name);
    choice.addEventListener("change", () => chooseChain(chain.map((old, k) => k === i ? choice.value : old).filter(Boolean)));
    return choice;
  });
  if (chain.length < MOST_PARTS) {
    const more = effectList("Add an effect behind", [new Option("+ then", "")]);
    more.addEventListener("change", () => chooseChain([...chain, more.value]));
    made.push(more);
  }
  $("chain").replaceChildren(...made);
}

/** @param {string[]} parts */
async function chooseChain(parts) {
  const before = chain;
  chain = parts;
  forgetEffect();
  try {
    await loadEffect();
    if (loop?.voice && source === "effect") await hear("effect");
    else await look();
    say(`${told.name}: ${toldValues()}.`);
  } catch (error) {
    chain = before;
    sayError(error);
  }
  showChain();
}

/** All knobs to given values. @param {Record<string, number>} setting @param {Event} event */
function setAll(setting, event) {
  values = { ...values, ...setting };
  if (controller === null) place = unitsOf(values);
  showPoint();
  return follow({ event, done: true, values });
}

// ---- references, matching, making a pad ---------------------------------------------------------

/** @param {File} file @param {boolean} asReference */
async function dropped(file, asReference) {
  try {
    say(`Reading ${file.name} …`);
    const answer = await drop(file, file.name);
    await loadSounds();
    if (asReference) takeReference(answer);
    else await chooseSound(answer.sound);
  } catch (error) {
    sayError(error);
  }
}

/** @param {{sound: number, name: string, ofPair?: boolean} | null} taken null: there is none any more */
function takeReference(taken) {
  reference = taken;
  prediction = null;
  kept.delete("reference");
  kept.delete("prediction");
  button("match").disabled = !taken || working;
  $("reference-name").textContent = taken ? `Reference: ${taken.name}.` : HOW_TO_REFER;
  showMatch(null);
  if (source === "reference" || source === "prediction") source = "effect";
  select("blind-a").value = taken ? "reference" : "dry";
  showSource();
  if (taken) say(`${taken.name} is the reference.`);
}

/** What came of a match, step by step; null: there is none. @param {{effect: string, words: string, steps: [string, number][]} | null} made */
function showMatch(made) {
  const table = element("match-steps", HTMLTableElement);
  $("match-words").hidden = button("match-take").hidden = table.hidden = !made;
  if (!made) return;
  $("match-words").textContent = made.words;
  button("match-take").textContent = `Take ${made.effect} with this setting`;
  const most = Math.max(...made.steps.map(([, share]) => share));
  table.tBodies[0].replaceChildren(...made.steps.map(([words, share]) => {
    const line = document.createElement("tr"), name = document.createElement("th");
    name.scope = "row";
    name.textContent = words;
    const bar = Object.assign(document.createElement("meter"), { max: most, value: share });
    bar.setAttribute("aria-hidden", "true");
    line.append(name);
    line.insertCell().append(bar);
    line.insertCell().textContent = `${Math.round(100 * share)} %`;
    return line;
  }));
}

/** The knobs to what was found. @param {Event} event */
async function takeMatch(event) {
  if (!prediction) return;
  if (prediction.effect !== effectName()) await chooseChain(prediction.effect.split("+"));
  await setAll(prediction.values, event);
}

let working = false;

/** Begin work on the server, and show it until it ends. @param {string} path @param {object} question */
async function begin(path, question) {
  try {
    await watch(await ask(path, question));
  } catch (error) {
    sayError(error);
  }
}

/** @param {any} standing */
async function watch(standing) {
  if (working) return;
  working = true;
  $("working").hidden = false;
  button("make").disabled = button("match").disabled = true;
  try {
    while (standing.state === "running") {
      element("working-bar", HTMLProgressElement).value = standing.total ? standing.done / standing.total : 0;
      $("working-stage").textContent = standing.stage ? `${standing.kind}: ${standing.stage} ${standing.done} of ${standing.total}` : `${standing.kind}: beginning`;
      await new Promise((resolve) => setTimeout(resolve, POLL));
      standing = await getJson("/api/effects/work");
    }
  } finally {
    working = false;
    $("working").hidden = true;
    offerAxes();
    button("match").disabled = !reference;
  }
  if (standing.state !== "done") return say(standing.sentence, standing.state === "failed");
  if (standing.kind === "controller") {
    known.controllers = standing.result.controllers;
    const index = known.controllers.length - 1;
    if (known.controllers[index].effect === told.name) await choosePad(index);
    say(`The pad is made: ${known.controllers[index].axes.join("; ")}.`);
  } else {
    prediction = { effect: standing.result.effect, values: standing.result.values };
    kept.delete("prediction");
    showMatch(standing.result);
    select("blind-b").value = "prediction";
    showSource();
    say(`The match is there: ${standing.result.words}`);
    await hear("prediction");
  }
}

// ---- blind test ---------------------------------------------------------------------------------

/** @param {"a" | "b" | "x"} side */
async function hearBlind(side) {
  const of = (/** @type {"a" | "b"} */ one) => /** @type {Source} */ (select(`blind-${one}`).value);
  if (of("a") === of("b") || !questionOf(of("a")) || !questionOf(of("b"))) return say("Choose two different sounds, A and B.");
  try {
    const [a, b] = await Promise.all([wetOf(of("a")), wetOf(of("b"))]);
    if (!a || !b) return;
    const which = side === "x" ? blind.hidden : side;
    const rms = { a: levels(a.channels).rms, b: levels(b.channels).rms };
    const gain = input("blind-level").checked ? Math.min(rms.a, rms.b) / Math.max(rms[which], 1e-9) : 1;
    blind.listening = true;
    if (side === "x") blind.heard = true;
    sounds({ a, b }[which], { gain });
    showSource(false);
    clearTimeout(pictureAfter);
    drawPicture(canvas("picture"), null);
    $("picture-caption").textContent = "no picture while you listen blind";
    button("is-a").disabled = button("is-b").disabled = !blind.heard;
    say(`Playing ${side.toUpperCase()}.`);
  } catch (error) {
    sayError(error);
  }
}

/** @param {"a" | "b"} said */
function guess(said) {
  if (!blind.heard) return say("Hear X first.");
  const was = blind.hidden.toUpperCase();
  const right = blind.guess(said);
  button("is-a").disabled = button("is-b").disabled = true;
  silence();
  $("score").textContent = blind.words;
  say(`${right ? "Right" : "Wrong"}: X was ${was}. ${blind.words} X is drawn anew.`);
}

// ---- presets and text ---------------------------------------------------------------------------

function showPresets() {
  $("presets").replaceChildren(...stored().map((preset) => {
    const line = document.createElement("li"), take = document.createElement("button"), away = document.createElement("button");
    take.type = away.type = "button";
    const name = document.createElement("span"), effect = document.createElement("small");
    name.textContent = preset.name;
    effect.textContent = preset.effect;
    take.append(name, effect);
    take.addEventListener("click", (event) => { usePreset(preset, event); });
    away.textContent = "×";
    away.setAttribute("aria-label", `Forget ${preset.name}`);
    away.addEventListener("click", () => { forget(preset.name); showPresets(); say(`${preset.name} is forgotten.`); });
    line.append(take, away);
    return line;
  }));
}

/** @param {import("./presets.js").Preset} preset @param {Event} event */
async function usePreset(preset, event) {
  if (preset.effect !== effectName()) {
    await chooseChain(preset.effect.split("+"));
    if (preset.effect !== effectName()) return; // there is no such effect here; it was said
  }
  await setAll(preset.values, event);
  say(`${preset.name}: ${toldValues()}.`);
}

/** The setting as `timbrespace effects apply` takes it. */
function asText() {
  const set = told.knobs.map((/** @type {Knob} */ knob) => `--set ${knob.name}=${plain(values[knob.name])}`);
  return [`--effect ${told.name}`, ...set, ...input("same-level").checked ? ["--same-level"] : []].join(" ");
}

async function copy() {
  try {
    await navigator.clipboard.writeText(asText());
    say(`Copied: ${asText()}`);
  } catch {
    say(`This browser gives no clipboard; the text is: ${asText()}`);
  }
}

// ---- the page -----------------------------------------------------------------------------------

async function loadSounds() {
  known = await getJson("/api/effects");
  $("list-title").textContent = known.source;
  $("to-map").hidden = !known.map;
  $("match-run").hidden = !known.predicts && !known.listens;
  $("match-run").textContent = known.predicts ? PREDICTS : LISTENS;
  fillList();
}

function fillList() {
  const words = input("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = known.sounds.flatMap(([, name], i) => words.every((word) => name.toLowerCase().includes(word)) ? [i] : []);
  list.fill(found);
  list.mark(known.sounds.findIndex(([id]) => id === sound));
  $("list-count").textContent = String(found.length);
}

/** @param {string} chosen */
function chooseMode(chosen) {
  mode = chosen;
  for (const entry of $("mode").querySelectorAll("button")) {
    const on = entry.dataset.mode === mode;
    entry.setAttribute("aria-checked", String(on));
    entry.tabIndex = on ? 0 : -1;
  }
  if (loop?.voice) silence();
}

/** Arrows go through a group of buttons of which one is chosen. @param {string} id @param {(entry: HTMLButtonElement) => void} choose */
function radio(id, choose) {
  const group = $(id);
  for (const entry of group.querySelectorAll("button")) entry.addEventListener("click", () => choose(entry));
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...group.querySelectorAll("button")].filter((one) => !one.disabled);
    const next = all[(all.findIndex((one) => one === document.activeElement) + step + all.length) % all.length];
    choose(next);
    next.focus();
  });
}

function toggle() {
  if (loop?.voice) {
    silence();
    say("Silence.");
  } else hear(source, { again: true });
}

radio("mode", (entry) => { chooseMode(entry.dataset.mode ?? "loop"); say(`${entry.title}.`); });
radio("source", (entry) => { blind.listening = false; hear(/** @type {Source} */ (entry.dataset.source)); });
button("play").addEventListener("click", toggle);
button("flip-x").addEventListener("click", () => { axes.flipX = !axes.flipX; showAxes(); say("The axis across is turned round."); });
button("flip-y").addEventListener("click", () => { axes.flipY = !axes.flipY; showAxes(); say("The axis up is turned round."); });
button("swap").addEventListener("click", () => {
  [axes.x, axes.y, axes.flipX, axes.flipY] = [axes.y, axes.x, axes.flipY, axes.flipX];
  showAxes();
  say(`${axisNames()[axes.x]} across, ${axisNames()[axes.y]} up.`);
});
select("axis-x").addEventListener("change", () => chooseAxis("x", Number(select("axis-x").value)));
select("axis-y").addEventListener("change", () => chooseAxis("y", Number(select("axis-y").value)));
select("pad-of").addEventListener("change", () => { choosePad(Number(select("pad-of").value)).catch(sayError); });
button("make").addEventListener("click", () => begin("/api/effects/controller", { effect: effectName(), sound, kind: select("make-kind").value, dimensions: Number(select("make-dimensions").value) }));
button("match").addEventListener("click", () => match());
button("match-take").addEventListener("click", (event) => { takeMatch(event); });
button("working-stop").addEventListener("click", () => { ask("/api/effects/stop", {}).catch(sayError); });
button("defaults").addEventListener("click", (event) => { reset(event); });
button("copy").addEventListener("click", copy);
for (const side of /** @type {const} */ (["a", "x", "b"])) button(`hear-${side}`).addEventListener("click", () => hearBlind(side));
button("is-a").addEventListener("click", () => guess("a"));
button("is-b").addEventListener("click", () => guess("b"));
button("blind-new").addEventListener("click", () => { blind.anew(); $("score").textContent = blind.words; say("The score is forgotten."); });
for (const id of ["blind-a", "blind-b"]) {
  select(id).append(...Object.entries({ dry: "Dry", effect: "Effect", reference: "Reference", prediction: "Match" }).map(([value, name]) => new Option(name, value)));
  select(id).addEventListener("change", () => { blind.anew(); $("score").textContent = blind.words; });
}
select("blind-b").value = "effect";
$("preset-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = input("preset-name").value.trim();
  if (!name) return say("Give the preset a name first.");
  store({ name, effect: effectName(), values });
  input("preset-name").value = "";
  showPresets();
  say(`Saved as ${name}.`);
});
button("reference-here").addEventListener("click", async () => {
  try {
    const question = questionOf(source);
    if (!question) return;
    const taken = await ask("/api/effects/keep", question);
    await loadSounds();
    takeReference(taken);
  } catch (error) {
    sayError(error);
  }
});
for (const [id, asReference] of /** @type {const} */ ([["file", false], ["reference-file", true]])) {
  input(id).addEventListener("change", () => {
    const file = input(id).files?.[0];
    if (file) dropped(file, asReference);
    input(id).value = "";
  });
}
input("volume").addEventListener("input", () => player.setVolume(Number(input("volume").value) / 100));
input("same-level").addEventListener("change", () => { if (loop?.voice && !blind.listening) hear(source); });
input("search").addEventListener("input", fillList);
button("help-open").addEventListener("click", () => element("help", HTMLDialogElement).showModal());

const overReference = (/** @type {DragEvent} */ event) => event.target instanceof Element && event.target.closest("[aria-labelledby=match-title]") !== null;
document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  $("dropping").hidden = false;
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("dropping").hidden = true; });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("dropping").hidden = true;
  const file = event.dataTransfer?.files[0];
  if (file) dropped(file, overReference(event));
});

/** @param {Event} event */
function reset(event) {
  return setAll(Object.fromEntries(told.knobs.map((/** @type {Knob} */ knob) => [knob.name, knob.default])), event);
}

function match() {
  if (!reference) return say("Drop a reference first.");
  return begin("/api/effects/match", { effect: select("match-effect").value ? null : effectName(), sound, reference: reference.sound, style: input("match-style").checked });
}

/** @param {Source} which */
const listen = (which) => () => { blind.listening = false; hear(which); };

/** @type {Record<string, (event: KeyboardEvent) => void>} */
const KEYS = {
  " ": toggle,
  1: listen("dry"),
  2: listen("effect"),
  3: listen("reference"),
  4: listen("prediction"),
  a: () => { hearBlind("a"); },
  b: () => { hearBlind("b"); },
  x: () => { hearBlind("x"); },
  "[": () => guess("a"),
  "]": () => guess("b"),
  l: () => { chooseMode(MODES[(MODES.indexOf(mode) + 1) % MODES.length]); say(`Plays: ${mode === "release" ? "on release" : mode}.`); },
  v: () => { input("same-level").click(); },
  m: () => { match(); },
  c: () => { copy(); },
  0: (event) => { reset(event); },
  "/": () => input("search").focus(),
  g: () => canvas("pad").focus(),
  "?": () => element("help", HTMLDialogElement).showModal(),
  escape: () => { silence(); say("Silence."); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (element("help", HTMLDialogElement).open) return;
  const target = event.target;
  const typing = target instanceof HTMLInputElement && target.type !== "range" && target.type !== "checkbox" || target instanceof HTMLSelectElement;
  if (typing && event.key !== "Escape") return;
  if (event.key === " " && target instanceof HTMLButtonElement) return; // it is pressed
  if (event.key === "Enter" && target === canvas("pad")) return toggle();
  const action = KEYS[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action(event);
});

async function start() {
  chooseMode("loop");
  showPresets();
  try {
    await loadSounds();
    chain = known.first.split("+");
    showChain();
    showSource();
    const wished = Number(new URLSearchParams(location.search).get("sound") ?? NaN);
    const first = known.sounds.find(([id]) => id === wished) ?? known.sounds.find(([id]) => id < FIRST_DROPPED) ?? known.sounds[0];
    if (first) await chooseSound(first[0]);
    else say("Drop a sound file to begin.");
    const standing = await getJson("/api/effects/work");
    if (standing.state === "running") await watch(standing);
  } catch (error) {
    sayError(error);
  }
}

start();
