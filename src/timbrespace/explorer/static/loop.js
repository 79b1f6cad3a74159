// @ts-check
// Playing on while it changes: a new buffer takes over where the old one stands, through a cross-fade.

const FADE = 0.004; // seconds in which a cross-fade has done 63 % of its way
const FADED = 8 * FADE; // and when nothing is left to hear of it
const SEAM = 0.005; // seconds of the cross-fades about a stretch
const LEAD = 0.006; // seconds between deciding and sounding: less, and the two would not be in step

/** @typedef {{source: AudioBufferSourceNode, gain: GainNode, began: number, buffer: AudioBuffer, loop: boolean}} Voice */

/**
 * A sound with a stretch of another in it, from sample `first` on and round its end to its beginning; at both
 * of its ends the two fade into each other.
 * @param {Float32Array[]} channels @param {Float32Array[]} stretch @param {number} first @param {number} rate in Hz
 */
export function spliced(channels, stretch, first, rate) {
  const seam = Math.round(SEAM * rate);
  return channels.map((samples, c) => {
    const made = samples.slice(), part = stretch[c];
    for (let i = 0, k = first; i < part.length; i++, k = k + 1 < made.length ? k + 1 : 0) {
      made[k] += Math.min(1, i / seam, (part.length - 1 - i) / seam) * (part[i] - made[k]);
    }
    return made;
  });
}

export class Loop {
  /** @param {BaseAudioContext} context @param {AudioNode} out @param {() => void} [onEnd] when it has come to its end */
  constructor(context, out, onEnd = () => {}) {
    this.context = context;
    this.out = out;
    this.onEnd = onEnd;
    /** @type {Voice | null} */ this.voice = null;
  }

  /**
   * Go on with another buffer at the same place; from its beginning when nothing sounds. All gains add up
   * to 1 at every moment, so a change is never louder than the louder of the two.
   * @param {AudioBuffer} buffer @param {{loop?: boolean, again?: boolean}} [options]
   *   again: from its beginning @returns {number} the context's time at which it begins
   */
  swap(buffer, { loop = true, again = false } = {}) {
    const { context, voice: old } = this;
    const when = context.currentTime + LEAD;
    let place = 0;
    if (old && !again) {
      place = when - old.began;
      if (loop) place %= buffer.duration;
      else if (place >= buffer.duration) place = 0;
    }
    const source = new AudioBufferSourceNode(context, { buffer, loop });
    const gain = new GainNode(context, { gain: 0 });
    source.connect(gain).connect(this.out);
    const voice = { source, gain, began: when - place, buffer, loop };
    source.onended = () => {
      if (this.voice !== voice) return;
      this.voice = null;
      this.onEnd();
    };
    gain.gain.setTargetAtTime(1, when, FADE);
    source.start(when, place);
    this.fade(when);
    this.voice = voice;
    return when;
  }

  /** Where it stands, in seconds; at the beginning when nothing sounds. */
  get place() {
    if (!this.voice) return 0;
    const { began, buffer, loop } = this.voice;
    const place = Math.max(0, this.context.currentTime - began);
    return loop ? place % buffer.duration : Math.min(place, buffer.duration);
  }

  stop() {
    this.fade(this.context.currentTime);
    this.voice = null;
  }

  /** @param {number} when */
  fade(when) {
    if (!this.voice) return;
    this.voice.gain.gain.setTargetAtTime(0, when, FADE);
    this.voice.source.stop(when + FADED);
  }
}
