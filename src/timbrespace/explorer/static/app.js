// @ts-check
// The page: which sound, spot or morph is selected, what is heard of it, and what the keys do.
import { ask, drop, getJson, inlineClip, Refusal, soundClip } from "./api.js";
import { mark, numberColour, wordStyle } from "./colours.js";
import { $, button, canvas, element, input, select } from "./dom.js";
import { Instrument } from "./instrument.js";
import { SoundList } from "./list.js";
import { SoundMap } from "./map.js";
import { noteName, Piano } from "./piano.js";
import { drawPicture } from "./picture.js";
import { joinWavs, Player } from "./sound.js";

/** @typedef {import("./api.js").Clip} Clip */
/** @typedef {{kind: "sound", index: number, near?: number[], by?: string} | {kind: "spot", x: number, y: number, near: number[], pitch: number | null, labels?: Record<string, string | number | null>} | {kind: "morph", a: number, b: number, at: number, pitch: number | null}} Selected */

const STEP_SECONDS = 1.1; // what is heard of each step of a morph
const SOUNDING = 150; // milliseconds that a step of a dragged morph sounds before the next one may
const POLL_TRAINING = 2500; // milliseconds between looks at the run
const POLL_DONE = 15000;
const LEGEND_WORDS = 60;
const NUMBER_STYLES = 64;

/** @type {any} */ let run = null;
/** @type {any} */ let data = { version: null, rows: [], names: [], maps: {}, columns: [] };
let mapName = "";
/** @type {any} */ let column = null; // the label column that colours the map
/** @type {Map<string, Set<number>>} */ const hidden = new Map(); // per column, the words switched off
/** @type {Selected | null} */ let selected = null;
/** @type {number | null} */ let pitch = null; // null: as the sound
/** @type {Record<string, string>} */ let told = {}; // labels chosen; those that are not here: as the sound
/** @type {Record<string, number>} */ let toward = {}; // steps along named directions; those that are not here: none
/** @type {string | null} */ let soundBy = null; // what makes the sounds; null: the first of the run's makers
/** @type {{original: Clip | null, model: Clip | null}} */ let clips = { original: null, model: null };
/** @type {{wav: ArrayBuffer, name: string} | null} */ let heard = null;
/** @type {{a: number, b: number}} */ const ends = { a: -1, b: -1 };
/** @type {{key: string, steps: {at: number, pitch: number | null, clip: Clip}[]} | null} */ let morphed = null;
/** @type {{index: number, answer: Promise<any>} | null} */ let lost = null; // what is lost where of a sound
/** @type {"original" | "model" | null} */ let wish = null; // what to play as soon as it has come
/** @type {AbortController} */ let asking = new AbortController();

const player = new Player((level) => { element("level", HTMLMeterElement).value = Math.min(1, level * 1.6); });
const map = new SoundMap(canvas("map"), {
  onSound: (i) => { showPanelTop(); chooseSound(i, "original"); },
  onSpot: (x, y) => { showPanelTop(); chooseSpot(x, y); },
  onMorph: (a, b) => { showPanelTop(); setEnd("a", a); setEnd("b", b); playMorph(); },
  onHover: (i, x, y) => tip(i, x, y),
  onCross: (i, x, y) => { tip(i, x, y); if (i >= 0) say(describe(i)); },
});
const list = new SoundList($("list"), $("list-space"), {
  line: (i) => ({ name: data.names[i], note: note(i), colour: colourOf(i) }),
  onChoose: (i) => chooseSound(i, "original"),
  onMove: (i) => { map.hover = i; map.reveal(i); map.overlay(); say(describe(i)); },
});
const piano = new Piano(canvas("piano"), (p) => choosePitch(p));
const instrument = new Instrument({
  place: chosenPlace, way: chosenWay, how, title, player, say, sayError,
  heard: (wav, name) => {
    heard = { wav, name: `${run.name}_${name}` };
    button("download").disabled = false;
  },
});

/** Tell everybody, and who listens instead of looks. @param {string} text @param {boolean} [bad] */
function say(text, bad = false) {
  $("said").textContent = text;
  $("said").classList.toggle("bad", bad);
}

/** @param {unknown} error */
function sayError(error) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  if (error instanceof Refusal) say(error.message, true);
  else if (error instanceof TypeError) say("The explorer's server does not answer; is it still running?", true);
  else {
    say("This sound could not be played.", true);
    console.error(error);
  }
}

/** What was clicked on the map is described at the top of the panel, which may be scrolled. */
function showPanelTop() {
  $("panel").scrollTop = 0;
}

// ---- words about sounds -------------------------------------------------------------------------

/** @param {string} name */
const columnOf = (name) => data.columns.find((/** @type {any} */ c) => c.name === name);

/** @param {any} c @param {number} i @returns {string} */
function valueOf(c, i) {
  const value = c.kind === "number" ? c.values[i] : c.values[c.codes[i]];
  if (value === null || value === "") return "";
  return c.name === "pitch" && Number.isInteger(value) ? `${noteName(value)} (${value})` : String(value);
}

/** @param {number} i */
function note(i) {
  const c = columnOf("pitch");
  const value = c?.kind === "number" ? c.values[i] : null;
  return value === null ? "" : noteName(value);
}

/** @param {number} i */
function describe(i) {
  const labels = data.columns.filter((/** @type {any} */ c) => c.name !== "split").slice(0, 4)
    .map((/** @type {any} */ c) => valueOf(c, i) && `${c.name} ${valueOf(c, i)}`).filter(Boolean);
  return [data.names[i], ...labels].join(", ");
}

/** @param {number} i @returns {number | null} */
function ownPitch(i) {
  const c = columnOf("pitch");
  return c?.kind === "number" ? c.values[i] : null;
}

/** @param {number} i */
function colourOf(i) {
  return map.styles[map.style[i]]?.colour ?? "#93a2b7";
}

