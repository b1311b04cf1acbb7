// The door: what is decided about a request the moment its headers are in. Its luck is drawn, its fence token noted, limits
// and cooldown weighed, and it is counted. Whatever refuses it, everything that is to be remembered of it is remembered.

import type { Visit } from './agents.ts';
import { toErrorAnswer, toLimitedAnswer, toLimitHeaders, type Version } from './answers.ts';
import type { Behaviour, ResetPoint } from './behaviour.ts';
import type { Answer } from './effects.ts';
import { toFenceToken } from './fences.ts';
import type { LimitRuling } from './limit-gate.ts';
import { isWrite, type Refusal, type RequestRecord } from './record.ts';
import { drawLuck, type Luck } from './rng.ts';
import type { World } from './world.ts';

export interface Admission {
  /** The answer, if it does not get in. */
  readonly refusal: Answer | null;
  /** The answer after the latency, if `failWith` struck. */
  readonly failure: Answer | null;
  /** Whether it counts towards limits and cooldown, and so has to be signed out. */
  readonly counts: boolean;
  /** What every answer to it says of limits and version. */
  readonly headers: Readonly<Record<string, string>>;
  readonly version: Version;
  readonly luck: Luck;
  readonly resetAt: ResetPoint | null;
  /** The fence again, right before the work: a higher token may have come while it waited. */
  checkAgain(): Answer | null;
}

interface Knock {
  readonly record: RequestRecord;
  readonly world: World;
  readonly behaviour: Behaviour;
  readonly pin: string | null;
  readonly seed: number;
}

interface Refused {
  readonly by: Refusal;
  readonly answer: Answer;
}

export function admit(knock: Knock): Admission {
  const { record, world, behaviour, pin, seed } = knock;
  const luck = drawLuck(seed, world.nextTurn());
  const visit = { agent: record.agent, isWrite: isWrite(record.method) };
  const ruling = world.gate.weigh(record.agent, record.arrivedAt, behaviour.countRefused);
  const fenced = checkFence(knock, world.fences.see);
  const { version, unknown } = chooseVersion(behaviour, pin, luck);
  const refused = turnAway(knock, visit, ruling) ?? fenced ?? unknown;
  const fails = behaviour.failWith !== null && luck.fail < behaviour.failRatio;

  record.refusedBy = refused?.by ?? (fails ? 'failure' : null);
  const counts = behaviour.countRefused || record.refusedBy === null;
  if (counts) {
    world.gate.count(record.agent, record.arrivedAt);
    world.agents.enter(visit);
  }
  return {
    refusal: refused?.answer ?? null,
    failure: fails ? toErrorAnswer(behaviour.failWith!, 'unavailable', 'the upstream does not work') : null,
    counts,
    headers: {
      ...(ruling.state ? toLimitHeaders(ruling.state, behaviour.retryAfter) : {}),
      ...(version.name === null ? {} : { 'x-api-version': version.name }),
    },
    version,
    luck,
    resetAt: chooseReset(behaviour, luck),
    checkAgain() {
      const late = checkFence(knock, (scope, token) => world.fences.highest(scope) ?? token);
      if (late) record.refusedBy = late.by;
      return late?.answer ?? null;
    },
  };
}

/** By its agent's cooldown or ban, else by a limit. The answer says when coming again is in order. */
function turnAway({ record, world, behaviour }: Knock, visit: Visit, ruling: LimitRuling): Refused | null {
  if (!behaviour.enforce) return null;
  const { agent, arrivedAt: at } = record;
  const isAct = agent !== null && (behaviour.cooldownOn === 'all' || visit.isWrite);
  // A refusal that counts restarts the cooldown, so nobody may be told to come sooner. One ms more, because it will run
  // from this answer's last byte, which is yet to be sent.
  const restartMs = behaviour.countRefused && isAct && behaviour.cooldown !== null ? behaviour.cooldown + 1 : 0;
  const refuse = (by: Refusal, code: string, message: string, waitMs: number) => ({
    by,
    answer: toLimitedAnswer(code, message, Math.max(waitMs, restartMs)),
  });

  const early = world.agents.check(visit, at, behaviour);
  if (early?.by === 'ban') return refuse('ban', 'banned', `${agent} is banned`, early.untilAt - at);
  if (early) return refuse('cooldown', 'cooldown', `${agent} came before its cooldown was over`, early.untilAt - at);
  if (!ruling.refusal) return null;
  const { by, untilAt } = ruling.refusal;
  if (untilAt === null) return refuse(by, 'too-many-at-once', 'too many requests at once', behaviour.retryAfter);
  return refuse(by, 'rate-limited', 'too many requests', untilAt - at);
}

/** `highestOf` answers the highest token seen in a scope, and may take note of this one. */
function checkFence({ record, behaviour }: Knock, highestOf: (scope: string, token: bigint) => bigint): Refused | null {
  if (record.fence === null || record.fenceScope === null) return null;
  const token = toFenceToken(record.fence);
  if (token === undefined) {
    const message = 'x-fence-token: expected a whole number';
    return behaviour.checkFence ? { by: 'fence', answer: toErrorAnswer(400, 'malformed-fence', message) } : null;
  }
  const highest = highestOf(record.fenceScope, token);
  if (!behaviour.checkFence || token >= highest) return null;
  const message = `token ${token} is older than ${highest}`;
  return { by: 'fence', answer: toErrorAnswer(412, 'fenced', message, { highest: String(highest) }) };
}

function chooseVersion(
  { rollout }: Behaviour,
  pin: string | null,
  luck: Luck,
): { version: Version; unknown: Refused | null } {
  if (!rollout) return { version: { name: null, isNew: false }, unknown: null };
  const [before, after] = rollout.versions;
  if (pin !== null && pin !== before && pin !== after) {
    const message = `x-api-version: expected ${before} or ${after}`;
    const answer = toErrorAnswer(400, 'unknown-version', message, { versions: rollout.versions });
    return { version: { name: null, isNew: false }, unknown: { by: 'input', answer } };
  }
  const isNew = pin === null ? luck.version < rollout.ratio : pin === after;
  return { version: { name: isNew ? after : before, isNew }, unknown: null };
}

const RESETS = ['before-work', 'before-answer', 'mid-answer'] as const;

function chooseReset({ resetRatio, resetAt }: Behaviour, luck: Luck): ResetPoint | null {
  if (luck.reset >= resetRatio) return null;
  return resetAt === 'any' ? RESETS[Math.floor(luck.resetAt * RESETS.length)]! : resetAt;
}
