// Is every job of a run accounted for? Reads the plan, the record and what lies in Redis; answers what does not hold. Pure, so
// that made-up runs can show what it sees.
//
// What may repeat, exactly: a start that the killed process cut off runs once more. Of it an effect repeats only if the process
// died between that effect and its record: its handler had not heard `kept`, and no write was behind it. With one attempt at
// a time in the process that dies, the point tells which: `repeatOf` says what must have repeated, not only what may.

import type { CrashPoint } from '../../../src/words/crash-point.ts';
import { ATTEMPTS, HAND_OVERS, next, same, work } from './lanes.ts';
import type { Plan } from './plan.ts';
import type { PlannedJob } from './process.ts';
import type { Line, StartLine } from './record.ts';
import type { Snapshot, StoredJob } from './snapshot.ts';
import { judgeStarts, type Start, toStarts } from './starts.ts';

export interface Case {
  plan: Pick<Plan, 'at' | 'victim' | 'concurrency'>;
  jobs: readonly PlannedJob[];
  lines: readonly Line[];
  snapshot: Snapshot;
}

export interface Judgement {
  problems: string[];
  /** '<lane>/<id> <step>' of what had its effect twice. */
  repeated: string[];
  done: string[];
  dead: string[];
  /** Accepted, and nowhere. */
  lost: string[];
  unfinished: string[];
  settledTwice: string[];
  /** Started once more because of the crash. */
  again: string[];
}

/** Points of a pod at which the handler's step had its effect and no record. */
const UNRECORDED: readonly CrashPoint[] = ['in-step', 'before-step-write'];

export function judge(run: Case): Judgement {
  const { plan, jobs, lines, snapshot } = run;
  const crashes = lines.filter((line) => line.what === 'crash');
  const [crash] = crashes;
  const verdict: Judgement = { problems: [], repeated: [], done: [], dead: [], again: [], ...toTotals(run) };
  const { problems, done, dead } = verdict;
  if (crashes.length !== 1 || crash?.at !== plan.at)
    problems.push(`expected one crash ${plan.at}, got ${crashes.length}`);
  problems.push(...judgePresence(run), ...judgeKeys(snapshot));

  const starts = toStarts(lines);
  for (const job of snapshot.jobs) {
    const ref = `${job.lane}/${job.id}`;
    const isFailing = jobs.some(({ n, kind }) => n === job.n && kind === 'failing') && job.lane === work.name;
    const own = starts.get(job.id) ?? [];
    problems.push(...judgeEnd(job, ref, isFailing));
    if (job.places.includes('completed')) done.push(ref);
    if (job.places.includes('failed')) dead.push(ref);
    const { complaints, isAgain } = judgeStarts(own, {
      isFailing,
      attempts: ATTEMPTS,
      victim: crash?.pid,
      // Settled before the process died: what it ran alone cannot come again.
      isSettledFirst: plan.concurrency === 1 && (plan.at === 'after-settle' || plan.at === 'after-bury'),
    });
    problems.push(...complaints.map((text) => `${ref}: ${text}`));
    if (isAgain) verdict.again.push(ref);
    verdict.repeated.push(...judgeEffects(own, crash?.pid, ref, problems));
    judgeTold(snapshot.told.get(ref) ?? 0, own.at(-1), crash?.pid, ref, problems);
  }
  for (const id of starts.keys()) {
    if (!snapshot.jobs.some((job) => job.id === id)) problems.push(`${id}: ran, and is nowhere`);
  }
  if (plan.victim === 'pod' && plan.concurrency === 1) {
    const expected = repeatOf(lines, crash?.pid, plan.at);
    if (verdict.repeated.join() !== expected.join()) {
      problems.push(`expected ${expected.join() || 'nothing'} to repeat, got ${verdict.repeated.join() || 'nothing'}`);
    }
  } else if (plan.victim === 'producer' && verdict.repeated.length > 0) {
    problems.push(`no pod died and ${verdict.repeated.join()} repeated`);
  }
  return verdict;
}

/** For the table; each of these is a problem as well. */
function toTotals({ lines, snapshot: { jobs, told } }: Case) {
  const ids = new Set(jobs.map(({ id }) => id));
  const isEnded = ({ places }: StoredJob) => places.includes('completed') || places.includes('failed');
  return {
    lost: lines.flatMap((line) => (line.what === 'accepted' && !ids.has(line.id) ? [line.id] : [])),
    unfinished: jobs.filter((job) => !isEnded(job)).map(({ lane, id }) => `${lane}/${id}`),
    settledTwice: [...told].filter(([, count]) => count > 1).map(([ref]) => ref),
  };
}

