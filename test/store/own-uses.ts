// Limits that are taken with the job, as a test holds them: known to Redis, taken and settled by the scripts themselves, and with a
// past that can be moved, because Redis's clock cannot.

import { settleOwnLimits } from '../../src/store/scripts/settle-own-limits.ts';
import { takeOwnLimits } from '../../src/store/scripts/take-own-limits.ts';
import type { Limit } from '../../src/words/limit.ts';
import type { World } from '../support/world.ts';

export interface OwnUse {
  limit: Limit;
  agent?: string;
  id: string;
  amount: number;
}

export type OwnChange =
  | { what: 'drop' }
  | { what: 'settle'; agoMs?: number }
  | { what: 'keep'; forMs: number; isWired?: boolean }
  | { what: 'raise'; forMs: number };

export async function ownUses({ redis, keys }: World, limits: readonly Limit[], tag = 'api') {
  const at = { limits: keys.limits(tag), agents: keys.limitAgents(tag) };
  await makeKnown();

  async function makeKnown() {
    const run = /run_id:(\w+)/.exec(await redis.info('server'))?.[1] ?? '';
    await redis.hset(at.limits, { born: 1, run });
    for (const { name, kind, size, perMs, byAgent } of limits) {
      await redis.hset(at.limits, `lim:${name}`, `${kind} ${size} ${perMs} ${byAgent ? 1 : 0}`);
    }
  }

  const place = ({ limit, agent, id, amount }: OwnUse) => ({
    limit: limit.name,
    kind: limit.kind,
    perMs: limit.perMs,
    uses: keys.limitUses(tag, limit.name, agent),
    amounts: keys.limitAmounts(tag, limit.name, agent),
    id,
    amount,
    agent,
  });

  return {
    makeKnown,
    set: (fields: Record<string, string | number>) => redis.hset(at.limits, fields),
    take: (uses: readonly OwnUse[], forMs = 15_000, tries = 1) =>
      takeOwnLimits.run(redis, at, {
        takes: JSON.stringify(uses.map((use) => ({ ...place(use), forMs }))),
        tries,
        spread: 0.5,
      }),
    settle: (changes: readonly (OwnUse & OwnChange)[]) =>
      settleOwnLimits.run(redis, at, {
        changes: JSON.stringify(changes.map((change) => ({ agoMs: 0, ...change, ...place(change) }))),
      }),
    async sum(limit: Limit, agent?: string): Promise<number> {
      return Number((await redis.hget(keys.limitAmounts(tag, limit.name, agent), 'sum')) ?? 0);
    },
    /** All that counts does so for that much shorter. */
    async shift(limit: Limit, ms: number, agent?: string): Promise<void> {
      const [uses, amounts] = [keys.limitUses(tag, limit.name, agent), keys.limitAmounts(tag, limit.name, agent)];
      const found = await redis.zrange(uses, '0', '-1', 'WITHSCORES');
      const work = redis.multi();
      for (let index = 0; index < found.length; index += 2) {
        const member = found[index] as string;
        const score = String(Number(found[index + 1]) - ms);
        const moved = member.startsWith('=') ? `=${score}` : member;
        const amount = (await redis.hget(amounts, member)) as string;
        work.zrem(uses, member).hdel(amounts, member).zadd(uses, score, moved).hset(amounts, moved, amount);
      }
      await work.exec();
    },
  };
}