/** @param {number} i @param {number} x @param {number} y */
function tip(i, x, y) {
  const box = $("tip");
  box.hidden = i < 0;
  if (i < 0) return;
  const [title, rest] = /** @type {[HTMLElement, HTMLElement]} */ ([...box.children]);
  title.textContent = data.names[i];
  rest.textContent = data.columns.map((/** @type {any} */ c) => valueOf(c, i)).filter(Boolean).join(" · ");
  const stage = $("stage");
  box.style.left = `${Math.max(4, Math.min(x + 16, stage.clientWidth - box.offsetWidth - 8))}px`;
  box.style.top = `${y + 18 + box.offsetHeight > stage.clientHeight ? y - box.offsetHeight - 12 : y + 18}px`;
}

// ---- selecting and hearing ----------------------------------------------------------------------

function startAsking() {
  asking.abort();
  asking = new AbortController();
  return asking.signal;
}

/** @param {number} i @param {"original" | "model" | null} play */
async function chooseSound(i, play) {
  const signal = startAsking();
  wish = play;
  selected = { kind: "sound", index: i };
  clips = { original: null, model: null };
  map.selected = i;
  map.spot = null;
  map.reveal(i);
  map.overlay();
  list.mark(i);
  showCard();
  const fetchOne = async (/** @type {"original" | "model"} */ which) => {
    try {
      const clip = await soundClip(data.rows[i], which === "model" ? "reconstruction" : "original", which === "model" ? pitch : null, how(), signal);
      clips[which] = clip;
      showClips();
      if (wish === which) hear(which);
    } catch (error) {
      sayError(error);
    }
  };
  const first = play ?? "original";
  showSimilar(i);
  await Promise.all([fetchOne(first), fetchOne(first === "model" ? "original" : "model")]);
  showLost();
}

/** @param {number[]} rows @returns {number[]} where they stand on the page */
function placesOf(rows) {
  const indexOf = new Map(data.rows.map((/** @type {number} */ row, /** @type {number} */ i) => [row, i]));
  return rows.map((row) => indexOf.get(row)).filter((/** @type {any} */ i) => i !== undefined);
}

/** The sounds most like the selected one, named on its card. @param {number} i */
async function showSimilar(i) {
  try {
    const { near, by } = await getJson(`/api/sounds/${data.rows[i]}/similar`);
    if (selected?.kind !== "sound" || selected.index !== i) return;
    selected = { ...selected, near: placesOf(near), by };
    showNear();
  } catch (error) {
    sayError(error);
  }
}

/** @param {number} x @param {number} y */
async function chooseSpot(x, y) {
  const signal = startAsking();
  selected = { kind: "spot", x, y, near: [], pitch: null };
  clips = { original: null, model: null };
  map.selected = -1;
  map.spot = { x, y, near: [], far: false };
  map.overlay();
  list.mark(-1);
  showCard();
  try {
    const answer = await ask("/api/point", { map: mapName, x, y, pitch, ...how() }, signal);
    const near = placesOf(answer.near);
    selected = { kind: "spot", x, y, near, pitch: answer.pitch, labels: answer.labels };
    clips.model = inlineClip(answer.clip);
    map.spot = { x, y, near, far: answer.far };
    map.overlay();
    showCard();
    $("far").hidden = !answer.far;
    $("far").textContent = answer.far
      ? `Far from all sounds: the nearest is ${answer.ratio.toFixed(1)} times the usual distance away. What you hear is a guess of the model.`
      : "";
    hear("model");
  } catch (error) {
    sayError(error);
  }
}

/** Play one of the two clips of what is selected. @param {"original" | "model"} which */
function hear(which) {
  const clip = clips[which];
  wish = clip ? null : which;
  if (!clip || !selected) return;
  const name = which === "original" ? "original" : selected.kind === "sound" ? "reconstruction" : selected.kind;
  const what = title();
  heard = { wav: clip.wav, name: [run.name, what, name, pitch !== null && which === "model" ? noteName(pitch) : ""].filter(Boolean).join("_") };
  button("download").disabled = false;
  $("figure-original").classList.toggle("sounding", which === "original");
  $("figure-model").classList.toggle("sounding", which === "model");
  const far = selected.kind === "spot" && map.spot?.far ? " " + $("far").textContent : "";
  const near = selected.kind === "spot" && selected.near.length ? ` nearest: ${data.names[selected.near[0]]}.` : "";
  const words = {
    original: `Playing the original of ${what}.`,
    reconstruction: `Playing what the model keeps of ${what}${pitch !== null ? `, at ${noteName(pitch)}` : ""}.`,
    spot: `Playing what the model makes at this spot;${near}${far}`,
    morph: `Playing the morph at ${selected.kind === "morph" ? Math.round(selected.at * 100) : 0} percent.`,
  };
  say(words[name]);
  player.play([clip.wav]).then(() => {
    $("figure-original").classList.remove("sounding");
    $("figure-model").classList.remove("sounding");
  }).catch(sayError);
}

// ---- what is lost where -------------------------------------------------------------------------

const STAGES = {
  phase: "with its true magnitudes and phase found for them",
  picture: "from its own picture, without the model",
  model: "through the model",
};

/** What is lost where of a sound, asked once; null when another is selected by then. @param {number} index */
async function lostOf(index) {
  if (lost?.index !== index) {
    const query = soundBy === null ? "" : `?sound_by=${encodeURIComponent(soundBy)}`;
    lost = { index, answer: getJson(`/api/sounds/${data.rows[index]}/lost${query}`) };
  }
  try {
    const answer = await lost.answer;
    return selected?.kind === "sound" && selected.index === index ? answer : null;
  } catch (error) {
    lost = null;
    throw error;
  }
}

/** Another sound's figures are not shown beside this one. */
function clearLost() {
  $("lost").hidden = selected?.kind !== "sound";
  if (selected?.kind === "sound" && lost?.index === selected.index) return;
  $("lost-words").textContent = "";
  for (const cell of $("lost").querySelectorAll("tbody td")) cell.textContent = "";
}

