// Chance that repeats. Each request gets its own draws, made from the seed and its turn, always the same ones in the same
// order: turning one knob on shifts no other draw, and latency that reorders the work changes nobody's luck.

/** mulberry32: 32 bits of state, a full period of 2^32, uniform in [0, 1). */
export function createRng(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What chance has in store for one request, each uniform in [0, 1). */
export interface Luck {
  readonly latency: number;
  readonly fail: number;
  readonly reset: number;
  readonly resetAt: number;
  readonly version: number;
  readonly lie: number;
  readonly drop: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly quality: number;
}

export function drawLuck(seed: number, turn: number): Luck {
  const draw = createRng((seed ^ Math.imul(turn, 0x9e3779b1)) >>> 0);
  return {
    latency: draw(),
    fail: draw(),
    reset: draw(),
    resetAt: draw(),
    version: draw(),
    lie: draw(),
    drop: draw(),
    inputTokens: draw(),
    outputTokens: draw(),
    quality: draw(),
  };
}

/** A whole number from low to high, both included. */
export function pickWhole(luck: number, [low, high]: readonly [number, number]): number {
  return low + Math.floor(luck * (high - low + 1));
}
