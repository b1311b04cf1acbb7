// What is known to bring about what: one table of causes and their effects by event, place and time. Inside its rule an effect is
// "because of" its cause, or where the entries themselves name each other; near it merely "after"; else nothing is said.

import { namesOf, numberOf, type TimelineLine, textOf } from './timeline-line.ts';
import { BESIDE_MS } from './timeline-order.ts';

/**
 * An effect is the name of an event, the end of an attempt ('park:limit'), or one of `attempts.jump`, `attempts.fall`,
 * `attempts.slow`.
 */
interface Rule {
  effects: readonly string[];
  /**
   * Where the effect must lie: on the lane, anywhere on its upstream, on a lane the pod ran, of the same writer, of the same
   * job, or anywhere.
   */
  by: 'lane' | 'tag' | 'lanes' | 'who' | 'job' | 'fleet';
  /** It may have begun before it was told: a pod is called silent when it has been for a while. */
  beganMs?(line: TimelineLine): number;
  /** How long its effects may begin. */
  forMs(line: TimelineLine): number;
  /** What ends it before. */
  endedBy?: readonly string[];
  applies?(line: TimelineLine): boolean;
  /** In a few words: what it was. */
  say(line: TimelineLine): string;
}

const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;
const minutes = (count: number) => () => count * MINUTE;
const lasting = (field: string, moreMs: number) => (line: TimelineLine) => (numberOf(line, field) ?? 0) + moreMs;
const untilAt = (field: string, otherwiseMs: number) => (line: TimelineLine) =>
  Math.max(MINUTE, (numberOf(line, field) ?? line.at + otherwiseMs) - line.at);
const LOST = ['job.stalled', 'attempt.lost', 'settle.refused', 'agent.freed', 'job.recovered'];
const STARVED = ['attempts.fall', 'lane.overdue', 'lane.overparked'];

const RULES: Readonly<Record<string, Rule>> = {
  'limit.held': {
    effects: ['park:rate-limit', 'park:quota', 'park:limit', ...STARVED],
    by: 'tag',
    forMs: lasting('forMs', 5_000),
    endedBy: ['limit.released'],
    say: (line) => `the hold of ${line.upstream}`,
  },
  'limit.set': {
    effects: ['park:limit', 'attempts.slow', ...STARVED],
    by: 'tag',
    forMs: minutes(15),
    endedBy: ['limit.reset'],
    applies: (line) => (numberOf(line, 'after') ?? 0) < (numberOf(line, 'before') ?? 0),
    say: (line) => `limit ${line.limit} of ${line.upstream} lowered to ${line.after}`,
  },
  'limit.lost': {
    effects: ['park:limit', ...STARVED],
    by: 'tag',
    forMs: lasting('forMs', 5_000),
    say: (line) => `the lost limits of ${line.upstream}`,
  },
  'limit.begun': {
    effects: ['park:limit', ...STARVED],
    by: 'tag',
    forMs: lasting('forMs', 5_000),
    say: (line) => `the limits of ${line.upstream} that begin to count`,
  },
  'agents.lost': {
    effects: ['park:cooldown', ...STARVED],
    by: 'tag',
    forMs: minutes(10),
    say: (line) => `the lost agents of ${line.upstream}`,
  },
  'agent.silent': {
    effects: ['park:cooldown', ...STARVED],
    by: 'tag',
    forMs: minutes(10),
    say: (line) => `silent agents of ${line.upstream}`,
  },
  'agent.ordered': {
    effects: ['park:cooldown', ...STARVED],
    by: 'tag',
    forMs: untilAt('afterAt', 10 * MINUTE),
    applies: (line) => line.order === 'mark' || line.order === 'remove',
    say: (line) => `agents of ${line.upstream} ${line.order === 'mark' ? 'marked' : 'removed'}`,
  },
  'lane.taken': {
    effects: ['lane.displaced', 'attempts.jump', 'park:owner', 'dead:refused', 'settle.refused'],
    by: 'tag',
    forMs: minutes(10),
    say: (line) => `${line.lane} taken by ${textOf(line, 'as') ?? line.who}`,
  },
  'lane.displaced': {
    effects: ['attempts.jump', 'attempts.fall', 'park:owner', 'attempt.fenced', 'jobs.displaced', 'settle.refused'],
    by: 'tag',
    forMs: minutes(10),
    say: (line) => `the owner of ${line.lane} displaced`,
  },
  'lane.expired': {
    effects: ['jobs.displaced', 'park:owner', 'dead:refused', 'attempts.fall'],
    by: 'tag',
    forMs: minutes(10),
    say: (line) => `the term on ${line.lane} run out`,
  },
  'lane.released': {
    effects: ['jobs.displaced', 'park:owner', 'dead:refused', 'attempts.fall'],
    by: 'tag',
    forMs: minutes(10),
    say: (line) => `${line.lane} released by ${textOf(line, 'as') ?? line.who}`,
  },
  'lane.paused': {
    effects: ['park:pause', ...STARVED],
    by: 'lane',
    forMs: () => DAY,
    endedBy: ['lane.resumed'],
    say: (line) => `the pause of ${line.lane}`,
  },
  'lane.resumed': {
    effects: ['attempts.jump'],
    by: 'lane',
    forMs: minutes(5),
    say: (line) => `the resume of ${line.lane}`,
  },
  'limit.released': {
    effects: ['attempts.jump'],
    by: 'tag',
    forMs: minutes(2),
    say: (line) => `the hold of ${line.upstream} ended`,
  },
  'operation.begun': {
    effects: ['job.replayed', 'job.dropped', 'attempts.jump'],
    by: 'lane',
    forMs: minutes(10),
    endedBy: ['dead.replayed', 'dead.dropped'],
    say: (line) => `the ${line.order} of dead letters`,
  },
  'dead.replayed': {
    effects: ['attempts.jump', 'job.replayed'],
    by: 'lane',
    forMs: minutes(5),
    say: () => 'the replay of dead letters',
  },
  'pod.silent': {
    effects: [...LOST, ...STARVED, 'lane.unattended', 'run.taken'],
    by: 'lanes',
    // Its last heartbeat came a while before its last act.
    beganMs: lasting('silentMs', 1_000),
    forMs: minutes(2),
    say: (line) => `pod ${line.pod} gone`,
  },
  'pod.late': {
    effects: LOST,
    by: 'fleet',
    beganMs: lasting('lateMs', 1_000),
    forMs: minutes(1),
    say: (line) => `the blocked loop of ${line.who}`,
  },
  'cancel.ordered': {
    effects: ['job.cancelled'],
    by: 'job',
    forMs: () => DAY,
    say: (line) => `the order of ${line.who}`,
  },
  'pod.draining': {
    effects: ['attempt.returned'],
    by: 'who',
    forMs: lasting('deadlineMs', 5_000),
    say: (line) => `pod ${line.who} leaving`,
  },
  'pod.stopped': {
    effects: ['lane.unattended', 'attempts.fall'],
    by: 'fleet',
    forMs: minutes(2),
    say: (line) => `pod ${line.who} stopped`,
  },
  'redis.back': {
    effects: [...LOST, ...STARVED, 'attempts.jump', 'pod.silent', 'lane.unattended'],
    by: 'fleet',
    beganMs: lasting('awayMs', 1_000),
    forMs: minutes(1),
    say: () => 'Redis away',
  },
  'redis.full': {
    effects: [...STARVED, 'attempt.lost', 'job.stalled', 'journal.gap'],
    by: 'fleet',
    forMs: () => DAY,
    endedBy: ['redis.roomy'],
    say: () => 'Redis full',
  },
};

