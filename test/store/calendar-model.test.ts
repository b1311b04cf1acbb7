// The calendar's scripts against a model in plain TypeScript, over random histories: who acts, when, as whom. The long form, of
// 10,000, is test/faults/calendar.fault.ts.

import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { createKeys } from '../../src/words/keys.ts';
import { it } from '../support/world.ts';
import { HISTORY, play } from './calendar-history.ts';
import { sayingInstead } from './other-scripts.ts';

describe('the calendar', () => {
  it('does what its model does, in 200 random histories', async ({ world }) => {
    let serial = 0;
    await fc.assert(
      fc.asyncProperty(HISTORY, (history) => play(world.redis, createKeys(`${world.prefix}:${serial++}`), history)),
      { numRuns: 200 },
    );
  });

  it.for([
    ['opens a window a moment early', 'now - release.agoMs', 'now - release.agoMs - 1'],
    ['goes by the last of a line', "call('ZRANGE', line, 0, 0,", "call('ZRANGE', line, -1, -1,"],
    ['takes what the dead held for unused', 'now + (cooldowns[lane] or longest)', 'now'],
    ['lets the late in', 'local isOurs = held[1] == whole(release.token)', 'local isOurs = true'],
  ] as const)('twin: one that %s is found out', async ([, text, instead], { world }) => {
    const { redis, changed } = sayingInstead(world, text, instead);
    let serial = 0;
    const tried = fc.assert(
      fc.asyncProperty(HISTORY, (history) => play(redis, createKeys(`${world.prefix}:${serial++}`), history)),
      { numRuns: 1_500, endOnFailure: true },
    );
    await expect(tried).rejects.toThrow('Property failed');
    expect(changed()).toBeGreaterThan(0);
  });
});
