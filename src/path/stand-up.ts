// The stand-up form of an incident, filled from the journal: what is happening and how far it reaches, since when, tried and ruled
// out, next hypothesis, what counts as recovered. Data first (`fillStandUp`), then its text in Markdown.

import { formatDuration } from '../words/duration.ts';
import type { LocalTime } from '../words/local-time.ts';
import { findHypotheses, type Hypothesis } from './hypotheses.ts';
import { type Incident, PRELUDE_MS, sumOf } from './incident.ts';
import { type Load, type Ordered, WATCH_MS } from './incident-orders.ts';
import { type Condition, findConditions, type LaneNow } from './recovery.ts';
import { BESIDE_MS } from './timeline-order.ts';
import { endInWords, sayCount } from './timeline-text.ts';

/** Fewer, or less change, is chance. */
const FEW = 5;
const CLEAR = 2;
/** Sooner nobody can tell what an order changed. */
const TOO_EARLY_MS = 60_000;
const MAX_TRIED = 30;

export interface Tried {
  at: number;
  who: string | null;
  text: string;
  count: number;
  /** Attempts on its upstream in the five minutes before and after. */
  before: Load;
  after: Load;
  /** null: a note is a person's word, which no count corrects. */
  verdict: 'better' | 'worse' | 'no change' | 'too early' | null;
}

export interface StandUp {
  isIncident: boolean;
  seenAt: number;
  sinceAt: number | null;
  firstSign: { what: string; text: string; who: string | null } | null;
  lastSignAt: number | null;
  earlierIncidents: number;
  hasGap: boolean;
  reach: {
    lanes: { lane: string; attempts: number; done: number; failed: number; ends: { end: string; count: number }[] }[];
    jobs: { count: number; isMore: boolean };
    agents: { count: number; isMore: boolean };
    pods: string[];
  };
  now: { what: string; sinceAt: number; untilAt: number | null; text: string }[];
  /** Ordered in the minutes before the first sign, or in the same moment: nobody answers a sign that fast. */
  before: Tried[];
  tried: Tried[];
  hypotheses: Hypothesis[];
  recovered: Condition[];
}

export function fillStandUp(incident: Incident, nowAt: number, lanesNow?: readonly LaneNow[]): StandUp {
  const { first, firstText, lanes, jobs, agents, pods, orders, open, lastAt, earlier, hasGap } = incident;
  const tried = orders.map((order) => toTried(order, nowAt));
  const firstAt = first?.at ?? Number.POSITIVE_INFINITY;
  return {
    isIncident: first !== null,
    seenAt: nowAt,
    sinceAt: first?.at ?? null,
    firstSign: first && { what: first.what, text: firstText ?? first.what, who: first.who ?? null },
    lastSignAt: lastAt,
    earlierIncidents: earlier,
    hasGap,
    reach: {
      lanes: lanes
        .filter(({ isTouched }) => isTouched)
        .map(({ lane, attempts, done, bad }) => ({
          lane,
          attempts,
          done,
          failed: sumOf(bad),
          ends: [...bad].map(([end, count]) => ({ end, count })).sort((a, b) => b.count - a.count),
        })),
      jobs,
      agents,
      pods,
    },
    now: open.map(({ what, at, untilAt, text }) => ({ what, sinceAt: at, untilAt, text })),
    before: tried.filter(({ at }) => at <= firstAt + BESIDE_MS),
    tried: tried.filter(({ at }) => at > firstAt + BESIDE_MS),
    hypotheses: findHypotheses(incident),
    recovered: first === null ? [] : findConditions(incident, nowAt, lanesNow),
  };
}

function toTried({ line, text, before, after, count }: Ordered, nowAt: number): Tried {
  const verdict = line.what === 'lane.noted' ? null : judge(before, after, nowAt - line.at);
  return { at: line.at, who: line.who ?? null, text, count, before, after, verdict };
}

/** What came in the time since is set against as long a time before: failures first; without any, more done is better, and less may be all there was. */
function judge(before: Load, after: Load, sinceMs: number): Tried['verdict'] {
  if (sinceMs < TOO_EARLY_MS) return 'too early';
  const scale = WATCH_MS / Math.min(WATCH_MS, sinceMs);
  const [was, is] = [before.bad + before.parked, (after.bad + after.parked) * scale];
  if (Math.max(was, is) >= FEW) return compare(was, is, 'better', 'worse');
  return compare(before.done, after.done * scale, 'no change', 'better');
}

function compare<A, B>(was: number, is: number, fell: A, rose: B): A | B | 'no change' {
  if (was >= FEW && is * CLEAR <= was) return fell;
  return is >= FEW && is >= was * CLEAR ? rose : 'no change';
}

