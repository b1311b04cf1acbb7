// The door: what is decided about a request the moment its headers are in. Its luck is drawn, its fence token noted, limits
// and cooldown weighed, and it is counted. Whatever refuses it, everything that is to be remembered of it is remembered.

import { toErrorAnswer, toLimitedAnswer, toLimitHeaders, type Version } from './answers.ts';
import type { Behaviour, ResetPoint } from './behaviour.ts';
import type { Answer } from './effects.ts';
import { toFenceToken } from './fences.ts';
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

export function admit({ record, world, behaviour, pin, seed }: Knock): Admission {
  const luck = drawLuck(seed, world.nextTurn());
  const at = record.arrivedAt;
  const visit = { agent: record.agent, isWrite: isWrite(record.method) };

  const ruling = world.gate.weigh(record.agent, at, behaviour.countRefused);
  const early = behaviour.enforce ? world.agents.check(visit, at, behaviour) : null;
  const fenced = checkFence(record, world, behaviour, 'noting');
  const { version, refused: unknown } = chooseVersion(behaviour, pin, luck);

  let refused: Refused | null = null;
  if (early) {
    const message =
      early.by === 'ban' ? `${record.agent} is banned` : `${record.agent} came before its cooldown was over`;
    refused = { by: early.by, answer: limited(early.by === 'ban' ? 'banned' : 'cooldown', message, early.untilAt) };
  } else if (behaviour.enforce && ruling.refusal) {
    const { by, untilAt } = ruling.refusal;
    const code = by === 'rate' ? 'rate-limited' : 'too-many-at-once';
    const message = by === 'rate' ? 'too many requests' : 'too many requests at once';
    refused = { by, answer: limited(code, message, untilAt ?? at + behaviour.retryAfter) };
  } else {
    refused = fenced ?? unknown;
  }

  const fails = behaviour.failWith !== null && luck.fail < behaviour.failRatio;
  record.refusedBy = refused?.by ?? (fails ? 'failure' : null);
  const counts = behaviour.countRefused || record.refusedBy === null;
  if (counts) {
    world.gate.count(record.agent, at);
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
    checkAgain: () => {
      const late = checkFence(record, world, behaviour, 'looking');
      if (late) record.refusedBy = late.by;
      return late?.answer ?? null;
    },
  };

  /** Says when coming again is in order: if this refusal restarts the agent's cooldown, not before that is over. */
  function limited(code: string, message: string, untilAt: number): Answer {
    const isAct = record.agent !== null && (behaviour.cooldownOn === 'all' || visit.isWrite);
    // One ms more, because the cooldown runs from this answer's last byte, which is yet to be sent.
    const restartMs = behaviour.countRefused && isAct && behaviour.cooldown !== null ? behaviour.cooldown + 1 : 0;
    return toLimitedAnswer(code, message, Math.max(untilAt - at, restartMs));
  }
}

function checkFence(
  record: RequestRecord,
  world: World,
  { checkFence: isChecked }: Behaviour,
  mode: 'noting' | 'looking',
): Refused | null {
  if (record.fence === null || record.fenceScope === null) return null;
  const token = toFenceToken(record.fence);
  if (token === undefined) {
    const message = 'x-fence-token: expected a whole number';
    return isChecked ? { by: 'fence', answer: toErrorAnswer(400, 'malformed-fence', message) } : null;
  }
  const highest =
    mode === 'noting' ? world.fences.see(record.fenceScope, token) : (world.fences.highest(record.fenceScope) ?? token);
  if (!isChecked || token >= highest) return null;
  const message = `token ${token} is older than ${highest}`;
  return { by: 'fence', answer: toErrorAnswer(412, 'fenced', message, { highest: String(highest) }) };
}

function chooseVersion(
  { rollout }: Behaviour,
  pin: string | null,
  luck: Luck,
): { version: Version; refused: Refused | null } {
  if (!rollout) return { version: { name: null, isNew: false }, refused: null };
  const [before, after] = rollout.versions;
  if (pin !== null && pin !== before && pin !== after) {
    const message = `x-api-version: expected ${before} or ${after}`;
    const answer = toErrorAnswer(400, 'unknown-version', message, { versions: rollout.versions });
    return { version: { name: null, isNew: false }, refused: { by: 'input', answer } };
  }
  const isNew = pin === null ? luck.version < rollout.ratio : pin === after;
  return { version: { name: isNew ? after : before, isNew }, refused: null };
}

const RESETS = ['before-work', 'before-answer', 'mid-answer'] as const;

function chooseReset({ resetRatio, resetAt }: Behaviour, luck: Luck): ResetPoint | null {
  if (luck.reset >= resetRatio) return null;
  return resetAt === 'any' ? RESETS[Math.floor(luck.resetAt * RESETS.length)]! : resetAt;
}
