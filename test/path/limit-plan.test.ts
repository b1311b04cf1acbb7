// The limits of an upstream are read as they were meant, or refused with every problem by its place.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defineUpstream, type Upstream } from '../../src/index.ts';
import { MAX_TOKENS } from '../../src/path/limit-plan.ts';
import { HOSTILE } from './hostile.ts';

const define = (limits: unknown): Upstream => defineUpstream({ name: 'api', limits: limits as never });
const DAY_MS = 86_400_000;

function refusal(limits: unknown): string {
  try {
    define(limits);
  } catch (error) {
    expect(error).toMatchObject({ code: 'LK_DEFINITION', name: 'LanekeeperError' });
    const { message } = error as Error;
    expect(message).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
    expect(message.startsWith('upstream "api": limits')).toBe(true);
    return message.slice('upstream "api": '.length);
  }
  throw new Error('it was taken');
}

describe('limits', () => {
  it('are none unless they are given', () => {
    expect(define(undefined)).toMatchObject({ limits: undefined, unbuilt: [] });
  });

  it.each([
    [{ concurrent: 3 }, { name: 'concurrent', kind: 'concurrent', size: 3, perMs: 0, byAgent: false }],
    [
      { count: 60, per: '1m' },
      { name: 'per-1m', kind: 'count', size: 60, perMs: 60_000, byAgent: false },
    ],
    [
      { count: 1, per: 250 },
      { name: 'per-250ms', kind: 'count', size: 1, perMs: 250, byAgent: false },
    ],
    [
      { count: 9, per: '24h' },
      { name: 'per-1d', kind: 'count', size: 9, perMs: DAY_MS, byAgent: false },
    ],
    [
      { count: 9, per: '31d' },
      { name: 'per-31d', kind: 'count', size: 9, perMs: 31 * DAY_MS, byAgent: false },
    ],
    [
      { tokens: 90_000, per: '1m' },
      { name: 'tokens-per-1m', kind: 'tokens', size: 90_000, perMs: 60_000, byAgent: false },
    ],
    [
      { concurrent: 1, by: 'agent' },
      { name: 'concurrent-by-agent', kind: 'concurrent', size: 1, perMs: 0, byAgent: true },
    ],
    [
      { tokens: MAX_TOKENS, per: '1h', by: 'agent' },
      { name: 'tokens-per-1h-by-agent', kind: 'tokens', size: MAX_TOKENS, perMs: 3_600_000, byAgent: true },
    ],
    [
      { count: 5, per: '1s', concurrent: undefined, by: undefined },
      { name: 'per-1s', kind: 'count', size: 5, perMs: 1_000, byAgent: false },
    ],
  ])('of %j are kept as they were meant', (given, limit) => {
    const plan = { driver: 'scripts', limits: [limit], travelMs: 50 };
    expect(define([given]).limits).toEqual(plan);
    expect(define({ all: [given] }).limits).toEqual(plan);
  });

  it('hold together: every kind, several windows, each also by agent', () => {
    const all = [
      { concurrent: 50 },
      { concurrent: 2, by: 'agent' },
      { count: 10, per: '1s' },
      { count: 300, per: '1m' },
      { count: 30, per: '1m', by: 'agent' },
      { count: 10_000, per: '1d' },
      { tokens: 90_000, per: '1m' },
    ];
    const names = [
      'concurrent',
      'concurrent-by-agent',
      'per-1s',
      'per-1m',
      'per-1m-by-agent',
      'per-1d',
      'tokens-per-1m',
    ];
    expect(define(all).limits?.limits.map(({ name }) => name)).toEqual(names);
    expect(define(all.toReversed()).limits).toEqual(define(all).limits);
  });

  it('of equal size are no contradiction: the tighter one holds', () => {
    expect(() =>
      define([
        { count: 5, per: '1s' },
        { count: 5, per: '1m' },
        { count: 5, per: '1m', by: 'agent' },
      ]),
    ).not.toThrow();
  });

  it('may be smaller for all in a short time than for one agent in a long one', () => {
    expect(() =>
      define([
        { count: 5, per: '1s' },
        { count: 60, per: '1h', by: 'agent' },
      ]),
    ).not.toThrow();
  });

  it('name what keeps them, and how long a request may travel', () => {
    const all = [{ concurrent: 2 }];
    expect(define({ driver: 'bottleneck', all, travel: '1s' }).limits).toMatchObject({
      driver: 'bottleneck',
      travelMs: 1_000,
    });
    expect(define({ driver: 'scripts', all, travel: 0 }).limits).toMatchObject({ driver: 'scripts', travelMs: 0 });
    expect(define({ all, travel: '5s' }).limits).toMatchObject({ driver: 'scripts', travelMs: 5_000 });
  });

  it('are frozen, all the way down', () => {
    const { limits } = define([{ concurrent: 3 }, { count: 60, per: '1m' }]);
    for (const part of [limits, limits?.limits, ...(limits?.limits ?? [])]) expect(Object.isFrozen(part)).toBe(true);
  });
});

