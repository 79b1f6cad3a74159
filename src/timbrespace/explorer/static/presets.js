// @ts-check
// Settings by name, in the browser's own store: nothing has to be given, and the server writes nothing.

const KEY = "timbrespace.effects.presets";

/** @typedef {{name: string, effect: string, values: Record<string, number>}} Preset */

/** What is stored; what somebody else has put there is left out. @returns {Preset[]} */
export function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return found.filter((/** @type {any} */ one) => typeof one?.name === "string" && typeof one.effect === "string" && one.values !== null && typeof one.values === "object");
  } catch {
    return [];
  }
}

/** One more, in place of another of the same name. @param {Preset} preset */
export function store(preset) {
  const others = stored().filter((one) => one.name !== preset.name);
  const all = [...others, preset].sort((a, b) => a.name.localeCompare(b.name));
  localStorage.setItem(KEY, JSON.stringify(all));
}

/** @param {string} name */
export function forget(name) {
  localStorage.setItem(KEY, JSON.stringify(stored().filter((one) => one.name !== name)));
}
