// Equal definitions have equal prints, however they were written; what a lane takes of its upstream's limits counts.

import { expect, it } from 'vitest';
import { fingerprint } from '../../src/engine/fingerprint.ts';
import { defineLane, defineUpstream, type UpstreamOptions } from '../../src/index.ts';

const print = (limits: UpstreamOptions['limits'], share: object = {}) =>
  fingerprint(defineLane({ name: 'a', upstream: defineUpstream({ name: 'api', limits }), ...share }));

it('is the same for limits that mean the same', () => {
  const one = print([{ concurrent: 3 }, { count: 60, per: '1m' }]);
  expect(print({ driver: 'scripts', travel: 50, all: [{ count: 60, per: 60_000 }, { concurrent: 3 }] })).toBe(one);
  expect(print([{ concurrent: 3 }, { count: 60, per: '1m' }], { weight: 1, requests: 1 })).toBe(one);
});

it('is another for every limit, driver, travel, weight, number of requests and estimate that is another', () => {
  const prints = [
    print(undefined),
    print([{ concurrent: 3 }]),
    print([{ concurrent: 4 }]),
    print([{ concurrent: 3, by: 'agent' }]),
    print([{ concurrent: 3 }, { count: 60, per: '1m' }]),
    print([{ concurrent: 3 }, { count: 60, per: '2m' }]),
    print({ driver: 'bottleneck', all: [{ concurrent: 3 }] }),
    print({ all: [{ concurrent: 3 }], travel: '1s' }),
    print([{ concurrent: 3 }], { weight: 2 }),
    print([{ concurrent: 3 }], { requests: 2 }),
    print([{ tokens: 3, per: '1m' }], { tokens: 1 }),
    print([{ tokens: 3, per: '1m' }], { tokens: 2 }),
    print([{ tokens: 3, per: '1m' }], { tokens: () => 1 }),
    print([{ tokens: 3, per: '1m' }], { tokens: () => 2 }),
  ];
  expect(new Set(prints).size).toBe(prints.length);
});