/** Markdown to paste where the others read along. */
export function writeStandUp(standUp: StandUp, time: LocalTime): string[] {
  const { isIncident, seenAt, reach, now, earlierIncidents } = standUp;
  const lines = [
    `# Stand-up, ${time.day(seenAt)} ${time.minute(seenAt)}`,
    '',
    `Times of ${time.zone(seenAt)}. Filled from the journal${standUp.hasGap ? ', which has a gap: counts are at least' : ''}.`,
    '',
    '## What is happening, and how far it reaches',
    '',
  ];
  if (!isIncident) lines.push('The journal shows no trouble in this time.');
  const lanes = reach.lanes.filter(({ failed }) => failed > 0);
  for (const { lane, attempts, failed, done, ends } of lanes.slice(0, 10)) {
    const of = ends.slice(0, 5).map(({ end, count }) => `${sayCount(count)} ${endInWords(end)}`);
    lines.push(
      `- lane ${code(lane)}: ${sayCount(failed)} of ${sayCount(attempts)} attempts failed (${of.join(', ')}), ${sayCount(done)} done`,
    );
  }
  if (lanes.length > 10) lines.push(`- ${lanes.length - 10} more lanes with failures`);
  const others = reach.lanes.filter(({ failed }) => failed === 0).map(({ lane }) => code(lane));
  if (others.length > 0)
    lines.push(
      `- alarms, but no failures, on ${others.slice(0, 10).join(', ')}${others.length > 10 ? ` and ${others.length - 10} more` : ''}`,
    );
  if (isIncident)
    lines.push(
      `- affected: ${atLeast(reach.jobs, 'job')}, ${atLeast(reach.agents, 'agent')}, ${atLeast({ count: reach.pods.length, isMore: false }, 'pod')}${reach.pods.length > 0 ? ` (${reach.pods.slice(0, 5).join(', ')})` : ''}`,
    );
  for (const { text, sinceAt, untilAt } of now) {
    lines.push(
      `- still: ${text} (since ${time.second(sinceAt)}${untilAt === null ? '' : `, until ${time.second(untilAt)}`})`,
    );
  }
  lines.push('', '## Since when', '', ...saySince(standUp, time));
  if (earlierIncidents > 0)
    lines.push(
      `- before that, ${earlierIncidents} other${earlierIncidents === 1 ? '' : 's'} that ended by a calm quarter of an hour`,
    );
  lines.push('', '## Tried, and ruled out', '', ...sayTried(standUp, time));
  lines.push('', '## Next hypothesis', '', ...sayHypotheses(standUp));
  lines.push('', '## Recovered when', '');
  for (const { condition, isMet, now: is } of standUp.recovered) {
    lines.push(`- [${isMet ? 'x' : ' '}] ${condition}: ${isMet === null ? is : `${isMet ? 'met' : 'not yet'}, ${is}`}`);
  }
  if (standUp.recovered.length === 0) lines.push('- nothing to recover from');
  return lines.map(oneLine);
}

function saySince({ sinceAt, firstSign, lastSignAt, before, seenAt }: StandUp, time: LocalTime): string[] {
  if (sinceAt === null || firstSign === null) return ['- no first sign'];
  return [
    `- first sign ${time.second(sinceAt)}, ${formatDuration(seenAt - sinceAt)} ago: ${firstSign.text}${by(firstSign.who)}`,
    ...(lastSignAt === null ? [] : [`- last sign ${time.second(lastSignAt)}`]),
    ...before.map(
      ({ at, who, text, count }) =>
        `- ${at <= sinceAt ? 'shortly before' : 'in the same moment'}, ${time.second(at)}: ${text}${times(count)}${by(who)}`,
    ),
    ...(before.length === 0 ? [`- nobody ordered anything in the ${formatDuration(PRELUDE_MS)} before it`] : []),
  ];
}

function sayTried({ tried }: StandUp, time: LocalTime): string[] {
  if (tried.length === 0) return ['- nothing yet: no order and no note since the first sign'];
  const shown = tried.slice(-MAX_TRIED);
  const more = tried.length > MAX_TRIED ? [`- ${tried.length - MAX_TRIED} orders before these`] : [];
  return [
    ...more,
    ...shown.map(({ at, who, text, count, before, after, verdict }) => {
      const change = (['bad', 'parked', 'done'] as const)
        .map((kind) => `${LOADS[kind]} ${sayCount(before[kind])} -> ${sayCount(after[kind])}`)
        .join(', ');
      const judged = verdict === null ? '' : `: **${verdict}**`;
      return `- ${time.second(at)} ${text}${times(count)}${by(who)}${judged} (${formatDuration(WATCH_MS)} before -> after: ${change})`;
    }),
  ];
}

function sayHypotheses({ hypotheses, isIncident }: StandUp): string[] {
  if (hypotheses.length === 0) return [isIncident ? '- none that the journal supports' : '- none is needed'];
  return hypotheses
    .slice(0, 3)
    .flatMap(({ says, next, evidence }, index) => [
      `${index + 1}. ${says}`,
      ...evidence.map((one) => `   - speaks for it: ${one}`),
      `   - next: ${next}`,
    ]);
}

const LOADS: Record<keyof Load, string> = { bad: 'failed', parked: 'parked', done: 'done' };
const by = (who: string | null) => (who === null ? '' : ` (${who})`);
const times = (count: number) => (count > 1 ? ` and ${count - 1} more like it` : '');
const atLeast = ({ count, isMore }: { count: number; isMore: boolean }, of: string) =>
  `${isMore ? 'at least ' : ''}${sayCount(count)} ${of}${count === 1 ? '' : 's'}`;
const code = (name: string) => `\`${name}\``;

/** Reasons and notes are whatever somebody wrote: they begin no line, no heading and no command to a terminal. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
