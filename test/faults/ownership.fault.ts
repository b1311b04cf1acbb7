// Owners and single pods that die, sleep, or are forgotten by a failover: nobody believes longer than it is true, others come in
// time, and no token is ever lower than one before.

import { describe, expect } from 'vitest';
import { createRunLease } from '../../src/engine/run-lease.ts';
import { createSingleLocks } from '../../src/store/ownership/locks-single.ts';
import { systemClock } from '../../src/words/clock.ts';
import { createEventHub } from '../../src/words/events.ts';
import type { OwnerGroup } from '../../src/words/owner.ts';
import { it, type World } from '../support/world.ts';
import { until } from './harness/until.ts';
import { startHolder } from './ownership/processes.ts';
import { failOver, regressions } from './ownership/scenarios/failover.ts';

const GROUP: OwnerGroup = { address: { tag: 'publish', name: 'publish' }, lane: 'publish', lanes: { publish: 'park' } };

/** Resolves when another has it: by `take` for a hold, by standing by for the one pod. Answers when that was. */
async function takenOver(world: World, kind: 'hold' | 'run'): Promise<number> {
  if (kind === 'hold') {
    const locks = createSingleLocks(world);
    const cron = { as: 'cron', by: 'other', reason: 'at 3', termMs: 60_000, hold: '', isForced: false, floor: 0 };
    await until('another may have the lane', 20_000, async () => (await locks.take(GROUP, cron)).kind === 'granted');
    return Date.now();
  }
  const [runKey, sequenceKey] = [world.keys.run({ name: 'publish', tag: 'publish' }), world.keys.owner(GROUP.address)];
  const quiet = { clock: systemClock, events: createEventHub(), onHeld() {}, onLost() {} };
  const run = createRunLease({
    name: { lane: 'publish' },
    pod: 'other',
    redis: world.redis,
    runKey,
    sequenceKey,
    ...quiet,
  });
  world.defer(() => run.stop());
  run.start();
  await until('another pod runs it', 20_000, async () => run.isOurs);
  return Date.now();
}

/** Stopped until another has it, and then continued: what it believes from then on. */
async function afterSleep(world: World, kind: 'hold' | 'run', isCareless: boolean): Promise<boolean[]> {
  const { child, said } = await startHolder(world, kind, isCareless);
  child.kill('SIGSTOP');
  const tookAt = await takenOver(world, kind);
  child.kill('SIGCONT');
  // It may wake within the same millisecond.
  const later = () => said.filter(({ at }) => at >= tookAt);
  await until('it is awake', 10_000, async () => later().length > 0);
  return later().map(({ isHeld }) => isHeld);
}

describe.for(['hold', 'run'] as const)('who has a lane (%s)', (kind) => {
  it('and is killed blocks it for 8 s at the most', { timeout: 60_000 }, async ({ world }) => {
    const { child } = await startHolder(world, kind);
    const killedAt = Date.now();
    child.kill('SIGKILL');
    const tookMs = (await takenOver(world, kind)) - killedAt;
    console.log(`${kind}: another had it ${tookMs} ms after the kill`);
    expect(tookMs).toBeLessThan(8_500);
    expect(tookMs).toBeGreaterThan(5_000);
  });

  it('and was stopped while another took it believes nothing when it wakes', { timeout: 60_000 }, async ({ world }) => {
    expect(await afterSleep(world, kind, false)).not.toContain(true);
  });

  it('and believes for a while what it saw believes it also when it wakes (twin)', { timeout: 60_000 }, async ({
    world,
  }) => {
    expect(await afterSleep(world, kind, true)).toContain(true);
  });
});

it('a failover to a replica 3 s behind takes no token back, where a counter gives hundreds twice (twin)', {
  timeout: 120_000,
}, async ({ world }) => {
  const { leases, counter } = await failOver(world);
  const told = {
    granted: leases.before.length + leases.after.length,
    counter: regressions(counter),
    leases: regressions(leases),
  };
  console.log(`tokens: ${JSON.stringify(told)}`);
  expect(leases.after.length).toBeGreaterThan(10);
  expect(regressions(counter)).toBeGreaterThan(10);
  expect(regressions(leases)).toBe(0);
});
