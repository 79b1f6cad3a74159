// @ts-check
// A blind test: X is A or B, drawn by chance, and the page keeps score.

/** The probability that guessing is right at least so often. @param {number} right @param {number} asked */
export function chance(right, asked) {
  let sum = 0, ways = 1; // of `asked` over k
  for (let k = asked; k >= right; k--) {
    sum += ways;
    ways = ways * k / (asked - k + 1);
  }
  return sum / 2 ** asked;
}

export class Blind {
  constructor() {
    this.right = this.asked = 0;
    /** @type {"a" | "b"} */ this.hidden = "a";
    this.heard = this.listening = false; // X since it was drawn; anything blind just now
    this.draw();
  }

  draw() {
    this.hidden = crypto.getRandomValues(new Uint8Array(1))[0] & 1 ? "a" : "b";
    this.heard = false;
  }

  /** @param {"a" | "b"} said @returns {boolean} whether it was so */
  guess(said) {
    const right = said === this.hidden;
    this.asked++;
    if (right) this.right++;
    this.draw();
    return right;
  }

  anew() {
    this.right = this.asked = 0;
    this.draw();
  }

  /** The score in words. */
  get words() {
    if (!this.asked) return "X is A or B, drawn by chance. Listen, then say which.";
    const p = chance(this.right, this.asked);
    const often = p < 0.01 ? "less than once in 100 times" : `${Math.round(100 * p)} times in 100`;
    return `${this.right} of ${this.asked} right; guessing does as well ${often}.`;
  }
}
