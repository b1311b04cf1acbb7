// A lane is refused when it is defined, with every wrong option at once, or it is frozen and means what it says.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineLane, defineUpstream } from '../../src/index.ts';
import { isLane, LANE_RULES, type Lane } from '../../src/path/lane.ts';
import { unbuiltIn } from '../../src/path/options.ts';

const define = (options: unknown): Lane => defineLane(options as { name: string });
const api = defineUpstream({ name: 'api' });

function refusal(options: unknown): string {
  try {
    define(options);
  } catch (error) {
    expect(error).toMatchObject({ code: 'LK_DEFINITION', name: 'LanekeeperError' });
    return (error as Error).message;
  }
  throw new Error(`${JSON.stringify(options)} was taken`);
}

describe('a lane', () => {
  it('needs a name and nothing else', () => {
    expect(define({ name: 'publish' })).toEqual({
      name: 'publish',
      tag: 'publish',
      upstream: undefined,
      payload: undefined,
      concurrency: 8,
      priority: 0,
      retry: { attempts: 4, backoffMs: [2_000, 4_000, 8_000], jitter: 0.2 },
      timeoutMs: 60_000,
      backlog: 1_000_000,
      dueMs: undefined,
      done: { keepMs: 86_400_000, max: 100_000 },
      dead: { keepMs: 30 * 86_400_000, max: 100_000 },
      dedupe: { by: 'key', forMs: 86_400_000 },
      agent: undefined,
      ownership: 'open',
      displaced: 'park',
      pods: 'all',
      runbook: undefined,
      weight: 1,
      requests: 1,
      tokens: undefined,
      unbuilt: [],
    });
  });

  it('lives beside its upstream', () => {
    expect(define({ name: 'publish', upstream: api })).toMatchObject({ tag: 'api', upstream: api });
  });

  it('takes what people write', () => {
    const payload = z.object({ a: z.string() });
    const lane = define({
      name: 'a-1_b',
      payload,
      retry: { attempts: 2, backoff: ['1s', 0, 250], jitter: 0 },
      timeout: '1h30m',
      done: { keep: '1h' },
      dead: { max: 5 },
      runbook: 'docs/run book.md',
      priority: 2_097_151,
      concurrency: 10_000,
    });
    expect(lane).toMatchObject({
      retry: { attempts: 2, backoffMs: [1_000, 0, 250], jitter: 0 },
      timeoutMs: 5_400_000,
      done: { keepMs: 3_600_000, max: 100_000 },
      dead: { keepMs: 30 * 86_400_000, max: 5 },
      priority: 2_097_151,
    });
    expect(lane.payload).toBe(payload);
  });

  it('is frozen, all the way down', () => {
    const lane = define({ name: 'a', upstream: api, retry: {}, done: {}, dead: {}, agent: { cooldown: '2h' } });
    const parts = [
      lane,
      lane.agent,
      lane.retry,
      lane.retry.backoffMs,
      lane.done,
      lane.dead,
      lane.unbuilt,
      lane.upstream,
    ];
    for (const part of parts) expect(Object.isFrozen(part)).toBe(true);
    const byDefault = define({ name: 'a' });
    for (const part of [byDefault.retry, byDefault.retry.backoffMs, byDefault.done, byDefault.dead]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  it('is known by its brand, from whichever copy of the package, and nothing else is', () => {
    const foreign = Object.defineProperty({}, Symbol.for('lanekeeper.definition'), { value: 'lane' });
    expect(isLane(define({ name: 'a' }))).toBe(true);
    expect(isLane(foreign)).toBe(true);
    for (const value of [null, undefined, 'lane', {}, api, { name: 'a' }]) expect(isLane(value)).toBe(false);
  });
});

const wrong: Record<string, unknown[]> = {
  name: ['', 'A', '-a', '_a', 'a b', 'a:b', '{a}', 'é', 'a'.repeat(64), 5, null, 'a\n'],
  upstream: [{}, 'api', null, { name: 'api' }],
  payload: [{}, 'string', 5, null, { '~standard': null }, { '~standard': {} }],
  concurrency: [0, -1, 1.5, 10_001, '8', Number.NaN, Number.POSITIVE_INFINITY, null],
  backlog: [0, -1, 1.5, 1_000_000_001, '1000', Number.NaN, null],
  priority: [-1, 2_097_152, 1.5, '0', Number.NaN, null],
  retry: [
    null,
    5,
    [],
    'often',
    { attempts: 0 },
    { attempts: 101 },
    { attempts: '4' },
    { backoff: [] },
    { backoff: '2s' },
    { backoff: ['2 s'] },
    { backoff: [-1] },
    { jitter: -0.1 },
    { jitter: 1.1 },
    { jitter: Number.NaN },
    { jitter: '0.2' },
    { delay: 5 },
  ],
  timeout: ['0s', 0, '5', '1 h', -1, Number.NaN, '', null],
  due: ['0s', 0, '5', '1 h', -1, Number.NaN, '', null],
  done: [null, 5, [], { keep: '59s' }, { keep: 'long' }, { max: 0 }, { max: 1.5 }, { max: 10_000_001 }, { age: 5 }],
  dead: [null, 5, [], { keep: '59m' }, { keep: 'long' }, { max: 0 }, { count: 5 }],
  dedupe: [
    true,
    null,
    5,
    'payload',
    [],
    { by: 'x' },
    { by: null },
    { by: false },
    { for: '999ms' },
    { for: 'long' },
    { key: 'a' },
  ],
  agent: [
    null,
    5,
    [],
    '2h',
    {},
    { cooldown: 'long' },
    { cooldown: -1 },
    { cooldown: '1001d' },
    { cooldown: '2h', charge: 'request' },
    { cooldown: '2h', charges: 'attempt' },
  ],
  runbook: ['', 'a\nb', 'x'.repeat(501), 5, null],
  ownership: ['closed', true, null, ''],
  displaced: ['keep', true, null, ''],
  pods: ['two', 1, null, ''],
  weight: [0, -1, 1.5, 1_001, '2', Number.NaN, null],
  requests: [0, -1, 1.5, 101, '2', Number.NaN, null],
  tokens: [0, -1, 1.5, 1_000_000_001, '5', Number.NaN, null, {}, [5], true],
};

describe('a wrong value', () => {
  const cases = Object.entries(wrong).flatMap(([option, values]) => values.map((value) => ({ option, value })));

  it.each(cases)('of $option ($value) is refused with option, expected and got, in one line', ({ option, value }) => {
    const said = refusal({ name: 'a', [option]: value });
    expect(said).toMatch(new RegExp(`^lane.*: ${option}: expected .+, got .+$`));
    expect(said).not.toContain('\n');
  });

  it('is listed here for every option that something acts on', () => {
    expect(unbuiltIn(LANE_RULES)).toEqual([]);
    expect(Object.keys(wrong).sort()).toEqual(Object.keys(LANE_RULES).sort());
  });

  it('is told together with every other, and with every unknown option by its name', () => {
    const said = refusal({ name: 'a', concurrency: 0, timeout: 'x', paralel: 5, retries: 3 });
    for (const option of ['concurrency', 'timeout', 'paralel', 'retries'])
      expect(said).toContain(`${option}: expected`);
    expect(said.startsWith('lane "a": ')).toBe(true);
  });

  it('of an unknown option is one line, whatever its name is', () => {
    const said = refusal({ name: 'a', 'two\nlines': 5, ['x'.repeat(5_000)]: 1 });
    expect(said).toMatch(/^lane "a": "two\\nlines": expected one of .*; "x+\.\.\.: expected one of /);
    expect(said.length).toBeLessThan(1_000);
  });

  it('of the whole is refused too', () => {
    for (const options of [undefined, null, 'publish', 5, [], () => {}]) {
      expect(refusal(options)).toMatch(/^lane: expected an object of options, got /);
    }
    expect(refusal({})).toMatch(/^lane: name: expected .+, got nothing$/);
  });

  it('never leaves as anything but one clear refusal, whatever it is', () => {
    const options = fc.dictionary(
      fc.constantFrom(...Object.keys(LANE_RULES), '__proto__', 'constructor'),
      fc.anything(),
    );
    fc.assert(
      fc.property(options, (given) => {
        try {
          expect(Object.isFrozen(define({ name: 'a', ...given }))).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ code: 'LK_DEFINITION' });
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('a combination', () => {
  it.each([undefined, 'open'])(
    'of displaced with ownership %s is refused: nobody is ever displaced there',
    (ownership) => {
      const said = refusal({ name: 'a', displaced: 'park', ownership });
      expect(said).toMatch(/^lane "a": displaced: expected ownership 'exclusive' beside it, got "open"$/);
    },
  );

  it('of displaced with an exclusive lane is taken', () => {
    const lane = define({ name: 'a', displaced: 'drain', ownership: 'exclusive', pods: 'one' });
    expect(lane).toMatchObject({ displaced: 'drain', ownership: 'exclusive', pods: 'one', unbuilt: [] });
  });
});

describe('an agent', () => {
  it.each([
    ['2h', 7_200_000],
    [0, 0],
    ['365d', 31_536_000_000],
  ])('whose act costs %s is taken; by default each attempt that sent something is one', (cooldown, cooldownMs) => {
    expect(define({ name: 'a', upstream: api, agent: { cooldown } }).agent).toEqual({ cooldownMs, charge: 'attempt' });
  });

  it('may be charged for success alone', () => {
    const lane = define({ name: 'a', upstream: api, agent: { cooldown: '1m', charge: 'success' } });
    expect(lane.agent).toEqual({ cooldownMs: 60_000, charge: 'success' });
    expect(lane.unbuilt).toEqual([]);
  });

  it('of a lane without an upstream is refused: agents belong to one', () => {
    expect(refusal({ name: 'a', agent: { cooldown: '2h' } })).toBe(
      'lane "a": agent: expected an upstream beside it, whose agents they are, got none',
    );
  });
});

describe("a lane's part in the limits of its upstream", () => {
  const tokens = defineUpstream({
    name: 'model',
    limits: [
      { tokens: 90, per: '1m' },
      { count: 60, per: '1m' },
    ],
  });
  const slots = defineUpstream({ name: 'forum', limits: [{ concurrent: 8 }, { concurrent: 3, by: 'agent' }] });
  const estimate = (payload: unknown) => JSON.stringify(payload).length;

  it('is what it was told', () => {
    expect(define({ name: 'a', upstream: slots, weight: 1_000, requests: 3 })).toMatchObject({
      weight: 1_000,
      requests: 3,
      tokens: undefined,
    });
    expect(define({ name: 'a', requests: 100 })).toMatchObject({ weight: 1, requests: 100 });
    for (const given of [1, 90, estimate]) {
      expect(define({ name: 'a', upstream: tokens, tokens: given }).tokens).toBe(given);
    }
  });

  it.each([
    [
      'more requests than an agent may have',
      { upstream: slots, requests: 4 },
      'lane "a": requests: expected at most 3, the \'concurrent-by-agent\' of upstream "forum", got 4',
    ],
    ['tokens of no upstream', { tokens: 5 }, 'lane "a": tokens: expected nothing, because it has no upstream, got 5'],
    [
      'tokens of an upstream that counts none',
      { upstream: slots, tokens: estimate },
      'lane "a": tokens: expected nothing, because upstream "forum" has no limit of tokens, got a function',
    ],
    [
      'no tokens where they are limited',
      { upstream: tokens },
      'lane "a": tokens: expected a whole number from 1 to 1000000000, or a function of the payload, because upstream "model" has \'tokens-per-1m\', got nothing',
    ],
    [
      'more tokens than there are',
      { upstream: tokens, tokens: 91 },
      'lane "a": tokens: expected at most 90, the \'tokens-per-1m\' of upstream "model", got 91',
    ],
  ])('is refused when it does not fit: %s', (_what, options, said) => {
    expect(refusal({ name: 'a', ...options })).toBe(said);
  });

  it('is told with what else does not fit together', () => {
    expect(refusal({ name: 'a', upstream: slots, requests: 9, tokens: 5, displaced: 'park' })).toMatch(
      /^lane "a": requests: .*; tokens: .*; displaced: /,
    );
  });
});
