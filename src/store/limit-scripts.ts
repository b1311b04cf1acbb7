// Our own driver of limits: one script that takes back, renews and grants, by Redis's clock. What is granted runs out by itself,
// so a pod that dies needs nobody to clean up after it.

import { randomBytes } from 'node:crypto';
import type { Keys } from '../words/keys.ts';
import type { Limit, LimitPlan } from '../words/limit.ts';
import type { Redis } from './connect.ts';
import {
  type Ask,
  type Granted,
  type LimitDriver,
  type LimitNotice,
  type LimitsShut,
  SLOT_MS,
} from './limit-driver.ts';
import type { Notices } from './notices.ts';
import { askPermits } from './scripts/ask-permits.ts';
import { extendSlot } from './scripts/extend-slot.ts';
import { holdLimits } from './scripts/hold-limits.ts';
import { type Differ, type KnownLimit, registerLimits, type Why } from './scripts/register-limits.ts';

/** How long a ticket may be sent. What is not used by then goes back, so a longer time costs nothing but a crash's memory. */
const TICKET_MS = 100;
/** Who waits for a slot is told when one is free; this is for when the word is lost. */
const AGAIN_MS = 500;
/**
 * What is known of the limits is found to be another's at the next ask, whatever notice was lost: who waits asks after 500 ms. Who
 * is held asks nothing: it finds at this beat that somebody ended the hold.
 */
const REGISTER_MS = 10_000;
/** Another driver grants: its pods are asked for nothing until they are gone, of which a notice tells. */
const FOREIGN_AGAIN_MS = 1_000;
/** State gone: for how long the windows count as full. Slots are named anew by those who hold them, within 2 s. */
const MAX_CLOSED_MS = 10_000;
const SLOTS_CLOSED_MS = 3_000;

const SHUT: Record<Exclude<Why, ''>, Omit<LimitsShut, 'forMs'>> = {
  first: { isLost: false, reason: 'nobody is known to have used its limits before' },
  driver: { isLost: false, reason: 'its limits are kept by our scripts now, no more by Bottleneck' },
  gone: { isLost: true, reason: 'Redis lost what counts towards its limits' },
  run: { isLost: true, reason: 'Redis was restarted, and may have lost what counted last towards its limits' },
};

export interface ScriptDriverOptions {
  redis: Redis;
  notices: Notices;
  keys: Keys;
  tag: string;
  pod: string;
  plan: LimitPlan;
  onShut?: (shut: LimitsShut) => void;
  /** Pods begin to define a limit differently: one of them is told. */
  onDrift?: (differ: Differ) => void;
}

export interface ScriptDriver extends LimitDriver {
  /** Those of all pods that are taken before a job is fetched are asked for here; the others by own-limit-scripts. */
  readonly known: readonly KnownLimit[];
  readonly isRegistered: boolean;
  register(): Promise<void>;
}

/** What can be taken before the job is here: it holds for all, and every request takes one. */
const isForAll = ({ kind, byAgent }: KnownLimit) => kind !== 'tokens' && !byAgent;

