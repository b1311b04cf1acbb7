// The judge of fights is judged: histories as they should be pass, and each that should not be is convicted, for what it did.

import { describe, expect, it } from 'vitest';
import { type AcceptedEffect, checkHistory } from './check-history.ts';
import type { Line, Said } from './history.ts';

/** One line at an instant; the monotonic clock and Redis's tell the same here. */
const line = (who: string, at: number, said: Said, pid = 1): Line => ({ who, pid, at, mono: at, ...said });

interface Term {
  token: number;
  from: number;
  until: number;
  isForced?: boolean;
  pid?: number;
  /** Default: at once. */
  askedAt?: number;
  answeredAt?: number;
}

function grant(who: string, { token, from, until, isForced = false, pid = 1, ...when }: Term): Line[] {
  const { askedAt = from, answeredAt = from + 1 } = when;
  const ask = `${who}-${pid}-${token}-${from}`;
  return [
    line(who, askedAt, { what: 'asked', ask, isForced }, pid),
    line(who, answeredAt, { what: 'granted', ask, token, fromAt: from, untilAt: until, isForced }, pid),
  ];
}
const releasing = (who: string, at: number, token: number) => line(who, at, { what: 'releasing', token });
const lost = (who: string, at: number, token: number) => line(who, at, { what: 'lost', token });
const renewed = (who: string, at: number, token: number, untilAt: number) =>
  line(who, at, { what: 'renewed', token, untilAt });
const askedInVain = (who: string, at: number, isForced: boolean, pid = 1) =>
  line(who, at, { what: 'asked', ask: `${who}-${pid}-lost-${at}`, isForced }, pid);
const effects = (...fences: [scope: string, token: string][]): AcceptedEffect[] =>
  fences.map(([fenceScope, fence], at) => ({ n: at + 1, fence, fenceScope }));

describe('a history that is of a fenced mutex', () => {
  it.for<[string, Line[]]>([
    ['is empty', []],
    [
      'hands on when a term ends',
      [...grant('ann', { token: 1, from: 0, until: 10 }), ...grant('ben', { token: 2, from: 10, until: 20 })],
    ],
    [
      'hands on when it is given back',
      [
        ...grant('ann', { token: 1, from: 0, until: 99 }),
        releasing('ann', 5, 1),
        ...grant('ben', { token: 2, from: 5, until: 20 }),
      ],
    ],
    [
      'hands on by force',
      [
        ...grant('ann', { token: 1, from: 0, until: 99 }),
        ...grant('ben', { token: 2, from: 7, until: 20, isForced: true }),
      ],
    ],
    [
      'refuses who comes meanwhile',
      [
        ...grant('ann', { token: 1, from: 0, until: 99 }),
        line('ben', 5, { what: 'asked', ask: 'b', isForced: false }),
        line('ben', 6, { what: 'refused', ask: 'b' }),
      ],
    ],
    [
      'gives the same owner the same token for a new term',
      [...grant('ann', { token: 1, from: 0, until: 10 }), ...grant('ann', { token: 1, from: 8, until: 30 })],
    ],
    [
      'answers two that asked at once in either order',
      [
        ...grant('ann', { token: 2, from: 6, until: 9, askedAt: 0, answeredAt: 7, isForced: true }),
        ...grant('ben', { token: 1, from: 5, until: 9, askedAt: 1, answeredAt: 8 }),
      ],
    ],
    [
      'leaves open what became of a take by force whose taker died before it wrote it down',
      [
        ...grant('ann', { token: 1, from: 0, until: 99 }),
        askedInVain('ben', 10, true),
        ...grant('cat', { token: 3, from: 20, until: 30 }),
      ],
    ],
    [
      'leaves open which term the same owner had of a take that nobody wrote down',
      [
        ...grant('ann', { token: 1, from: 0, until: 99 }),
        askedInVain('ann', 10, false, 2),
        ...grant('ben', { token: 2, from: 20, until: 30 }),
      ],
    ],
  ])('%s', ([, lines]) => {
    expect(checkHistory(lines)).toEqual([]);
  });

  it('has effects whose tokens grow or stay, in each scope', () => {
    const grown = effects(['group:forum', '5'], ['group:forum', '5'], ['lane:a', '1'], ['group:forum', '6']);
    expect(checkHistory([], [...grown, { n: 9, fence: null, fenceScope: null }])).toEqual([]);
  });
});

describe('a history that is none', () => {
  it.for<[string, Line[], RegExp]>([
    [
      'lets two have it at once',
      [...grant('ann', { token: 1, from: 0, until: 10 }), ...grant('ben', { token: 2, from: 9, until: 20 })],
      /^ann \(1\) and ben \(2\) had it at once for 1 ms$/,
    ],
    [
      'lets another in while it is renewed',
      [
        ...grant('ann', { token: 1, from: 0, until: 10 }),
        renewed('ann', 8, 1, 18),
        ...grant('ben', { token: 2, from: 12, until: 20 }),
      ],
      /had it at once for 6 ms/,
    ],
    [
      'lets another in before its holder has lost it',
      [
        ...grant('ann', { token: 1, from: 0, until: 90 }),
        lost('ann', 40, 1),
        ...grant('ben', { token: 2, from: 30, until: 50 }),
      ],
      /had it at once for 10 ms/,
    ],
    [
      'lets a third in while one has it who took it by force',
      [
        ...grant('ann', { token: 1, from: 0, until: 99 }),
        ...grant('ben', { token: 2, from: 7, until: 20, isForced: true }),
        ...grant('cat', { token: 3, from: 15, until: 30 }),
      ],
      /^ben \(2\) and cat \(3\)/,
    ],
    [
      'lets another in long after one is dead who perhaps took it by force',
      [
        askedInVain('ben', 0, true),
        ...grant('ben', { token: 1, from: 10, until: 20, pid: 2 }),
        ...grant('ann', { token: 2, from: 30, until: 99 }),
        ...grant('cat', { token: 3, from: 50, until: 60 }),
      ],
      /^ann \(2\) and cat \(3\)/,
    ],
    [
      'takes a token back',
      [...grant('ann', { token: 7, from: 0, until: 10 }), ...grant('ben', { token: 6, from: 20, until: 30 })],
      /^granted 6 to ben after 7 to ann: tokens only grow$/,
    ],
    [
      'takes a token back across others at the same time',
      [
        ...grant('ann', { token: 7, from: 0, until: 10 }),
        ...grant('ben', { token: 8, from: 20, until: 22, askedAt: 0, answeredAt: 40 }),
        ...grant('cat', { token: 5, from: 30, until: 35 }),
      ],
      /^granted 5 to cat after 7 to ann/,
    ],
    [
      'gives one token to two',
      [...grant('ann', { token: 7, from: 0, until: 10 }), ...grant('ben', { token: 7, from: 20, until: 30 })],
      /^granted 7 to ann and to ben/,
    ],
  ])('%s', ([, lines, said]) => {
    const problems = checkHistory(lines);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(said);
  });

  it('has an effect with a token lower than one before, compared exactly', () => {
    const two53 = '9007199254740992';
    const lines = checkHistory(
      [],
      effects(['group:forum', '9007199254740993'], ['lane:a', '1'], ['group:forum', two53]),
    );
    expect(lines).toEqual([`effect 3 in group:forum was accepted with ${two53} after 9007199254740993`]);
  });
});
