// What is said to be no earlier is no earlier, however long answers are on their way; and the quickest of them decides.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RedisClock } from '../../src/path/redis-clock.ts';

const delay = fc.double({ min: 0, max: 400, noNaN: true });
const answers = fc.array(fc.tuple(fc.double({ min: 0, max: 300, noNaN: true }), delay, delay), {
  minLength: 1,
  maxLength: 40,
});
/** What both directions may be off by where doubles of 1e12 are added. */
const ROUNDED = 0.001;

/** Takes the last answer for one that was as long on its way there as back, as clocks on machines are set. */
class HalfWay extends RedisClock {
  #offMs = 0;
  override heard(askedMono: number, repliedMono: number, redisAt: number): void {
    this.#offMs = (askedMono + repliedMono) / 2 - redisAt;
  }
  override toMono(redisAt: number): number {
    return redisAt + this.#offMs;
  }
  override toRedis(mono: number): number {
    return mono - this.#offMs;
  }
}

/** Plays answers, each some time after the one before, there and back again; our clock ticks `rate` ms to one of Redis's. */
function play(clock: RedisClock, all: readonly (readonly [number, number, number])[], ahead: number, rate = 1) {
  let redisAt = 1_800_000_000_000;
  const toOurs = (at: number) => (at - 1_800_000_000_000) * rate - ahead;
  for (const [after, there, back] of all) {
    redisAt += after + there;
    clock.heard(toOurs(redisAt - there), toOurs(redisAt + back), redisAt);
    redisAt += back;
  }
  return { redisAt, nowMono: toOurs(redisAt), toOurs };
}

describe("Redis's clock", () => {
  const isNeverEarly = (Kind: typeof RedisClock) =>
    fc.property(
      answers,
      fc.integer({ min: -1e9, max: 1e9 }),
      fc.double({ min: 0.9996, max: 1.0004, noNaN: true }),
      (all, ahead, rate) => {
        const clock = new Kind();
        const { redisAt, nowMono, toOurs } = play(clock, all, ahead, rate);
        expect(clock.toMono(redisAt + 10, nowMono)).toBeGreaterThanOrEqual(toOurs(redisAt + 10) - 0.01 - ROUNDED);
        expect(clock.toRedis(nowMono, nowMono)).toBeGreaterThanOrEqual(redisAt - ROUNDED);
      },
    );

  it('is never thought to be further on than it is, nor an instant of ours to be earlier', () => {
    fc.assert(isNeverEarly(RedisClock));
  });

  it('twin: half-way between question and answer it is', () => {
    expect(fc.check(isNeverEarly(HalfWay)).failed).toBe(true);
  });

  it('is known as well as by the quickest answer of the last second', () => {
    const clock = new RedisClock();
    const { redisAt, nowMono, toOurs } = play(
      clock,
      [
        [0, 0.1, 0.1],
        [200, 40, 60],
        [100, 5, 30],
      ],
      77,
    );
    expect(clock.toMono(redisAt, nowMono) - toOurs(redisAt)).toBeLessThan(0.6);
    expect((clock.toRedis(nowMono, nowMono) ?? 0) - redisAt).toBeLessThan(0.6);
  });

  it('is not trusted for longer than a second', () => {
    const clock = new RedisClock();
    const { nowMono } = play(clock, [[0, 0.1, 0.1]], 0);
    expect(clock.toRedis(nowMono, nowMono + 1_001)).toBeUndefined();
    const { redisAt, nowMono: later, toOurs } = play(clock, [[5_000, 20, 30]], 0);
    expect(clock.toMono(redisAt, later) - toOurs(redisAt)).toBeGreaterThan(29);
  });

  it('that was set is believed at once, in both directions', () => {
    for (const step of [-3_600_000, 3_600_000]) {
      const clock = new RedisClock();
      play(clock, [[0, 1, 1]], 0);
      const { redisAt, nowMono, toOurs } = play(clock, [[100, 2, 3]], step);
      expect(clock.toMono(redisAt, nowMono)).toBeGreaterThanOrEqual(toOurs(redisAt) - ROUNDED);
      expect(clock.toMono(redisAt, nowMono) - toOurs(redisAt)).toBeLessThan(5.1);
      expect(clock.toRedis(nowMono, nowMono)).toBeGreaterThanOrEqual(redisAt - ROUNDED);
    }
  });
});
