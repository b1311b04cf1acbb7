// The knobs: what they accept, what they say of the rest, and that latency and chance are what they claim.

import { describe, expect, test } from 'vitest';
import { changeBehaviour, DEFAULT_BEHAVIOUR } from '../../src/simulator/behaviour.ts';
import { parseLatency, toLatencyMs } from '../../src/simulator/latency.ts';
import { describeLimit, parseLimits } from '../../src/simulator/limits.ts';
import { createRng, drawLuck } from '../../src/simulator/rng.ts';

const change = (knobs: unknown) => changeBehaviour(DEFAULT_BEHAVIOUR, knobs);

describe('a change', () => {
  test('reads durations as people write them, keeps ms, and freezes', () => {
    const changed = change({
      cooldown: '2h',
      banFor: '1m30s',
      latency: { p50: '40ms', p99: '2s' },
      limits: [{ count: 60, per: '1m' }],
    });
    expect(changed).toMatchObject({ cooldown: 7_200_000, banFor: 90_000, latency: { p50: 40, p99: 2_000 } });
    expect(changed.limits).toEqual([{ count: 60, per: 60_000 }]);
    expect(Object.isFrozen(changed)).toBe(true);
    expect(changed.failRatio).toBe(DEFAULT_BEHAVIOUR.failRatio);
  });

  test.each([
    [null, 'behaviour: expected an object of knobs'],
    [{ nope: 1 }, 'behaviour: expected knobs out of enforce, limits, '],
    [{ enforce: 1 }, 'enforce: expected true or false, got 1'],
    [{ cooldown: 'soon' }, 'cooldown: expected a duration such as'],
    [{ cooldown: -1 }, 'cooldown: expected a duration such as'],
    [{ cooldownOn: 'reads' }, 'cooldownOn: expected one of all, writes, got "reads"'],
    [{ banGrowth: 0.5 }, 'banGrowth: expected a number from 1 to 1000, got 0.5'],
    [{ latency: { min: 5 } }, 'latency: expected a duration, { fixed }, { min, max } or { p50, p99 }'],
    [{ latency: { min: 5, max: 4 } }, 'latency.max: expected no less than min (5 ms), got 4'],
    [{ latency: { p50: 0, p99: 4 } }, 'latency.p50: expected more than none'],
    [{ failWith: 200 }, 'failWith: expected a status from 400 to 599, or null, got 200'],
    [{ rollout: { versions: ['a'], ratio: 0.5 } }, 'rollout: expected { versions'],
    [{ rollout: { versions: ['a', 'a'], ratio: 0.5 } }, 'rollout: expected { versions'],
    [{ rollout: { versions: ['a', 'b'], ratio: 2 } }, 'rollout.ratio: expected a number from 0 to 1, got 2'],
    [{ statusLies: Number.NaN }, 'statusLies: expected a number from 0 to 1'],
    [{ gone: 'channel/1' }, 'gone: expected a list of ids'],
    [{ usage: { input: [5, 1], output: [0, 1] } }, 'usage.input: expected [low, high], whole numbers'],
    [{ quality: { score: [0, 2] } }, 'quality.score: expected [low, high], numbers from 0 to 1'],
    [{ resetAt: 'later' }, 'resetAt: expected one of any, before-work, before-answer, mid-answer'],
    [{ feedEvery: 0 }, 'feedEvery: expected a duration such as'],
    [{ limits: {} }, 'limits: expected a list of limits'],
    [{ limits: [{}] }, 'limits[0]: expected { concurrent: 3 } or { count: 60'],
    [{ limits: [{ concurrent: 1, count: 1, per: 1 }] }, 'limits[0]: expected { concurrent: 3 } or'],
    [{ limits: [{ concurrent: 0 }] }, 'limits[0].concurrent: expected a whole number from 1 up, got 0'],
    [{ limits: [{ concurrent: 1 }, { count: 1, per: 0 }] }, 'limits[1].per: expected a duration such as'],
    [{ limits: [{ concurrent: 1, per: '1s' }] }, 'limits[0].per: expected nothing beside concurrent'],
    [{ limits: [{ concurrent: 1, by: 'lane' }] }, "limits[0].by: expected 'agent' or nothing"],
  ])('%j is refused', (knobs, message) => {
    expect(() => change(knobs)).toThrow(message);
  });

  test('limits are named without rounding', () => {
    const limits = parseLimits(
      [
        { count: 5, per: 1_500 },
        { concurrent: 3, by: 'agent' },
      ],
      'limits',
    );
    expect(limits.map(describeLimit)).toEqual(['5 per 1500ms', '3 at once by agent']);
  });
});

describe('latency', () => {
  const draws = Array.from({ length: 20_000 }, (_, turn) => drawLuck(3, turn).latency).sort((a, b) => a - b);

  test('a fixed one is fixed, a range stays within and fills itself', () => {
    expect(toLatencyMs(parseLatency('20ms', 'latency'), 0.9)).toBe(20);
    const range = draws.map((luck) => toLatencyMs({ min: 10, max: 30 }, luck));
    expect(Math.min(...range)).toBeGreaterThanOrEqual(10);
    expect(Math.min(...range)).toBeLessThan(10.1);
    expect(Math.max(...range)).toBeLessThan(30);
    expect(Math.max(...range)).toBeGreaterThan(29.9);
  });

  test('a long tail has its p50 and p99 where they are named, and an end', () => {
    const tail = draws.map((luck) => toLatencyMs({ p50: 40, p99: 2_000 }, luck));
    const at = (share: number) => tail[Math.floor(share * tail.length)]!;
    expect(at(0.5)).toBeGreaterThan(37);
    expect(at(0.5)).toBeLessThan(43);
    expect(at(0.99)).toBeGreaterThan(1_600);
    expect(at(0.99)).toBeLessThan(2_400);
    expect(toLatencyMs({ p50: 40, p99: 2_000 }, 1 - 2 ** -32)).toBeLessThanOrEqual(20_000);
    expect(toLatencyMs({ p50: 40, p99: 2_000 }, 0)).toBeGreaterThanOrEqual(0);
    expect(toLatencyMs({ p50: 40, p99: 40 }, 0.999)).toBe(40);
  });
});

describe('chance', () => {
  test('repeats with its seed, and one turn knows nothing of another', () => {
    expect(drawLuck(1, 5)).toEqual(drawLuck(1, 5));
    expect(drawLuck(1, 5)).not.toEqual(drawLuck(1, 6));
    expect(drawLuck(1, 5)).not.toEqual(drawLuck(2, 5));
    expect(drawLuck(1, 2)).not.toEqual(drawLuck(2, 1));
  });

  test('is spread evenly, within a turn and from turn to turn', () => {
    const rng = createRng(42);
    const streams = [
      Array.from({ length: 10_000 }, rng),
      Array.from({ length: 10_000 }, (_, turn) => drawLuck(1, turn).fail),
      Array.from({ length: 10_000 }, (_, turn) => drawLuck(1, turn).quality),
    ];
    for (const stream of streams) {
      for (let tenth = 0; tenth < 10; tenth++) {
        const within = stream.filter((value) => Math.floor(value * 10) === tenth).length;
        expect(within).toBeGreaterThan(850);
        expect(within).toBeLessThan(1_150);
      }
    }
  });
});