/** Near, but outside the rule: only "after". */
const AFTER_MS = 5 * MINUTE;
/** Causes remembered: those of half an hour of a bad night. */
const MAX_CAUSES = 300;

export interface Cause {
  how: 'because of' | 'after';
  what: string;
  at: number;
  text: string;
}

export interface Effect {
  name: string;
  /** When it began, however long ago, and from when to when it is told of here. */
  beganAt: number;
  fromAt: number;
  untilAt: number;
  lane: string | null;
  tag: string | null;
  who: string | null;
  job: string | null;
}

interface Known {
  rule: Rule;
  line: TimelineLine;
  fromAt: number;
  untilAt: number;
  isEnded: boolean;
}

export class CauseBook {
  #known: Known[] = [];

  note(line: TimelineLine): void {
    for (const one of this.#known) {
      const isEnd = one.rule.endedBy?.includes(line.what) && one.untilAt > line.at && isThere(one, placeOf(line));
      if (isEnd) Object.assign(one, { untilAt: line.at, isEnded: true });
    }
    const rule = Object.hasOwn(RULES, line.what) ? RULES[line.what] : undefined;
    if (!rule || rule.applies?.(line) === false) return;
    const fromAt = line.at - (rule.beganMs?.(line) ?? 0);
    this.#known.push({ rule, line, fromAt, untilAt: line.at + rule.forMs(line), isEnded: false });
    if (this.#known.length > MAX_CAUSES) this.#known.splice(0, MAX_CAUSES / 3);
  }

  /** The latest that explains it, and the line that it stands in. */
  find(effect: Effect): { cause: Cause; line: TimelineLine } | undefined {
    const there = this.#known.filter((one) => one.rule.effects.includes(effect.name) && isThere(one, effect));
    const isBefore = (one: Known) => effect.beganAt >= one.fromAt - BESIDE_MS;
    // What began with an earlier one of the same kind goes on with the later one.
    const because = there.findLast(
      (one) =>
        one.fromAt - BESIDE_MS <= effect.untilAt &&
        effect.fromAt <= Math.max(one.untilAt, one.line.at) &&
        there.some((earlier) => earlier.line.what === one.line.what && isBefore(earlier)),
    );
    if (because) return toCause('because of', because);
    const after = there.findLast((one) => !one.isEnded && isBefore(one) && effect.beganAt <= one.untilAt + AFTER_MS);
    return after && toCause('after', after);
  }
}

function toCause(how: Cause['how'], { line, rule }: Known): { cause: Cause; line: TimelineLine } {
  return { cause: { how, what: line.what, at: line.at, text: rule.say(line) }, line };
}

function placeOf(line: TimelineLine): Pick<Effect, 'lane' | 'tag' | 'who' | 'job'> {
  return { lane: textOf(line, 'lane'), tag: line.tag, who: line.who ?? null, job: textOf(line, 'job') };
}

function isThere(
  { rule, line }: Known,
  { lane, tag, who, job }: Pick<Effect, 'lane' | 'tag' | 'who' | 'job'>,
): boolean {
  switch (rule.by) {
    case 'fleet':
      return true;
    case 'tag':
      return tag !== null && tag === line.tag;
    case 'lane':
      return lane !== null && lane === line.lane;
    case 'lanes':
      return lane !== null && namesOf(line, 'lanes').includes(lane);
    case 'job':
      return job !== null && lane === line.lane && job === line.job;
    case 'who':
      return who !== null && who === line.who;
  }
}
