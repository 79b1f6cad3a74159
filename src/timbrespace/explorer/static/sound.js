// @ts-check
// Playing: gain of at most one half, a limiter behind it, and nothing sounds before the first click.

const FADE = 0.02; // seconds; a cut without it clicks

export class Player {
  /** @param {(level: number) => void} onLevel called with the peak 0..1 while something sounds */
  constructor(onLevel) {
    /** @type {AudioContext | null} */ this.context = null;
    /** @type {{source: AudioBufferSourceNode, gain: GainNode}[]} */ this.sounding = [];
    this.onLevel = onLevel;
    this.volume = 0.7;
    this.ticket = 0;
  }

  /** @param {number} [sampleRate] in Hz, where the sounds' own is wanted */
  wake(sampleRate) {
    if (this.context && (!sampleRate || sampleRate === this.context.sampleRate)) return this.context;
    this.context?.close();
    const context = new AudioContext(sampleRate ? { sampleRate } : {});
    this.gain = context.createGain();
    const limiter = context.createDynamicsCompressor();
    limiter.threshold.value = -3;
    limiter.knee.value = 0;
    limiter.ratio.value = 20;
    limiter.attack.value = 0.002;
    limiter.release.value = 0.1;
    this.meter = context.createAnalyser();
    this.meter.fftSize = 1024;
    this.gain.connect(limiter).connect(this.meter).connect(context.destination);
    this.context = context;
    this.setVolume(this.volume);
    return context;
  }

  /** @param {number} volume 0..1; loudness follows its square, the gain never passes one half */
  setVolume(volume) {
    this.volume = volume;
    if (this.gain && this.context) {
      this.gain.gain.setTargetAtTime(0.5 * volume * volume, this.context.currentTime, 0.01);
    }
  }

  stop() {
    this.ticket++;
    const now = this.context?.currentTime ?? 0;
    for (const { source, gain } of this.sounding) {
      gain.gain.cancelScheduledValues(now);
      gain.gain.setTargetAtTime(0, now, FADE / 3);
      source.stop(now + FADE);
    }
    this.sounding = [];
    this.onLevel(0);
  }

  /**
   * Play clips one after another; resolves when the last has ended or something else was played.
   * @param {ArrayBuffer[]} wavs @param {{each?: number, onStep?: (i: number) => void}} [options]
   *   each: seconds that each clip may take
   */
  async play(wavs, { each = Infinity, onStep } = {}) {
    const context = this.wake();
    this.stop();
    const ticket = this.ticket;
    await context.resume();
    // decoding empties the buffer it is given
    const buffers = await Promise.all(wavs.map((wav) => context.decodeAudioData(wav.slice(0))));
    if (ticket !== this.ticket) return;
    let when = context.currentTime + 0.03;
    const starts = [];
    for (const buffer of buffers) {
      const length = Math.min(buffer.duration, each);
      const source = context.createBufferSource();
      const gain = context.createGain();
      source.buffer = buffer;
      source.connect(gain).connect(/** @type {GainNode} */ (this.gain));
      if (length < buffer.duration) {
        gain.gain.setValueAtTime(1, when + length - 0.06);
        gain.gain.linearRampToValueAtTime(0, when + length);
      }
      source.start(when);
      source.stop(when + length);
      this.sounding.push({ source, gain });
      starts.push(when);
      when += length;
    }
    await this.watch(ticket, starts, when, onStep);
  }

  /** Play a clip beside what sounds already; resolves when it has ended. @param {ArrayBuffer} wav */
  async note(wav) {
    const context = this.wake();
    const { ticket } = this;
    await context.resume();
    const buffer = await context.decodeAudioData(wav.slice(0));
    if (ticket !== this.ticket) return;
    const source = context.createBufferSource();
    const gain = context.createGain();
    source.buffer = buffer;
    source.connect(gain).connect(/** @type {GainNode} */ (this.gain));
    const voice = { source, gain };
    source.onended = () => { this.sounding = this.sounding.filter((other) => other !== voice); };
    source.start();
    this.sounding.push(voice);
    await this.watch(ticket, [], context.currentTime + buffer.duration);
  }

  /** @param {number} ticket @param {number[]} starts @param {number} end @param {((i: number) => void) | undefined} onStep */
  watch(ticket, starts, end, onStep) {
    const context = /** @type {AudioContext} */ (this.context);
    const meter = /** @type {AnalyserNode} */ (this.meter);
    const samples = new Float32Array(meter.fftSize);
    let step = -1;
    return new Promise((resolve) => {
      const look = () => {
        const now = context.currentTime;
        if (ticket !== this.ticket || now > end + 0.1) {
          if (ticket === this.ticket) this.onLevel(0);
          resolve(undefined);
          return;
        }
        while (step + 1 < starts.length && starts[step + 1] <= now) {
          step++;
          onStep?.(step);
        }
        meter.getFloatTimeDomainData(samples);
        let peak = 0;
        for (const value of samples) peak = Math.max(peak, Math.abs(value));
        this.onLevel(peak);
        setTimeout(look, 40);
      };
      look();
    });
  }
}

/** The samples of a 16-bit WAV file and the bytes in front of them. @param {ArrayBuffer} wav */
function dataChunk(wav) {
  const view = new DataView(wav);
  for (let at = 12; at + 8 <= wav.byteLength; ) {
    const size = view.getUint32(at + 4, true);
    if (view.getUint32(at, false) === 0x64617461) return { start: at + 8, size };
    at += 8 + size + (size & 1);
  }
  throw new Error("a WAV file without samples");
}

/** Several WAV files of one format as one. @param {ArrayBuffer[]} wavs @returns {ArrayBuffer} */
export function joinWavs(wavs) {
  const chunks = wavs.map(dataChunk);
  const total = chunks.reduce((sum, chunk) => sum + chunk.size, 0);
  const joined = new Uint8Array(chunks[0].start + total);
  joined.set(new Uint8Array(wavs[0], 0, chunks[0].start));
  let at = chunks[0].start;
  wavs.forEach((wav, i) => {
    joined.set(new Uint8Array(wav, chunks[i].start, chunks[i].size), at);
    at += chunks[i].size;
  });
  const view = new DataView(joined.buffer);
  view.setUint32(4, joined.byteLength - 8, true);
  view.setUint32(chunks[0].start - 4, total, true);
  return joined.buffer;
}