/** The figures of the selected sound, measured when the part of the card that shows them is open. */
async function showLost() {
  if (selected?.kind !== "sound" || !element("lost", HTMLDetailsElement).open) return;
  $("lost-words").textContent ||= "Being measured …";
  try {
    const answer = await lostOf(selected.index);
    if (!answer) return;
    for (const name of Object.keys(STAGES)) {
      const { mr_stft, log_mel_rmse_db, level_db } = answer.stages[name];
      const sign = level_db >= 0.05 ? "+" : level_db <= -0.05 ? "−" : "";
      const texts = [mr_stft.toFixed(2), `${log_mel_rmse_db.toFixed(1)} dB`, `${sign}${Math.abs(level_db).toFixed(1)} dB`];
      $(`lost-${name}`).querySelectorAll("td").forEach((cell, i) => { cell.textContent = texts[i]; });
    }
    $("lost-words").textContent = answer.sentence;
  } catch (error) {
    clearLost();
    sayError(error);
  }
}

/** Play one of the renderings that lose something. @param {keyof typeof STAGES} name */
async function hearLost(name) {
  if (selected?.kind !== "sound") return say("Select a sound first, then hear what is lost of it.");
  wish = null;
  element("lost", HTMLDetailsElement).open = true;
  try {
    const answer = await lostOf(selected.index);
    if (!answer) return;
    const clip = inlineClip(answer.stages[name].clip);
    heard = { wav: clip.wav, name: [run.name, title(), name].join("_") };
    button("download").disabled = false;
    say(`Playing ${title()} ${STAGES[name]}.`);
    $(`lost-${name}`).classList.add("sounding");
    await player.play([clip.wav]);
  } catch (error) {
    sayError(error);
  } finally {
    $(`lost-${name}`).classList.remove("sounding");
  }
}

function title() {
  if (!selected) return "";
  if (selected.kind === "sound") return data.names[selected.index];
  if (selected.kind === "spot") return "Between the sounds";
  return `${data.names[selected.a]} → ${data.names[selected.b]}`;
}

/** What is selected, as the server is told; null when nothing is. */
function chosenPlace() {
  if (!selected) return null;
  if (selected.kind === "sound") return placeOf(selected.index);
  if (selected.kind === "spot") return { kind: "spot", map: mapName, x: selected.x, y: selected.y };
  return { kind: "morph", a: data.rows[selected.a], b: data.rows[selected.b], at: selected.at, path: select("morph-kind").value };
}

/** @param {number} index */
const placeOf = (index) => ({ kind: "sound", row: data.rows[index] });

/** The ends of the morph, as the server is told; null when there are none. */
function chosenWay() {
  const ready = ends.a >= 0 && ends.b >= 0 && ends.a !== ends.b;
  return ready ? { place: placeOf(ends.a), end: placeOf(ends.b) } : null;
}

function showCard() {
  if (!selected) return;
  const kinds = { sound: "Sound", spot: "Made by the model", morph: "Morph" };
  $("card-kind").textContent = selected.kind === "morph" ? `Morph, ${Math.round(selected.at * 100)} % of the way` : kinds[selected.kind];
  $("card-name").textContent = title();
  $("far").hidden = true;
  $("hint").hidden = true; // it was understood
  const labels = [];
  if (selected.kind === "sound") {
    for (const c of data.columns) {
      const value = valueOf(c, selected.index);
      if (value) labels.push([c.name, value]);
    }
  } else {
    if (selected.pitch !== null) labels.push(["pitch", noteName(selected.pitch)]);
    if (selected.kind === "spot") {
      for (const [name, value] of Object.entries(selected.labels ?? {})) labels.push([name, String(value ?? "") || "unknown"]);
      labels.push([mapName.toUpperCase(), `${selected.x.toFixed(2)}, ${selected.y.toFixed(2)}`]);
    }
  }
  $("card-labels").replaceChildren(...labels.map(([name, value]) => {
    const line = document.createElement("li");
    const word = document.createElement("span");
    word.textContent = name;
    line.append(word, value);
    return line;
  }));
  showNear();
  showPitch();
  showClips();
}

/** What is like the selected sound, or lies near the spot. */
function showNear() {
  const near = selected && selected.kind !== "morph" ? selected.near ?? [] : [];
  const words = { latent: "Most alike for the model", sound: "Most alike to the ear", both: "Most alike, to the model and the ear" };
  $("near").hidden = !near.length;
  $("near-title").textContent = selected?.kind === "sound" && selected.by ? words[/** @type {keyof typeof words} */ (selected.by)] : "Nearest sounds";
  $("near-list").replaceChildren(...near.map((i) => {
    const line = document.createElement("li");
    const go = document.createElement("button");
    go.type = "button";
    const name = document.createElement("span");
    name.textContent = data.names[i];
    const small = document.createElement("small");
    small.textContent = note(i);
    go.append(name, small);
    go.addEventListener("click", () => chooseSound(i, "original"));
    line.append(go);
    return line;
  }));
}

function showClips() {
  const sound = selected?.kind === "sound";
  $("pictures").classList.toggle("one", selected !== null && !sound);
  $("figure-original").hidden = selected !== null && !sound;
  button("play-original").hidden = selected !== null && !sound;
  clearLost();
  button("play-original").disabled = !clips.original;
  button("to-effects").disabled = !clips.original && !clips.model;
  button("play-model").disabled = !clips.model;
  $("play-model-word").textContent = sound || !selected ? "Reconstruction" : "Play again";
  $("model-caption").textContent = sound || !selected ? "reconstruction" : "what the model makes";
  drawPicture(canvas("picture-original"), clips.original);
  drawPicture(canvas("picture-model"), clips.model);
  const clip = clips.model ?? clips.original;
  $("axes").textContent = clip && run
    ? `0 to ${(run.seconds * clip.frames / run.frames).toFixed(2)} s · 0 to ${run.sample_rate / 2000} kHz in ${clip.mels} mel bands · ${Math.round(-run.floor_db)} dB from black to white`
    : "";
  const own = sound || selected?.kind === "spot" && selected.near.length > 0;
  button("set-a").disabled = button("set-b").disabled = !own;
}

