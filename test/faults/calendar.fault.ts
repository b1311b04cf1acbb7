// The calendar in the long form: 10,000 random histories against its model, and a week of 32 agents, with a clock that is passed in.
// FAULTS_SEED repeats a run.

import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { createKeys } from '../../src/words/keys.ts';
import { HISTORY, play } from '../store/calendar-history.ts';
import { CalendarWorld, type Held, START } from '../store/calendar-world.ts';
import { it } from '../support/world.ts';
import { createTurns } from './harness/suite.ts';

const HOUR = 3_600_000;

describe('the calendar', () => {
  it('does what its model does, in 10,000 random histories', { timeout: 300_000 }, async ({ world }) => {
    const seed = Number(process.env.FAULTS_SEED) || randomInt(1, 1_000_000);
    console.log(`FAULTS_SEED=${seed}`);
    const turn = createTurns(24);
    const failed: string[] = [];
    const histories = fc.sample(HISTORY, { seed, numRuns: 10_000 });
    await Promise.all(
      histories.map((history, place) =>
        turn(async () => {
          await play(world.redis, createKeys(`${world.prefix}:${place}`), history).catch((error: Error) => {
            failed.push(`history ${place}: ${error.message} in ${JSON.stringify(history)}`);
          });
        }),
      ),
    );
    expect(failed.slice(0, 3), `${failed.length} failed, FAULTS_SEED=${seed}`).toEqual([]);
  });

  it('lets 32 agents act in a week as often as they may, of 5,000 jobs, and none early', { timeout: 300_000 }, async ({
    world,
  }) => {
    const agents = Array.from({ length: 32 }, (_, index) => `a${index}`);
    const cooldownMs = 2 * HOUR;
    const actMs = 20_000;
    const calendar = new CalendarWorld(world.redis, world.keys, { agents, lanes: { publish: cooldownMs } });
    world.defer(() => calendar.close());
    await calendar.open();
    // Half of any agent, a tenth of them urgent.
    for (let n = 0; n < 5_000; n++)
      await calendar.add('publish', { agent: n % 2 ? agents[n % 32] : undefined, priority: n % 10 ? 5 : 1 });
    const until = START + 7 * 24 * HOUR;
    const lastAt = new Map<string, number>();
    const acting: (Held & { endsAt: number })[] = [];
    let acts = 0;
    let early = 0;
    while (calendar.now < until) {
      await calendar.beat('p1', acting);
      for (;;) {
        const held = await calendar.claim('publish', { yields: false });
        if (!held) break;
        acts++;
        if (calendar.now < (lastAt.get(held.agent) ?? 0) + cooldownMs) early++;
        acting.push({ ...held, endsAt: calendar.now + actMs });
      }
      const [, opensAt = Number.POSITIVE_INFINITY] = await world.redis.zrange(
        calendar.key('windows'),
        '0',
        '0',
        'WITHSCORES',
      );
      const next = Math.min(Number(opensAt), ...acting.map(({ endsAt }) => endsAt));
      await calendar.at(Math.max(next, calendar.now + 1));
      for (const held of acting.filter(({ endsAt }) => endsAt <= calendar.now)) {
        acting.splice(acting.indexOf(held), 1);
        lastAt.set(held.agent, held.endsAt);
        await calendar.done(held, { agoMs: calendar.now - held.endsAt });
      }
    }
    const most = agents.length * Math.ceil((until - START) / (cooldownMs + actMs));
    console.log(`${acts} acts of ${most}`);
    expect(early).toBe(0);
    expect(acts).toBeLessThanOrEqual(most);
    expect(acts).toBeGreaterThanOrEqual(most * 0.999);
  });
});