const SIZES = [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1_000_000_001, '3', null, [3], {}, true];
const PERS = [undefined, 0, '0s', '0.4ms', -1, 1.5, '1 m', 'minute', Number.NaN, '31d1s', null, {}];

const MISSHAPEN: [given: unknown, option: string][] = [
  ...SIZES.flatMap((size): [unknown, string][] => [
    [{ concurrent: size }, 'concurrent'],
    [{ count: size, per: '1m' }, 'count'],
    [{ tokens: size, per: '1m' }, 'tokens'],
  ]),
  ...PERS.flatMap((per): [unknown, string][] => [
    [{ count: 5, per }, 'per'],
    [{ tokens: 5, per }, 'per'],
  ]),
  [{ concurrent: 5, per: '1m' }, 'per'],
  [{ concurrent: 5, per: null }, 'per'],
  [{ concurrent: 1_000_001 }, 'concurrent'],
  [{ count: 1_000_001, per: '1d' }, 'count'],
  ...['agents', 'lane', '', null, true, []].map((by): [unknown, string] => [{ concurrent: 5, by }, 'by']),
];

describe('a wrong limit', () => {
  it.each(MISSHAPEN)('(%j) is refused by its place: %s', (given, option) => {
    expect(refusal([given])).toMatch(new RegExp(`^limits\\[0\\]\\.${option}: expected [^;]+, got [^;]+$`));
    expect(refusal({ all: [{ tokens: 5, per: 7 }, given] })).toMatch(
      new RegExp(`^limits\\.all\\[1\\]\\.${option}: expected [^;]+, got [^;]+$`),
    );
  });

  it.each([
    ['is none', null, /^limits\[0\]: expected \{ concurrent \}, .*, got null$/],
    ['is a number', 5, /^limits\[0\]: expected \{ concurrent \}, .*, got 5$/],
    ['is a list', [{ concurrent: 5 }], /^limits\[0\]: expected \{ concurrent \}, /],
    ['says no kind', { per: '1m' }, /^limits\[0\]: expected \{ concurrent \}, .*, got \{"per":"1m"\}$/],
    ['says two kinds', { concurrent: 3, count: 5, per: '1s' }, /got \{.*\}: two limits are two items of the list$/],
    ['has a stranger', { count: 5, per: '1m', max: 1 }, /^limits\[0\]: expected only concurrent, .*, got \["max"\]$/],
    ['has only strangers', { rate: 5 }, /^limits\[0\]: expected only .*, got \["rate"\]; limits\[0\]: expected \{ con/],
    ['has a stranger of two lines', { concurrent: 5, 'a\nb\u2028': 1 }, /got \["a\\nb\\u2028"\]$/],
    ['has a stranger without a prototype', JSON.parse('{"concurrent":5,"__proto__":1}'), /got \["__proto__"\]$/],
  ])('that %s is refused', (_what, given, said) => {
    expect(refusal([given])).toMatch(said);
  });

  it('is told together with every other, and with what else is wrong', () => {
    const said = refusal({
      driver: 'redis',
      travel: '6s',
      every: 5,
      all: [{ concurrent: 0, per: '1m' }, { count: 5 }, 7],
    });
    expect(said.split('; ').map((problem) => problem.slice(0, problem.indexOf(': ')))).toEqual([
      'limits',
      'limits.driver',
      'limits.travel',
      'limits.all[0].concurrent',
      'limits.all[0].per',
      'limits.all[1].per',
      'limits.all[2]',
    ]);
    expect(() => defineUpstream({ name: 'api', idempotency: 5 as never, limits: [{ concurrent: 0 }] })).toThrow(
      /idempotency: expected .*; limits\[0\]\.concurrent: expected /,
    );
  });
});

describe('wrong limits', () => {
  it.each([
    ['a number', 5, /^limits: expected a list of 1 to 16 limits such as .*, got 5$/],
    ['null', null, /^limits: expected a list .*, got null$/],
    ['an empty list', [], /^limits: expected a list of 1 to 16 limits .*, got \[\]$/],
    ['an empty list of a plan', { all: [] }, /^limits\.all: expected a list of 1 to 16 limits .*, got \[\]$/],
    ['no list in a plan', { driver: 'scripts' }, /^limits\.all: expected a list .*, got nothing$/],
    ['a limit without a list', { concurrent: 3 }, /^limits: expected only driver, all, travel, got \["concurrent"\]; /],
    ['holes', new Array(2), /^limits\[0\]: .*, got nothing; limits\[1\]: .*, got nothing$/],
    ['seventeen', new Array(17).fill({ concurrent: 3 }), /^limits: expected a list of 1 to 16 limits /],
    ['an unknown driver', { driver: 'redis', all: [{ concurrent: 3 }] }, /^limits\.driver: expected 'scripts' or 'b/],
    ['no driver', { driver: null, all: [{ concurrent: 3 }] }, /^limits\.driver: expected 'scripts' or .*, got null$/],
    ...['5001ms', -1, 1.5, Number.NaN, 'soon', null].map(
      (travel) =>
        ['a travel', { all: [{ concurrent: 3 }], travel }, /^limits\.travel: expected .*, at most '5s', got /] as const,
    ),
  ] as const)('are refused: %s', (_what, given, said) => {
    expect(refusal(given)).toMatch(said);
  });

  it.each([
    [[{ concurrent: 3 }, { concurrent: 3 }], /^limits\[1\]: .* got a second 'concurrent': leave one out$/],
    [
      [
        { count: 6, per: '60s' },
        { count: 5, per: '1m' },
      ],
      /^limits\[1\]: .* got a second 'per-1m': leave one out$/,
    ],
    [
      [
        { tokens: 6, per: '1m', by: 'agent' },
        { tokens: 5, per: '1m', by: 'agent' },
      ],
      /^limits\[1\]: .* got a second 'tokens-per-1m-by-agent': leave one out$/,
    ],
  ])('of one name are refused: %j', (given, said) => {
    expect(refusal(given)).toMatch(said);
  });

  it.each([
    [
      [{ concurrent: 3 }, { concurrent: 5, by: 'agent' }],
      "limits[1].concurrent: expected at most 3, because 'concurrent' lets no more through, got 5",
    ],
    [
      [
        { count: 6, per: '1m', by: 'agent' },
        { count: 5, per: '1m' },
      ],
      "limits[0].count: expected at most 5, because 'per-1m' lets no more through, got 6",
    ],
    [
      [
        { count: 10, per: '1s' },
        { count: 5, per: '1m' },
      ],
      "limits[0].count: expected at most 5, because 'per-1m' lets no more through, got 10",
    ],
    [
      [
        { tokens: 10, per: '1s', by: 'agent' },
        { tokens: 5, per: '1m' },
      ],
      "limits[0].tokens: expected at most 5, because 'tokens-per-1m' lets no more through, got 10",
    ],
    [
      [
        { tokens: 10, per: '1s', by: 'agent' },
        { tokens: 5, per: '1m', by: 'agent' },
      ],
      "limits[0].tokens: expected at most 5, because 'tokens-per-1m-by-agent' lets no more through, got 10",
    ],
  ])('that can never be reached are refused: %j', (given, said) => {
    expect(refusal(given)).toBe(`${said}: make it smaller, or leave it out`);
  });

  it.each([
    [
      [
        { count: 5, per: '1m', by: 'agent' },
        { count: 10, per: '1s' },
      ],
    ],
    [[{ tokens: 5, per: '1m' }, { count: 10, per: '1m' }, { concurrent: 20 }]],
  ])('that bind others, or something else, are no contradiction (twin): %j', (given) => {
    expect(() => define(given)).not.toThrow();
  });
});

describe('what Bottleneck cannot keep', () => {
  it.each([
    [[{ concurrent: 2, by: 'agent' }], /^limits\.all\[0\]\.by: expected no limits by agent with driver 'bottleneck'/],
    [[{ tokens: 2, per: '1m' }], /^limits\.all\[0\]\.tokens: expected no limits of tokens with driver 'bottleneck'/],
    [
      [
        { count: 5, per: '1s' },
        { count: 60, per: '1m' },
      ],
      /^limits\.all\[1\]: expected one \{ count, per \} at most with driver 'bottleneck', got also 'per-1m': /,
    ],
    [
      [{ count: 101, per: '1s' }],
      /^limits\.all\[0\]\.count: expected at least 10 ms for each request with driver .*, got 101 'per-1s': /,
    ],
  ])('is refused by name, and kept by the scripts (twin): %j', (all, said) => {
    expect(refusal({ driver: 'bottleneck', all })).toMatch(said);
    expect(refusal({ driver: 'bottleneck', all })).toMatch(/: use driver 'scripts'$/);
    expect(() => define(all)).not.toThrow();
  });

  it('is no slots and one window of 10 ms and more for each request', () => {
    const all = [{ concurrent: 1_000 }, { count: 100, per: '1s' }];
    expect(define({ driver: 'bottleneck', all }).limits?.limits).toHaveLength(2);
  });
});

describe('whatever the limits are', () => {
  function expectLineOrPlan(given: unknown): boolean {
    let taken: Upstream;
    try {
      taken = define(given);
    } catch (error) {
      expect(error).toMatchObject({ code: 'LK_DEFINITION', name: 'LanekeeperError' });
      expect((error as Error).message).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
      return false;
    }
    const limits = taken.limits?.limits ?? [];
    expect(new Set(limits.map(({ name }) => name)).size).toBe(limits.length);
    for (const { size, perMs, kind } of limits) {
      expect(Number.isInteger(size) && size >= 1 && size <= (kind === 'tokens' ? MAX_TOKENS : 1_000_000)).toBe(true);
      expect(kind === 'concurrent' ? perMs === 0 : perMs > 0 && perMs <= 31 * DAY_MS).toBe(true);
    }
    return true;
  }

  it('they are a plan that holds, or one error of ours on one line: anything', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withSparseArray: true }), (given) => {
        expectLineOrPlan(given);
      }),
      { numRuns: 1_000 },
    );
  });

  it('they are a plan that holds, or one error of ours on one line: what nearly is one', () => {
    const size = fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 0, max: 20 }) }, fc.anything());
    const per = fc.oneof({ weight: 6, arbitrary: fc.constantFrom('1s', '60s', '1m', '1h', 90_500) }, fc.anything());
    const by = fc.constantFrom(undefined, 'agent', 'agents');
    const limit = fc.oneof(
      { weight: 4, arbitrary: fc.record({ concurrent: size, by }) },
      { weight: 4, arbitrary: fc.record({ count: size, per }) },
      { weight: 4, arbitrary: fc.record({ tokens: size, per, by }, { requiredKeys: ['tokens'] }) },
      fc.anything(),
    );
    const all = fc.array(limit, { maxLength: 4 });
    const driver = fc.constantFrom('scripts', 'bottleneck', 'redis');
    const plan = fc.record({ driver, all, travel: per }, { requiredKeys: ['all'] });
    let taken = 0;
    fc.assert(
      fc.property(fc.oneof(all, plan), (given) => {
        taken += expectLineOrPlan(given) ? 1 : 0;
      }),
      { numRuns: 1_000 },
    );
    expect(taken).toBeGreaterThan(10);
  });

  it('what nobody should hand in is refused wherever it stands', () => {
    for (const [name, value] of HOSTILE) {
      const places = [
        value,
        [value],
        { all: value },
        { all: [value] },
        { all: [{ concurrent: 3 }], driver: value },
        [{ concurrent: value }],
        [{ count: 3, per: value }],
        [{ concurrent: 3, by: value }],
      ];
      for (const [index, given] of places.entries()) {
        expect(expectLineOrPlan(given), `${name} at ${index}`).toBe(false);
      }
    }
    const liar = new Proxy([{ concurrent: 3 }], {
      get: (list, key) => (key === 'length' ? 2 ** 32 - 1 : Reflect.get(list, key)),
    });
    expect(refusal(liar)).toMatch(/^limits: expected a list of 1 to 16/);
  });
});