// ---- pitch --------------------------------------------------------------------------------------

function currentOwnPitch() {
  if (selected?.kind === "sound") return ownPitch(selected.index);
  return selected?.pitch ?? null;
}

function showPitch() {
  const shown = pitch ?? currentOwnPitch() ?? 60;
  input("pitch-own").checked = pitch === null;
  input("pitch-number").value = String(shown);
  $("pitch-name").textContent = noteName(shown);
  piano.show(shown, pitch === null);
}

/** @param {number | null} chosen null: as the sound */
function choosePitch(chosen) {
  if (!run?.pitched) return;
  pitch = chosen;
  morphed = null;
  showPitch();
  say(pitch === null ? "Pitch as the sound." : `Pitch ${noteName(pitch)}.`);
  makeAgain();
}

/** What the model is told has changed: hear what is selected anew. */
function makeAgain() {
  if (selected?.kind === "sound") refetchModel(selected.index);
  else if (selected?.kind === "spot") chooseSpot(selected.x, selected.y);
  else if (selected?.kind === "morph") morphAt(selected.at);
}

/** How the model's sounds are to be made. @returns {import("./api.js").How} */
function how() {
  return { labels: told, toward, sound_by: soundBy };
}

// ---- what makes the sound -----------------------------------------------------------------------

/** A choice where there is one. */
function showMakers() {
  const box = select("sound-by");
  $("sound-by-line").hidden = run.makers.length < 2;
  if (box.dataset.made === run.makers.join()) return;
  box.dataset.made = run.makers.join();
  box.replaceChildren(...run.makers.map((/** @type {string} */ name) => new Option(maker(name), name)));
  soundBy = null;
}

/** @param {string} name */
const maker = (name) => name === "classical" ? "the classical way" : `the vocoder ${name}`;

/** @param {string} name */
function chooseMaker(name) {
  soundBy = name;
  morphed = lost = null;
  clearLost();
  say(`Sound by ${maker(name)}.`);
  makeAgain();
  showLost();
}

// ---- other labels that the model is told --------------------------------------------------------

/** @param {string} name @param {string | null} value null: as the sound; empty: unknown */
function chooseLabel(name, value) {
  const { [name]: _, ...others } = told;
  told = value === null ? others : { ...others, [name]: value };
  morphed = null;
  say(`${name} ${value === null ? "as the sound" : value || "unknown"}.`);
  makeAgain();
}

/** One line per label: a list of its words, or a slider for a MIDI number. */
function showConditions() {
  $("told-card").hidden = !run.conditions.length;
  const made = run.conditions.map((/** @type {any} */ c) => c.name + c.words).join();
  if ($("told").dataset.made === made) return;
  $("told").dataset.made = made;
  told = {};
  $("told").replaceChildren(...run.conditions.map((/** @type {any} */ c) => c.number ? numberLine(c.name) : wordLine(c)));
}

/** @param {string} name */
function toldLine(name) {
  const line = document.createElement("label");
  line.className = "pick";
  const word = document.createElement("span");
  word.className = "word";
  word.textContent = name;
  line.append(word);
  return line;
}

/** @param {{name: string, words: string[]}} condition */
function wordLine({ name, words }) {
  const line = toldLine(name), choice = document.createElement("select");
  const own = "own"; // as the sound: an option that is no word of the label
  const options = [new Option("as the sound", own), ...words.map((word) => new Option(word, `=${word}`)), new Option("unknown", "=")];
  choice.append(...options);
  choice.addEventListener("change", () => chooseLabel(name, choice.value === own ? null : choice.value.slice(1)));
  line.append(choice);
  return line;
}

/** @param {string} name */
function numberLine(name) {
  const line = toldLine(name);
  const slider = Object.assign(document.createElement("input"), { type: "range", min: "0", max: "127", value: "100", disabled: true });
  const shown = Object.assign(document.createElement("output"), { value: "" });
  const own = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
  const check = document.createElement("label");
  check.className = "check";
  check.append(own, " as the sound");
  slider.setAttribute("aria-label", name);
  const changed = () => {
    slider.disabled = own.checked;
    shown.value = own.checked ? "" : slider.value;
    chooseLabel(name, own.checked ? null : slider.value);
  };
  slider.addEventListener("change", changed);
  slider.addEventListener("input", () => { shown.value = slider.value; });
  own.addEventListener("change", changed);
  line.append(slider, shown);
  const row = document.createElement("div");
  row.className = "row";
  row.append(line, check);
  return row;
}

// ---- named directions ---------------------------------------------------------------------------

const MOST_STEPS = 3;

/** One slider per direction, with what it is worth; the weak ones folded away. */
function showDirections() {
  const known = run.directions;
  $("toward-card").hidden = !known.length;
  const made = JSON.stringify(known);
  if ($("toward").dataset.made === made) return;
  $("toward").dataset.made = made;
  toward = {};
  $("toward").replaceChildren(...known.filter((/** @type {any} */ d) => !d.weak).map(directionLine));
  const weak = known.filter((/** @type {any} */ d) => d.weak);
  $("toward-weak").hidden = !weak.length;
  $("toward-weak-lines").replaceChildren(...weak.map(directionLine));
  button("toward-reset").disabled = true;
}

/** @param {number | null} v */
const figure = (v) => v === null ? "–" : v.toFixed(2).replace("-", "−");

/** @param {number} v */
const signed = (v) => v > 0 ? `+${v}` : String(v).replace("-", "−");

