// The limits that can only be taken once a job is here, as our scripts keep them: tokens, whose number its payload says, and those
// of its agent. What is taken runs out by itself, so a pod that dies needs nobody to clean up after it.

import type { Keys } from '../words/keys.ts';
import type { Redis } from './connect.ts';
import type { ScriptDriver } from './limit-scripts.ts';
import type { KnownLimit } from './scripts/register-limits.ts';
import { type ChangeWire, settleOwnLimits } from './scripts/settle-own-limits.ts';
import { type OwnReply, takeOwnLimits } from './scripts/take-own-limits.ts';

export type { KnownLimit };
export type OwnVerdict = Exclude<OwnReply, { kind: 'gone' }>;

export interface Use {
  limit: KnownLimit;
  agent: string | null;
  /** Of its own in this upstream; begins with the lane's name. */
  id: string;
  amount: number;
}

export interface Take extends Use {
  /** It counts for so long, and the limit's `per` more. */
  forMs: number;
}

type Fate<T> = T extends unknown ? Omit<T, keyof Use | 'limit' | 'perMs' | 'uses' | 'amounts' | 'agent'> : never;
export type Change = Use & Fate<ChangeWire>;

export interface OwnLimits {
  readonly upstream: string;
  /** How long a request may take to get there. */
  readonly travelMs: number;
  /** Those that matter to a job with, or without, an agent. */
  limitsOf(agent: string | null): readonly KnownLimit[];
  /** All or none. `compose` is asked again when other limits turn out to be known. `tries`: how often it was sent away before. */
  take(compose: () => readonly Take[], tries: number): Promise<OwnVerdict>;
  /** Answers the ids of those that could not be kept: others may have them. */
  settle(changes: readonly Change[]): Promise<readonly string[]>;
}

export interface OwnLimitsOptions {
  redis: Redis;
  keys: Keys;
  tag: string;
  driver: ScriptDriver;
  random?: () => number;
}

export function openOwnLimits({ redis, keys, tag, driver, random = Math.random }: OwnLimitsOptions): OwnLimits {
  const at = { limits: keys.limits(tag), agents: keys.limitAgents(tag) };

  function place({ limit, agent, id }: Use) {
    const whose = limit.byAgent ? (agent as string) : undefined;
    return {
      limit: limit.name,
      perMs: limit.perMs,
      uses: keys.limitUses(tag, limit.name, whose),
      amounts: keys.limitAmounts(tag, limit.name, whose),
      agent: whose,
      id,
    };
  }

  async function retried<T>(ask: () => Promise<T | undefined>): Promise<T> {
    if (!driver.isRegistered) await driver.register();
    const answer = await ask();
    if (answer !== undefined) return answer;
    await driver.register();
    const second = await ask();
    if (second !== undefined) return second;
    throw new Error(`the state of the limits of ${tag} is gone again and again`);
  }

  return {
    upstream: tag,
    travelMs: driver.plan.travelMs,
    limitsOf: (agent) => driver.known.filter(({ kind, byAgent }) => (byAgent ? agent !== null : kind === 'tokens')),
    take: (compose, tries) =>
      retried<OwnVerdict>(async () => {
        const takes = compose();
        // Registered anew, this upstream may turn out to have none.
        if (takes.length === 0) return { kind: 'taken' };
        const wire = takes.map((take) => ({
          ...place(take),
          kind: take.limit.kind,
          amount: take.amount,
          forMs: take.forMs,
        }));
        const args = { takes: JSON.stringify(wire), tries, spread: random() };
        const reply = await takeOwnLimits.run(redis, at, args);
        return reply.kind === 'gone' ? undefined : reply;
      }),
    settle: (changes) =>
      retried(() => {
        const wire = changes.map((change) => ({ ...change, ...place(change) }));
        return settleOwnLimits.run(redis, at, { changes: JSON.stringify(wire) });
      }),
  };
}
