// An upstream's limits in Redis, and the asks of its pods, without any pod.

import { type AskWire, askPermits } from '../../src/store/scripts/ask-permits.ts';
import { registerLimits } from '../../src/store/scripts/register-limits.ts';
import type { World } from '../support/world.ts';

const NONE = { freed: [], unsent: [], sent: [], kept: [], wired: [] };

interface Size {
  concurrent?: number;
  count?: number;
  perMs?: number;
}

/** Of one upstream, which has the pods and lanes of one test. */
export async function openLimits(world: World, { concurrent, count, perMs = 1_000 }: Size, tag = 'u') {
  const { redis, keys } = world;
  const limits = [
    ...(concurrent ? [{ name: 'concurrent', kind: 'concurrent', size: concurrent, perMs: 0, byAgent: false }] : []),
    ...(count ? [{ name: 'per', kind: 'count', size: count, perMs, byAgent: false }] : []),
  ];
  const at = {
    limits: keys.limits(tag),
    definitions: keys.limitDefinitions(tag),
    waiting: keys.limitWaiting(tag),
    slots: keys.limitUses(tag, 'concurrent'),
  };
  const channel = keys.limitNotice(tag);
  const register = (pod: string, own = limits) =>
    registerLimits.run(redis, at, {
      pod,
      driver: 'scripts',
      limits: JSON.stringify(own),
      closedMs: 0,
      channel,
      known: '',
    });
  await register('p0');
  let number = 0;
  const ask = async (given: Partial<AskWire>) => {
    const wire = {
      ...{ lane: 'a', pod: 'p0', weight: 1, unit: 1, slots: 0, tickets: 0, slotMs: 15_000 },
      ...{ driver: 'd', number: ++number },
      ...{ forMs: 20, travelMs: 10, againMs: 500, limits: limits.map(({ name }) => name), ...NONE, ...given },
    };
    return askPermits.run(redis, at, { ask: JSON.stringify(wire), channel });
  };
  const granted = async (given: Partial<AskWire>) => {
    const reply = await ask(given);
    if (!reply) throw new Error('gone');
    return reply;
  };
  const used = async (limit: string) => Number(await redis.hget(at.limits, `used:${limit}`));
  return { ask, granted, used, register, at, channel, limits };
}