/** @param {{name: string, about: string, correlation: number | null, monotonicity: number | null}} direction */
function directionLine({ name, about, correlation, monotonicity }) {
  const line = document.createElement("div"), word = document.createElement("label");
  line.className = "direction";
  line.title = about;
  const slider = Object.assign(document.createElement("input"), {
    type: "range", min: String(-MOST_STEPS), max: String(MOST_STEPS), step: "0.1", value: "0", id: `toward-${name}`,
  });
  word.htmlFor = slider.id;
  word.textContent = name;
  const steps = Object.assign(document.createElement("output"), { value: "0" });
  const worth = document.createElement("small");
  worth.textContent = `${figure(correlation)} / ${figure(monotonicity)}`;
  slider.setAttribute("aria-description", `${about}; ${figure(correlation)} on held-out sounds, ${figure(monotonicity)} after decoding`);
  slider.addEventListener("input", () => { steps.value = signed(Number(slider.value)); });
  slider.addEventListener("change", () => chooseDirection(name, Number(slider.value)));
  line.append(word, slider, steps, worth);
  return line;
}

/** @param {string} name @param {number} steps */
function chooseDirection(name, steps) {
  const { [name]: _, ...others } = toward;
  toward = steps === 0 ? others : { ...others, [name]: steps };
  morphed = null;
  button("toward-reset").disabled = !Object.keys(toward).length;
  say(`${name} ${signed(steps)}.`);
  makeAgain();
}

function resetDirections() {
  if (!Object.keys(toward).length) return say("No direction is set.");
  toward = {};
  morphed = null;
  for (const line of $("toward-card").querySelectorAll(".direction")) {
    const slider = line.querySelector("input"), steps = line.querySelector("output");
    if (slider && steps) slider.value = steps.value = "0";
  }
  button("toward-reset").disabled = true;
  say("All directions back to nothing.");
  makeAgain();
}

/** @param {number} i */
async function refetchModel(i) {
  const signal = startAsking();
  try {
    if (!clips.original) clips.original = await soundClip(data.rows[i], "original", null, how(), signal);
    clips.model = await soundClip(data.rows[i], "reconstruction", pitch, how(), signal);
    showClips();
    hear("model");
  } catch (error) {
    sayError(error);
  }
}

// ---- morph --------------------------------------------------------------------------------------

/** @param {"a" | "b"} which @param {number} [i] without it: what is selected */
function setEnd(which, i) {
  const index = i ?? (selected?.kind === "sound" ? selected.index : selected?.kind === "spot" ? selected.near[0] : undefined);
  if (index === undefined) return say("Select a sound first, then make it an end of the morph.");
  ends[which] = index;
  morphed = null;
  $(`end-${which}`).textContent = data.names[index];
  button(`set-${which}`).title = data.names[index];
  const ready = ends.a >= 0 && ends.b >= 0 && ends.a !== ends.b;
  input("morph-at").disabled = button("morph-play").disabled = button("glide-play").disabled = !ready;
  button("morph-download").disabled = true;
  map.morph = ready ? { ...ends, steps: morphSteps(), at: -1 } : null;
  showWay();
  if (i === undefined) say(`${data.names[index]} is the ${which === "a" ? "start" : "end"} of the morph.`);
}

/** Draw where the way from A to B runs on this map; a straight line until that is known. */
async function showWay() {
  map.way = null;
  map.overlay();
  if (!map.morph) return;
  const asked = { a: data.rows[ends.a], b: data.rows[ends.b], kind: select("morph-kind").value, map: mapName };
  const { version } = data;
  try {
    const way = await ask("/api/way", asked);
    const now = map.morph && data.rows[ends.a] === asked.a && data.rows[ends.b] === asked.b;
    if (!now || data.version !== version || mapName !== asked.map || select("morph-kind").value !== asked.kind) return;
    map.way = way;
    map.overlay();
  } catch (error) {
    sayError(error);
  }
}

function morphSteps() {
  const steps = Math.round(Number(input("morph-steps").value));
  return Number.isFinite(steps) ? Math.min(32, Math.max(2, steps)) : 8;
}

/** @param {{at: number, pitch: number | null, clip: Clip}} step */
function showStep(step) {
  selected = { kind: "morph", ...ends, at: step.at, pitch: step.pitch };
  clips = { original: null, model: step.clip };
  map.selected = -1;
  map.spot = null;
  map.morph = { ...ends, steps: morphSteps(), at: step.at };
  map.overlay();
  input("morph-at").value = String(Math.round(step.at * 100));
  heard = { wav: step.clip.wav, name: `${run.name}_${title()}_${Math.round(step.at * 100)}` };
  button("download").disabled = false;
  showCard();
}

/** @param {any} answer */
const stepsOf = (answer) => answer.steps.map((/** @type {any} */ s) => ({ at: s.at, pitch: s.pitch, clip: inlineClip(s.clip) }));

async function playMorph() {
  if (ends.a < 0 || ends.b < 0 || ends.a === ends.b) return say("Set two different sounds, A and B, then play the morph.");
  const signal = startAsking();
  const steps = morphSteps(), kind = select("morph-kind").value;
  const key = [ends.a, ends.b, steps, kind, pitch, JSON.stringify(how()), data.version].join();
  try {
    if (morphed?.key !== key) {
      say(`Making a morph in ${steps} steps …`);
      const answer = await ask("/api/morph", { a: data.rows[ends.a], b: data.rows[ends.b], steps, kind, pitch, ...how() }, signal);
      morphed = { key, steps: stepsOf(answer) };
    }
    const made = morphed.steps;
    button("morph-download").disabled = false;
    say(`Playing the morph from ${data.names[ends.a]} to ${data.names[ends.b]} in ${steps} steps.`);
    showStep(made[0]);
    await player.play(made.map((s) => s.clip.wav), { each: STEP_SECONDS, onStep: (i) => showStep(made[i]) });
  } catch (error) {
    sayError(error);
  }
}

