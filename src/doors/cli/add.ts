// The command `add`: puts one job into a lane and says when it should start, as far as that can be known. The producer asks for nothing
// but its write; here a person waits, so lane, pods and limits are looked at afterwards.

import { type Command, Option } from 'commander';
import { countJobs, type LaneCounts } from '../../path/inspect.ts';
import { readStanding } from '../../path/job-state.ts';
import type { Lane } from '../../path/lane.ts';
import { lookAtLimits } from '../../path/limit-look.ts';
import { findLimitWait, type LimitWait, sayWaitShort, untilOf } from '../../path/limit-wait.ts';
import type { Added, AddOptions } from '../../path/producer.ts';
import { systemClock } from '../../words/clock.ts';
import { LanekeeperError, quote, toError } from '../../words/errors.ts';
import { count, laneCommand } from './options.ts';
import { hint, say, sayJson, when } from './print.ts';
import { openSession, type Session } from './session.ts';
import { readStandardInput } from './standard-input.ts';

const NO_POD = "starts when a pod runs this lane: 'lanekeeper up' or 'lanekeeper worker'";

export function addAddCommand(program: Command): void {
  laneCommand(program, 'add', 'put a job into a lane; prints its id and when it should start')
    .argument('<json>', "the payload as JSON, or '-' to read it from standard input")
    .option('--agent <name>', 'the agent on whose behalf it acts')
    .option('--priority <n>', 'lower runs sooner, 0 first', count('priority'))
    .option('--key <text>', 'add it once: the same key while the job is kept adds nothing')
    .option('--at <instant>', "not before this instant, such as '2030-01-31T08:00:00Z'")
    .addOption(new Option('--as <owner>', 'feed an exclusive lane as this owner'))
    .addHelpText('after', `\nExample:\n  $ lanekeeper add publish '{"title":"Hello","body":"World"}' --agent a01\n`)
    .action(async (laneName: string, json: string, options: AddOptions & { dir: string; json?: boolean }) => {
      await using session = await openSession(options);
      const lane = session.lane(laneName);
      const payload = parsePayload(json === '-' ? await readStandardInput() : json);
      const { agent, priority, key, at, as } = options;
      const added = await session.producer.add(lane, payload, { agent, priority, key, at, as });
      const seen = await lookAround(session, lane, added, agent);
      const startsAt = startOf(lane, added, seen);
      if (options.json)
        return sayJson({ ...added, lane: lane.name, startsAt, waiting: seen.counts.waiting, pods: seen.pods });
      say(added.id);
      hint(`${lane.name}: ${added.state}; ${sayStart(lane, added, seen, startsAt)}`);
    });
}

interface Seen {
  counts: LaneCounts;
  pods: number;
  /** Its upstream's limits keep it waiting. */
  limit: LimitWait | undefined;
  nowAt: number;
}

async function lookAround(session: Session, lane: Lane, added: Added, agent: string | undefined): Promise<Seen> {
  const laneQueue = session.queue(lane);
  const [counts, pods, limit] = await Promise.all([
    countJobs(laneQueue),
    session.pods(lane),
    findWait(session, lane, agent),
  ]);
  // One that runs by now has itself what is in use.
  const isWaiting = limit && ['waiting', 'parked'].includes((await readStanding(laneQueue, added.id))?.state ?? '');
  return { counts, pods: pods.length, limit: isWaiting ? limit : undefined, nowAt: systemClock.now() };
}

async function findWait({ redis, keys }: Session, lane: Lane, agent: string | undefined) {
  if (!lane.upstream?.limits) return undefined;
  return findLimitWait(await lookAtLimits(redis, keys, lane.upstream, agent ?? null), lane);
}

/** Null: it hangs on what nobody can know. */
function startOf({ concurrency }: Lane, { state, startsAt }: Added, { counts, pods, limit, nowAt }: Seen) {
  if (state === 'waiting') {
    const free = Math.max(0, pods * concurrency - counts.active);
    if (startsAt !== null || counts.isPaused || pods === 0 || counts.waiting > free) return startsAt;
    return limit ? untilOf(limit) : nowAt;
  }
  if (startsAt === null || !limit || state !== 'parked') return startsAt;
  // What is full now says nothing of later; what lets nobody through until an instant does.
  const untilAt = untilOf(limit);
  if (untilAt !== null) return Math.max(startsAt, untilAt);
  return startsAt <= nowAt ? null : startsAt;
}

function sayStart(lane: Lane, added: Added, { counts, pods, limit, nowAt }: Seen, startsAt: number | null): string {
  if (added.isRepeat && !added.startsAt) return 'it was added before';
  if (added.state !== 'scheduled') {
    if (counts.isPaused) return 'starts when the lane is resumed';
    if (pods === 0 && (added.state === 'waiting' || added.startsAt)) return NO_POD;
  }
  if (limit && (startsAt === null || (untilOf(limit) ?? 0) >= startsAt)) return sayWaitShort(limit, lane, nowAt);
  if (startsAt !== null) return startsAt <= nowAt ? 'starts now' : `starts at ${when(startsAt, nowAt)}`;
  if (added.state === 'parked') return `nobody knows when it starts: see 'lanekeeper why ${lane.name} ${added.id}'`;
  return `starts after ${Math.max(counts.waiting - 1, 0)} others`;
}

function parsePayload(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new LanekeeperError('LK_INPUT', `payload: expected JSON, got ${quote(json)} (${toError(error).message})`);
  }
}