export function openScriptDriver(options: ScriptDriverOptions): ScriptDriver {
  const { redis, notices, keys, tag, pod, plan, onShut = () => {}, onDrift = () => {} } = options;
  /** Another pod's definition may have more than this one's. */
  let known: readonly KnownLimit[] = plan.limits;
  let limits = known.filter(isForAll);
  const at = { limits: keys.limits(tag), waiting: keys.limitWaiting(tag), slots: keys.limitUses(tag, 'concurrent') };
  const definitions = keys.limitDefinitions(tag);
  const channel = keys.limitNotice(tag);
  const listeners: ((notice: LimitNotice) => void)[] = [];
  let isForeign = false;
  /** Since when the state is known that this pod took part in. */
  let born = '';
  /** Undefined: it is known to have changed, and those who wait have heard so. */
  let rev: number | undefined;
  let registering: Promise<void> | undefined;
  const id = randomBytes(6).toString('hex');
  let asked = 0;
  let hasRegistered = false;
  /** It leaves: what it hears from then on, its own farewell among it, must not make it known again. */
  let isStopped = false;

  async function register(own: readonly Limit[] = plan.limits): Promise<void> {
    const limitsText = JSON.stringify(own);
    const args = { pod, driver: 'scripts', limits: limitsText, closedMs: closedMs(plan.limits), channel, known: born };
    const reply = await registerLimits.run(redis, { limits: at.limits, definitions }, args);
    hasRegistered = true;
    if (own.length > 0) known = reply.limits;
    limits = known.filter(isForAll);
    isForeign = reply.driver === 'bottleneck';
    if (reply.born !== '') born = reply.born;
    if (reply.why !== '') onShut({ forMs: reply.closedMs, ...SHUT[reply.why] });
    for (const one of reply.differ) onDrift(one);
    const isMissed = rev !== undefined && rev !== reply.revision;
    rev = reply.revision;
    if (isMissed) tell(reply.heldMs > 0 ? { kind: 'changed' } : { kind: 'released' });
  }

  function tell(notice: LimitNotice): void {
    if (!isStopped) for (const listener of listeners) listener(notice);
  }

  const beat = setInterval(() => {
    if (hasRegistered) registerOnce().catch(() => {});
  }, REGISTER_MS).unref();

  async function ask(given: Ask, isAgain = false): Promise<Granted> {
    if (isForeign) return refuse(given);
    const wire = {
      ...given,
      pod,
      rev: isAgain ? undefined : rev,
      driver: id,
      number: ++asked,
      limits: limits.map(({ name }) => name),
      slotMs: SLOT_MS,
      forMs: TICKET_MS,
      travelMs: plan.travelMs,
      againMs: AGAIN_MS,
    };
    const reply = await askPermits.run(redis, at, { ask: JSON.stringify(wire), channel });
    if (reply) {
      const { batch, tickets, ...rest } = reply;
      return { ...rest, tickets: tickets > 0 ? { batch, count: tickets, forMs: TICKET_MS } : undefined };
    }
    if (isAgain) throw new Error(`the state of the limits of ${tag} is gone again and again`);
    await registerOnce();
    return ask(given, true);
  }

  async function registerOnce(): Promise<void> {
    if (isStopped) throw new Error(`the limits of ${tag} are not asked for any more: this pod left them`);
    registering ??= register().finally(() => {
      registering = undefined;
    });
    await registering;
  }

  async function askOnce(given: Ask): Promise<Granted> {
    if (!hasRegistered) await registerOnce();
    return ask(given);
  }

  return {
    plan,
    get known() {
      return known;
    },
    get isRegistered() {
      return hasRegistered;
    },
    register: registerOnce,
    get needs() {
      const has = (kind: string) => limits.some((limit) => limit.kind === kind);
      return { slots: has('concurrent'), tickets: has('count') };
    },
    ask: askOnce,
    extend: (slot, forMs) => extendSlot.run(redis, { slots: at.slots }, { id: slot, forMs: Math.ceil(forMs) }),
    hold: (forMs, reason) =>
      holdLimits.run(redis, { limits: at.limits }, { forMs: Math.ceil(forMs), reason, who: pod, channel }),
    onNotice(listener) {
      listeners.push(listener);
      if (listeners.length > 1) return;
      notices.on(channel, (text) => {
        if (isStopped) return;
        const notice = JSON.parse(text) as LimitNotice & { pod?: string };
        if (notice.pod !== undefined && notice.pod !== pod) return;
        // Another pod may have brought a limit that this one did not know.
        if (notice.kind === 'changed' || notice.kind === 'released') {
          rev = undefined;
          if (hasRegistered) registerOnce().catch(() => {});
        }
        tell(notice);
      });
    },
    async stop() {
      isStopped = true;
      clearInterval(beat);
      await registering?.catch(() => {});
      if (hasRegistered) await register([]).catch(() => {});
    },
  };
}

/** What it holds is from before it was away for a minute: it ran out long ago. */
function refuse({ slots, tickets, kept, wired }: Ask): Granted {
  return {
    slots: [],
    tickets: undefined,
    lost: [...kept, ...wired],
    againInMs: slots + tickets > 0 ? FOREIGN_AGAIN_MS : undefined,
    isContended: false,
  };
}

function closedMs(limits: readonly Limit[]): number {
  return Math.max(...limits.map(({ perMs }) => (perMs === 0 ? SLOTS_CLOSED_MS : Math.min(perMs, MAX_CLOSED_MS))));
}