async function playGlide() {
  const signal = startAsking();
  const seconds = Math.min(30, Math.max(0.5, Number(input("glide-seconds").value) || 3));
  input("glide-seconds").value = String(seconds);
  try {
    say(`Making one sound of ${seconds} seconds …`);
    const answer = await ask("/api/glide", {
      a: data.rows[ends.a], b: data.rows[ends.b], seconds, kind: select("morph-kind").value, pitch, ...how(),
    }, signal);
    showStep({ at: 1, pitch, clip: inlineClip(answer.clip) });
    $("card-kind").textContent = "Glide: one sound from A to B";
    say(`Playing one sound that goes from ${data.names[ends.a]} to ${data.names[ends.b]}.`);
    await player.play([inlineClip(answer.clip).wav]);
  } catch (error) {
    sayError(error);
  }
}

let morphWaiting = -1; // the newest place of the slider while an older one is being made
let morphBusy = false;
let morphHeard = -Infinity;

/** A dragged morph is heard on its way, too: each step for SOUNDING ms at least. @param {number} at 0..1 */
async function morphAt(at) {
  morphWaiting = at;
  if (morphBusy || ends.a < 0 || ends.b < 0) return;
  morphBusy = true;
  try {
    while (morphWaiting >= 0) {
      const place = morphWaiting;
      morphWaiting = -1;
      const answer = await ask("/api/morph", {
        a: data.rows[ends.a], b: data.rows[ends.b], at: place, kind: select("morph-kind").value, pitch, ...how(),
      });
      if (morphWaiting >= 0 && performance.now() - morphHeard < SOUNDING) continue;
      showStep(stepsOf(answer)[0]);
      hear("model");
      morphHeard = performance.now();
    }
  } catch (error) {
    sayError(error);
  } finally {
    morphBusy = false;
  }
}

/** @param {ArrayBuffer} wav @param {string} name */
function download(wav, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([wav], { type: "audio/wav" }));
  link.download = `${name.replace(/♯/g, "s").replace(/→/g, "to").replace(/[^\w.-]+/g, "-").slice(0, 120)}.wav`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  say(`Saved ${link.download}.`);
}

function downloadHeard() {
  if (heard) download(heard.wav, heard.name);
}

/** Play effects on the selected sound; on what the model made of a spot or a morph, which is handed over. */
async function toEffects() {
  if (!selected) return say("Select a sound or a spot first, then play effects on it.");
  try {
    const row = selected.kind === "sound" ? data.rows[selected.index] : heard && (await drop(heard.wav, title())).sound;
    if (row !== null) location.href = `/effects?sound=${row}`;
  } catch (error) {
    sayError(error);
  }
}

// ---- colours, legend, list ----------------------------------------------------------------------

