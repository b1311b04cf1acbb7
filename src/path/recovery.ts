// What counts as recovered: conditions that can be measured, and whether each is met now. The journal knows refusals and alarms; how
// much waits now only the lanes know, so whoever asks may hand that in.

import { formatDuration } from '../words/duration.ts';
import type { Incident } from './incident.ts';

/** Ten minutes without a refusal: longer than the longest hold that is asked for day by day. */
const CALM_FOR_MS = 10 * 60_000;
/** A backlog that the lane works off in five minutes at its usual rate is none. */
const WORKED_OFF_MINUTES = 5;

/** How a lane is at this moment. */
export interface LaneNow {
  lane: string;
  waiting: number;
  oldestWaitingMs: number | null;
  dueMs: number | null;
}

export interface Condition {
  condition: string;
  /** null: not known here. */
  isMet: boolean | null;
  now: string;
}

export function findConditions(incident: Incident, nowAt: number, lanesNow: readonly LaneNow[] = []): Condition[] {
  return [
    ...sayRefusals(incident, nowAt),
    ...sayOpen(incident),
    ...sayBacklog(incident, lanesNow),
    ...sayOldest(incident, lanesNow),
  ];
}

function sayRefusals({ lanes }: Incident, nowAt: number): Condition[] {
  const bad = lanes.filter(({ lastBadAt }) => lastBadAt !== null);
  if (bad.length === 0) return [];
  const lastAt = Math.max(...bad.map(({ lastBadAt }) => lastBadAt ?? 0));
  const agoMs = Math.max(0, nowAt - lastAt);
  return [
    {
      condition: `no attempt fails on ${list(bad.map(({ lane }) => lane))} for ${formatDuration(CALM_FOR_MS)}`,
      isMet: agoMs >= CALM_FOR_MS,
      now: `the last failed ${formatDuration(agoMs)} ago`,
    },
  ];
}

const OPEN_WORDS: Readonly<Record<string, string>> = {
  'lane.paused': 'every paused lane is resumed',
  'lane.overdue': 'no lane is overdue',
  'lane.overparked': 'no parked job is past its until',
  'lane.unattended': 'every lane has a pod',
  'pod.silent': 'silent pods are back, or others run in their place',
  'redis.full': 'Redis has room',
  'limit.held': 'no upstream is held',
  'jobs.displaced': 'nothing lies aside any more, or it is meant to',
  'limit.set': 'limits are as defined, or meant to stay as they were set',
};

/** Of everything that began in this incident: whether it is over. */
function sayOpen({ counts, open }: Incident): Condition[] {
  return Object.entries(OPEN_WORDS).flatMap(([what, condition]) => {
    const still = open.filter((one) => one.what === what);
    if (still.length === 0 && !counts.has(what)) return [];
    const now =
      still.length === 0
        ? 'over'
        : list(
            still.map(({ text }) => text),
            '; ',
          );
    return [{ condition, isMet: still.length === 0, now }];
  });
}

function sayBacklog({ lanes }: Incident, lanesNow: readonly LaneNow[]): Condition[] {
  return touched(lanes).flatMap(({ lane, calmPerMinute }) => {
    if (calmPerMinute === null || calmPerMinute === 0) return [];
    const least = Math.max(1, Math.ceil(calmPerMinute * WORKED_OFF_MINUTES));
    const seen = lanesNow.find((one) => one.lane === lane);
    return [
      {
        condition: `at most ${least.toLocaleString('en-US')} jobs wait in ${lane} (${WORKED_OFF_MINUTES} minutes of its ${round(calmPerMinute)} a minute before)`,
        isMet: seen ? seen.waiting <= least : null,
        now: seen ? `${seen.waiting.toLocaleString('en-US')} wait` : 'not known here',
      },
    ];
  });
}

function sayOldest({ lanes, dueMs }: Incident, lanesNow: readonly LaneNow[]): Condition[] {
  return touched(lanes).flatMap(({ lane }) => {
    const seen = lanesNow.find((one) => one.lane === lane);
    const due = seen?.dueMs ?? dueMs;
    if (due === null) return [];
    const age = seen?.oldestWaitingMs ?? null;
    return [
      {
        condition: `the oldest job of ${lane} waits for less than ${formatDuration(due)}`,
        isMet: seen ? age === null || age < due : null,
        now: seen ? (age === null ? 'none waits' : `it waits for ${formatDuration(age)}`) : 'not known here',
      },
    ];
  });
}

function touched(lanes: Incident['lanes']): Incident['lanes'] {
  return lanes.filter(({ isTouched }) => isTouched).slice(0, 10);
}

function list(texts: readonly string[], by = ', '): string {
  return texts.length > 5 ? `${texts.slice(0, 5).join(by)} and ${texts.length - 5} more` : texts.join(by);
}

const round = (count: number) =>
  count >= 10 ? Math.round(count).toLocaleString('en-US') : count.toFixed(1).replace(/\.0$/, '');
