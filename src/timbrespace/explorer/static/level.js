// @ts-check
// How loud a sound is, and what brings one to the level of another.

const PEAK = 10 ** (-1 / 20); // of what the server sends: -1 dBFS
const MOST = 100; // times as loud: what is softer than that is noise

/** @type {WeakMap<Float32Array[], {peak: number, rms: number}>} */ const known = new WeakMap(); // of sounds, which nothing changes

/** @param {Float32Array[]} channels @returns {{peak: number, rms: number}} of full scale */
export function levels(channels) {
  const before = known.get(channels);
  if (before) return before;
  let peak = 0, square = 0, count = 0;
  for (const samples of channels) {
    for (const v of samples) {
      peak = Math.max(peak, Math.abs(v));
      square += v * v;
    }
    count += samples.length;
  }
  const found = { peak, rms: Math.sqrt(square / Math.max(1, count)) };
  known.set(channels, found);
  return found;
}

/**
 * The gain with which one sound is as loud (RMS) as another, or as near to that as its peak allows; 1 where either is silent.
 * @param {Float32Array[]} channels @param {Float32Array[]} other
 */
export function gainTo(channels, other) {
  const { peak, rms } = levels(channels), wanted = levels(other).rms;
  return rms && wanted ? Math.min(wanted / rms, PEAK / peak, MOST) : 1;
}

/**
 * The gain of a stretch whose whole sound is not there yet: that of the whole before it, but no louder than the other's peak.
 * @param {number} before @param {Float32Array[]} channels @param {Float32Array[]} other
 */
export function gainOfStretch(before, channels, other) {
  const { peak } = levels(channels);
  return peak ? Math.min(before, Math.max(1, levels(other).peak / peak)) : before;
}

/** Times `gain`, where it lies; nothing passes the server's own peak. @param {Float32Array} samples @param {number} gain */
export function amplify(samples, gain) {
  for (let i = 0; i < samples.length; i++) samples[i] = Math.max(-PEAK, Math.min(PEAK, gain * samples[i]));
}