/** @param {any} c @returns {[number, number]} */
function rangeOf(c) {
  let low = Infinity, high = -Infinity;
  for (const v of c.values) {
    if (v === null) continue;
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  return [low, high];
}

function paint() {
  const n = data.rows.length;
  const style = new Uint16Array(n);
  if (!column) return map.paint(style, [{ colour: "#6cc5f0", shape: "circle" }]);
  if (column.kind === "number") {
    const [low, high] = rangeOf(column);
    const styles = Array.from({ length: NUMBER_STYLES }, (_, i) => ({ colour: numberColour(i / (NUMBER_STYLES - 1)), shape: "circle" }));
    styles.push({ colour: "#5d6b7f", shape: "circle" }); // no value
    for (let i = 0; i < n; i++) {
      const v = column.values[i];
      style[i] = v === null ? NUMBER_STYLES : Math.round(((v - low) / (high - low || 1)) * (NUMBER_STYLES - 1));
    }
    map.paint(style, styles);
  } else {
    const styles = column.values.map((/** @type {string} */ word, /** @type {number} */ i) => word === "" ? { colour: "#5d6b7f", shape: "circle" } : wordStyle(i));
    for (let i = 0; i < n; i++) style[i] = column.codes[i];
    map.paint(style, styles);
  }
}

function legend() {
  const box = $("legend");
  box.replaceChildren();
  if (!column) return;
  if (column.kind === "number") {
    const [low, high] = rangeOf(column);
    const scale = document.createElement("div");
    scale.className = "scale";
    const show = (/** @type {number} */ v) => column.name === "pitch" ? `${noteName(v)} (${v})` : String(Math.round(v * 100) / 100);
    const bar = document.createElement("canvas");
    bar.width = 256;
    bar.height = 1;
    bar.setAttribute("role", "img");
    bar.setAttribute("aria-label", `${column.name} from ${show(low)} to ${show(high)}`);
    const to = /** @type {CanvasRenderingContext2D} */ (bar.getContext("2d"));
    for (let x = 0; x < 256; x++) {
      to.fillStyle = numberColour(x / 255);
      to.fillRect(x, 0, 1, 1);
    }
    const texts = [show(low), show(high)].map((text) => Object.assign(document.createElement("span"), { textContent: text }));
    scale.append(texts[0], bar, texts[1]);
    box.append(scale);
    return;
  }
  const counts = new Array(column.values.length).fill(0);
  for (const code of column.codes) counts[code]++;
  const off = hidden.get(column.name) ?? new Set();
  hidden.set(column.name, off);
  column.values.slice(0, LEGEND_WORDS).forEach((/** @type {string} */ word, /** @type {number} */ code) => {
    const entry = document.createElement("button");
    entry.type = "button";
    entry.setAttribute("aria-pressed", String(!off.has(code)));
    entry.title = "Click: show or hide; double click: only this one";
    const sample = document.createElement("canvas");
    sample.className = "mark";
    sample.width = sample.height = 24;
    const to = /** @type {CanvasRenderingContext2D} */ (sample.getContext("2d"));
    const { colour, shape } = map.styles[code];
    mark(to, shape, 12, 12, 8);
    to.fillStyle = colour;
    to.fill();
    const count = document.createElement("small");
    count.textContent = String(counts[code]);
    entry.append(sample, word || "(none)", count);
    entry.addEventListener("click", () => toggle(code));
    entry.addEventListener("dblclick", () => only(code));
    box.append(entry);
  });
  if (column.values.length > LEGEND_WORDS) {
    const more = document.createElement("span");
    more.className = "quiet";
    more.textContent = `and ${column.values.length - LEGEND_WORDS} more`;
    box.append(more);
  }
}

/** @param {number} code */
function toggle(code) {
  const off = hidden.get(column.name) ?? new Set();
  if (!off.delete(code)) off.add(code);
  hidden.set(column.name, off);
  say(`${column.values[code] || "(none)"} ${off.has(code) ? "hidden" : "shown"}.`);
  afterFilter();
}

/** @param {number} code */
function only(code) {
  const off = /** @type {Set<number>} */ (hidden.get(column.name) ?? new Set());
  const alone = off.size === column.values.length - 1 && !off.has(code);
  off.clear();
  if (!alone) column.values.forEach((/** @type {string} */ _, /** @type {number} */ i) => { if (i !== code) off.add(i); });
  hidden.set(column.name, off);
  afterFilter();
}

function afterFilter() {
  const off = hidden.get(column?.name) ?? new Set();
  const entries = $("legend").querySelectorAll("button");
  entries.forEach((entry, code) => entry.setAttribute("aria-pressed", String(!off.has(code))));
  const shown = new Uint8Array(data.rows.length).fill(1);
  if (column?.kind === "category") column.codes.forEach((/** @type {number} */ code, /** @type {number} */ i) => { if (off.has(code)) shown[i] = 0; });
  map.show(shown);
  fillList();
}

/** @type {string[]} */ let haystack = [];

function fillList() {
  const words = input("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  for (let i = 0; i < data.rows.length; i++) {
    if (map.visible[i] && words.every((word) => haystack[i].includes(word))) found.push(i);
  }
  list.fill(found);
  $("list-count").textContent = found.length === data.rows.length ? `${found.length}` : `${found.length} of ${data.rows.length}`;
}

/** @param {string} name */
function colourBy(name) {
  column = columnOf(name) ?? null;
  select("colour-by").value = name;
  paint();
  legend();
  afterFilter();
}

/** @param {string} name @param {boolean} glide */
function showMap(name, glide) {
  mapName = name;
  for (const entry of $("map-switch").children) {
    const on = entry instanceof HTMLElement && entry.dataset.map === name;
    entry.setAttribute("aria-checked", String(on));
    if (entry instanceof HTMLElement) entry.tabIndex = on ? 0 : -1;
  }
  const [xs, ys] = data.maps[name] ?? [[], []];
  map.place(xs, ys, { glide });
  showWay();
  if (selected?.kind === "spot") {
    selected = null; // its place means nothing on the other map
    $("card-kind").textContent = "Nothing selected";
  }
}

function mapSwitch() {
  const names = Object.keys(data.maps);
  $("map-switch").replaceChildren(...names.map((name) => {
    const entry = document.createElement("button");
    entry.type = "button";
    entry.dataset.map = name;
    entry.setAttribute("role", "radio");
    entry.textContent = name.toUpperCase();
    entry.addEventListener("click", () => { showMap(name, true); say(`${name.toUpperCase()} map.`); });
    entry.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = names[(names.indexOf(name) + step + names.length) % names.length];
      showMap(next, true);
      /** @type {HTMLElement | null} */ ($("map-switch").querySelector("[aria-checked=true]"))?.focus();
    });
    return entry;
  }));
}

// ---- the run ------------------------------------------------------------------------------------

async function loadMap() {
  const before = data;
  const selectedRow = selected?.kind === "sound" ? before.rows[selected.index] : null;
  const endRows = [before.rows[ends.a], before.rows[ends.b]];
  data = await getJson("/api/map");
  haystack = data.rows.map((/** @type {number} */ row, /** @type {number} */ i) =>
    [data.names[i], ...data.columns.map((/** @type {any} */ c) => valueOf(c, i))].join(" ").toLowerCase());
  $("empty").hidden = data.rows.length > 0;
  $("hint").hidden = !data.rows.length;
  const glide = before.rows.length === data.rows.length && before.rows.every((/** @type {number} */ row, /** @type {number} */ i) => row === data.rows[i]);
  morphed = lost = map.morph = null;
  asking.abort();
  const choices = data.columns.map((/** @type {any} */ c) => new Option(c.name, c.name));
  choices.push(new Option("nothing", ""));
  select("colour-by").replaceChildren(...choices);
  mapSwitch();
  const names = Object.keys(data.maps);
  showMap(data.maps[mapName] ? mapName : names.includes("umap") ? "umap" : names[0] ?? "", glide);
  const first = ["effect", "family", "instrument"].find(columnOf) ?? data.columns[0]?.name ?? "";
  colourBy(column && columnOf(column.name) ? column.name : first);
  const find = (/** @type {number} */ row) => data.rows.indexOf(row);
  /** @type {const} */ (["a", "b"]).forEach((which, k) => {
    const i = endRows[k] === undefined ? -1 : find(endRows[k]);
    ends[which] = -1;
    if (i >= 0) setEnd(which, i);
  });
  const again = selectedRow === null ? -1 : find(selectedRow);
  map.selected = -1;
  if (again >= 0) await chooseSound(again, null);
  else if (selected) {
    selected = null;
    clips = { original: null, model: null };
  }
}