/** The step in which the process died, when it ran one attempt at a time and its last word is an effect. */
function repeatOf(lines: readonly Line[], victim: number | undefined, at: CrashPoint): string[] {
  if (!UNRECORDED.includes(at)) return [];
  const own = lines.filter((line): line is StartLine => line.pid === victim && 'fence' in line);
  const last = own.at(-1);
  // A hand-over is a step too, and what it did is found again by its key.
  if (last?.what !== 'effect' || last.step === null) return [];
  const begin = lines.find((line) => line.what === 'begin' && line.id === last.id);
  return [`${begin?.what === 'begin' ? begin.lane : '?'}/${last.id} ${last.step}`];
}

/** Each job of the plan is there, once; and nothing else is. */
function judgePresence({ plan, jobs, lines, snapshot }: Case): string[] {
  const problems: string[] = [];
  const accepted = lines.filter((line) => line.what === 'accepted');
  const ids = new Set(snapshot.jobs.map(({ id }) => id));
  for (const { id, n } of accepted) if (!ids.has(id)) problems.push(`${id}: accepted as ${n}, and is nowhere`);
  let unheard = 0;
  for (const { n, lane, kind, key } of jobs) {
    const found = snapshot.jobs.filter((job) => job.n === n && job.lane === lane);
    const isKnown = key !== undefined || lane === same.name;
    // An add without a key whose answer died with its producer is not to be told from a new one.
    if (!isKnown && found.length === 2 && plan.at === 'after-add' && plan.victim === 'producer') unheard++;
    else if (found.length !== 1) problems.push(`job ${n} (${kind}): expected it once in ${lane}, got ${found.length}`);
    if (kind !== 'handing') continue;
    for (const parent of found) {
      const handed = snapshot.jobs.filter((job) => job.parent === `${lane}/${parent.id}`);
      const indexes = handed.map(({ index }) => index).sort();
      const wanted = Array.from({ length: HAND_OVERS }, (_, index) => index);
      if (indexes.join() !== wanted.join()) {
        problems.push(`${lane}/${parent.id}: expected it to hand over ${wanted}, got ${indexes.join() || 'nothing'}`);
      }
    }
  }
  if (unheard > 1) problems.push(`expected at most one job twice for an answer that was not heard, got ${unheard}`);
  for (const job of snapshot.jobs) {
    const isHanded = job.lane === next.name && job.parent !== null;
    if (!isHanded && !jobs.some(({ n, lane }) => n === job.n && lane === job.lane)) {
      problems.push(`${job.lane}/${job.id}: of an add that was never made`);
    }
  }
  return problems;
}

/** No lock outlives its run, no reservation its job, no name its hash. */
function judgeKeys({ jobs, locks, named, reserved }: Snapshot): string[] {
  const ids = new Set(jobs.map(({ id }) => id));
  const marks = new Set(reserved);
  return [
    ...locks.map((key) => `a lock is left: ${key}`),
    ...named.map((where) => `a name without a job: ${where}`),
    ...reserved.filter((id) => !ids.has(id)).map((id) => `a reservation without a job: ${id}`),
    ...jobs
      .filter(({ id, key, lane }) => (key !== null || lane === same.name) && !marks.has(id))
      .map(({ id }) => `a job without its reservation: ${id}`),
  ];
}

function judgeEnd({ places, deathClass, hasTrace }: StoredJob, ref: string, isFailing: boolean): string[] {
  const wanted = isFailing ? 'failed' : 'completed';
  if (places.join() !== wanted) return [`${ref}: expected it in ${wanted}, got ${places.join() || 'no set'}`];
  if (!isFailing) return [];
  if (deathClass !== 'transient') return [`${ref}: expected a dead letter of class transient, got ${deathClass}`];
  return hasTrace ? [] : [`${ref}: expected its dead letter to keep its stack`];
}

/** What was kept is not done again; what was not, once more at most, and only for the process that died. */
function judgeEffects(starts: readonly Start[], victim: number | undefined, ref: string, problems: string[]): string[] {
  const repeated: string[] = [];
  const steps = new Set(starts.flatMap(({ effects }) => effects.filter((step) => step !== null)));
  for (const step of steps) {
    const done = starts.filter(({ effects }) => effects.includes(step));
    const keptIn = done.find(({ kept }) => kept.includes(step));
    if (keptIn && done.some(({ fence }) => fence > keptIn.fence)) {
      problems.push(`${ref}: step ${step} was kept and done again`);
    }
    if (done.length > 2 || done.slice(0, -1).some(({ pid }) => pid !== victim)) {
      problems.push(`${ref}: step ${step} done ${done.length} times: expected once, and once more after a crash in it`);
    }
    if (done.length > 1) repeated.push(`${ref} ${step}`);
  }
  return repeated;
}

/** The journal may lack what the killed process had settled in its last 20 ms, and tells nothing twice. */
function judgeTold(
  told: number,
  last: Start | undefined,
  victim: number | undefined,
  ref: string,
  problems: string[],
): void {
  if (told > 1) problems.push(`${ref}: settled ${told} times by the journal`);
  if (told === 0 && last?.pid !== victim) problems.push(`${ref}: the journal does not say that it ended`);
}
