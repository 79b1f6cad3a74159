// @ts-check
// Questions to the explorer's server. Every answer is data; nothing of it is ever read as HTML.

/** An answer that says no, in one sentence. */
export class Refusal extends Error {
  /** @param {number} status @param {string} sentence */
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/**
 * @typedef {{wav: ArrayBuffer, picture: Uint8Array, mels: number, frames: number, seconds: number}} Clip
 */

/** @param {string} path @param {RequestInit} [options] @returns {Promise<Response>} */
async function fetched(path, options = {}) {
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(path, options);
    if (answer.ok) return answer;
    if (answer.status === 503 && attempt < 3) {
      await new Promise((resolve) => setTimeout(resolve, 700));
      continue;
    }
    let sentence = `The server answered ${answer.status}.`;
    try {
      sentence = (await answer.json()).error ?? sentence;
    } catch { /* no sentence in it */ }
    throw new Refusal(answer.status, sentence);
  }
}

/** @param {string} path */
export async function getJson(path) {
  return (await fetched(path)).json();
}

/** @param {string} path @param {object} question @param {AbortSignal} [signal] */
export async function ask(path, question, signal) {
  return (await asked(path, question, signal)).json();
}

/** @param {string} path @param {object} question @param {AbortSignal} [signal] */
function asked(path, question, signal) {
  const headers = { "content-type": "application/json" };
  return fetched(path, { method: "POST", headers, body: JSON.stringify(question), signal });
}

/** The bytes that answer a question. @param {string} path @param {object} question */
export async function getBytes(path, question) {
  return (await asked(path, question)).arrayBuffer();
}

/** Hand the server a sound file; its id. @param {Blob | ArrayBuffer} file @param {string} name @returns {Promise<{sound: number, name: string}>} */
export async function drop(file, name) {
  const headers = { "content-type": "application/octet-stream", "x-name": encodeURIComponent(name.slice(0, 120)) };
  return (await fetched("/api/effects/drop", { method: "POST", headers, body: file })).json();
}

/**
 * A sound through an effect: its channels, and what the server says of it; first, of: of a stretch,
 * at which sample of the sound it begins, and how many that has.
 * @typedef {{channels: Float32Array[], facts: {sample_rate: number, channels: number, lowered_db: number, setting: Record<string, number> | null, place: number[] | null, first: number | null, of: number | null}}} Wet
 * @param {object} question @returns {Promise<Wet>}
 */
export async function render(question) {
  const answer = await asked("/api/effects/render", question);
  const facts = JSON.parse(answer.headers.get("x-facts") ?? "{}");
  const all = new Float32Array(await answer.arrayBuffer());
  const size = all.length / facts.channels;
  return { facts, channels: Array.from({ length: facts.channels }, (_, i) => all.subarray(i * size, (i + 1) * size)) };
}

/** The picture of the same. @param {object} question @returns {Promise<{picture: Uint8Array, mels: number, frames: number}>} */
export async function picture(question) {
  const answer = await asked("/api/effects/picture", question);
  const size = (/** @type {string} */ name) => Number(answer.headers.get(name));
  return { picture: new Uint8Array(await answer.arrayBuffer()), mels: size("x-mels"), frames: size("x-frames") };
}

/**
 * How a sound is to be made: labels that it is to have instead of its own, steps along named directions,
 * and what makes the sound, null for what the run says first.
 * @typedef {{labels: Record<string, string>, toward: Record<string, number>, sound_by: string | null}} How
 */

/**
 * The original or the reconstruction of a sound.
 * @param {number} row @param {"original" | "reconstruction"} which @param {number | null} pitch @param {How} how
 * @param {AbortSignal} [signal] @returns {Promise<Clip>}
 */
export async function soundClip(row, which, pitch, how, signal) {
  const asked = new URLSearchParams();
  if (which === "reconstruction") {
    if (pitch !== null) asked.set("pitch", String(pitch));
    for (const [name, value] of Object.entries(how.labels)) asked.set(`label.${name}`, value);
    for (const [name, steps] of Object.entries(how.toward)) asked.set(`toward.${name}`, String(steps));
    if (how.sound_by !== null) asked.set("sound_by", how.sound_by);
  }
  const query = asked.size ? `?${asked}` : "";
  const base = `/api/sounds/${row}/${which}`;
  // one after the other: the second is answered from the server's cache
  const wav = await fetched(`${base}.wav${query}`, { signal });
  const picture = await fetched(`${base}.mel${query}`, { signal });
  return {
    wav: await wav.arrayBuffer(),
    picture: new Uint8Array(await picture.arrayBuffer()),
    mels: Number(picture.headers.get("x-mels")),
    frames: Number(picture.headers.get("x-frames")),
    seconds: Number(wav.headers.get("x-seconds")),
  };
}

/** @param {string} text */
function bytes(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

/** @param {any} inline @returns {Clip} */
export function inlineClip(inline) {
  return {
    wav: bytes(inline.wav).buffer,
    picture: bytes(inline.picture),
    mels: inline.mels,
    frames: inline.frames,
    seconds: inline.seconds,
  };
}