function showRun() {
  $("run-name").textContent = run.name;
  document.title = `${run.name} · timbrespace`;
  $("run-facts").textContent = [
    run.sounds ? `${run.sounds.toLocaleString("en")} sounds` : "no map yet",
    run.latent ? `${run.latent} dimensions` : "",
    `${run.mels} mels`,
  ].filter(Boolean).join(" · ");
  const { verdict, distortion_db, bits_per_sound } = run.quality;
  $("verdict").textContent = verdict || "";
  $("figure-db").textContent = distortion_db === null ? "–" : `${distortion_db.toFixed(1)} dB`;
  $("figure-bits").textContent = bits_per_sound === null ? "–" : `${bits_per_sound < 10 ? bits_per_sound.toFixed(1) : Math.round(bits_per_sound)} bits`;
  const { epoch, epochs, finished, running } = run.training;
  $("training").classList.toggle("done", finished);
  $("training-word").textContent = finished ? "trained" : running ? "training goes on" : "training paused";
  $("training-text").textContent = epoch === null ? "–" : finished ? `${epoch} epochs` : epochs === null ? `epoch ${epoch}` : `epoch ${epoch} of ${epochs}`;
  const bar = element("training-bar", HTMLProgressElement);
  bar.value = epoch !== null && epochs ? epoch / epochs : 0;
  showMakers();
  showConditions();
  showDirections();
  $("pitch-card").hidden = !run.pitched;
  if (run.pitched && run.pitches) piano.setRange(run.pitches);
  instrument.show(run);
}

let unreachable = false;

async function poll() {
  try {
    run = await getJson("/api/run");
    showRun();
    if (unreachable) say("The server answers again.");
    unreachable = false;
    if (run.version !== data.version) {
      const first = data.version === null || !data.rows.length;
      await loadMap();
      if (data.rows.length) say(first ? `${data.rows.length} sounds on the map. Press question mark for the keys.` : "The map moved on to the newest state of the training.");
    }
  } catch (error) {
    if (!unreachable) sayError(error);
    unreachable = true;
  }
  setTimeout(poll, run && run.training.finished && run.sounds ? POLL_DONE : POLL_TRAINING);
}

// ---- controls -----------------------------------------------------------------------------------

button("play-original").addEventListener("click", () => hear("original"));
button("play-model").addEventListener("click", () => hear("model"));
button("download").addEventListener("click", downloadHeard);
button("to-effects").addEventListener("click", toEffects);
$("lost").addEventListener("toggle", showLost);
for (const name of /** @type {(keyof typeof STAGES)[]} */ (Object.keys(STAGES))) {
  $(`lost-${name}`).querySelector("button")?.addEventListener("click", () => hearLost(name));
}
select("sound-by").addEventListener("change", () => chooseMaker(select("sound-by").value));
button("toward-reset").addEventListener("click", resetDirections);
button("set-a").addEventListener("click", () => setEnd("a"));
button("set-b").addEventListener("click", () => setEnd("b"));
button("morph-play").addEventListener("click", playMorph);
button("glide-play").addEventListener("click", playGlide);
button("morph-download").addEventListener("click", () => {
  if (morphed) download(joinWavs(morphed.steps.map((s) => s.clip.wav)), `${run.name}_morph_${data.names[ends.a]}_to_${data.names[ends.b]}`);
});
input("morph-at").addEventListener("input", () => {
  const at = Number(input("morph-at").value) / 100;
  map.morph = { ...ends, steps: morphSteps(), at };
  map.overlay();
  morphAt(at);
});
select("morph-kind").addEventListener("change", () => {
  showWay();
  if (selected?.kind === "morph") morphAt(selected.at);
});
input("morph-steps").addEventListener("change", () => {
  input("morph-steps").value = String(morphSteps());
  if (map.morph) map.morph.steps = morphSteps();
  map.overlay();
});
input("pitch-own").addEventListener("change", () => choosePitch(input("pitch-own").checked ? null : Number(input("pitch-number").value)));
input("pitch-number").addEventListener("change", () => {
  const asked = Number(input("pitch-number").value);
  const chosen = run?.fractions ? asked : Math.round(asked);
  if (Number.isFinite(chosen)) choosePitch(Math.min(127, Math.max(0, chosen)));
});
input("volume").addEventListener("input", () => player.setVolume(Number(input("volume").value) / 100));
select("colour-by").addEventListener("change", () => colourBy(select("colour-by").value));
input("search").addEventListener("input", fillList);
input("search").addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "Enter") {
    event.preventDefault();
    $("list").focus();
    list.moveTo(Math.max(list.at, 0), true);
    if (event.key === "Enter" && list.shown.length) chooseSound(list.shown[list.at], "original");
  }
});
button("zoom-in").addEventListener("click", () => map.zoom(1.5));
button("zoom-out").addEventListener("click", () => map.zoom(1 / 1.5));
button("zoom-reset").addEventListener("click", () => map.reset());
button("help-open").addEventListener("click", () => element("help", HTMLDialogElement).showModal());

/** @type {Record<string, (event: KeyboardEvent) => void>} */
const KEYS = {
  ...instrument.keys(),
  o: () => hear("original"),
  r: () => hear("model"),
  1: () => { hearLost("phase"); },
  2: () => { hearLost("picture"); },
  3: () => { hearLost("model"); },
  a: () => setEnd("a"),
  b: () => setEnd("b"),
  m: () => { playMorph(); },
  d: downloadHeard,
  f: () => { toEffects(); },
  "[": () => choosePitch(Math.max(0, (pitch ?? currentOwnPitch() ?? 60) - 1)),
  "]": () => choosePitch(Math.min(127, (pitch ?? currentOwnPitch() ?? 60) + 1)),
  p: () => choosePitch(null),
  z: resetDirections,
  "+": () => map.zoom(1.5),
  "=": () => map.zoom(1.5),
  "-": () => map.zoom(1 / 1.5),
  "0": () => map.reset(),
  "/": () => input("search").focus(),
  g: () => canvas("map").focus(),
  "?": () => element("help", HTMLDialogElement).showModal(),
  escape: () => { wish = null; player.stop(); asking.abort(); say("Silence."); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (element("help", HTMLDialogElement).open) return;
  const target = event.target;
  const typing = target instanceof HTMLInputElement && target.type !== "range" && target.type !== "checkbox" || target instanceof HTMLSelectElement;
  if (typing && event.key !== "Escape") return;
  const action = KEYS[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action(event);
});

showClips();
poll();
instrument.again();
