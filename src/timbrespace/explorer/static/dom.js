// @ts-check
// The page's elements by id, each of the type that is expected.

/** @template {HTMLElement} T @param {string} id @param {new () => T} type @returns {T} */
export function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${id}`);
  return found;
}
export const $ = (/** @type {string} */ id) => element(id, HTMLElement);
export const button = (/** @type {string} */ id) => element(id, HTMLButtonElement);
export const input = (/** @type {string} */ id) => element(id, HTMLInputElement);
export const select = (/** @type {string} */ id) => element(id, HTMLSelectElement);
export const canvas = (/** @type {string} */ id) => element(id, HTMLCanvasElement);
