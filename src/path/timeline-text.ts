// The telling as text, for a person at 3 a.m. on a terminal of 80 to 120 columns: the minute, then one line per thing with its second,
// a mark to scan by, who and why; a storm in one line per lane. What is longer than the screen goes on under itself.

import { formatDuration } from '../words/duration.ts';
import type { LocalTime } from '../words/local-time.ts';
import type { Cause } from './timeline-causes.ts';
import {
  isUnusual,
  type Section,
  type ToldEnd,
  type ToldEvent,
  type ToldLane,
  type ToldMinute,
  type ToldStretch,
} from './timeline-fold.ts';
import { MINUTE_MS } from './timeline-minute.ts';
import type { LineKind } from './timeline-phrases.ts';
import type { Change } from './timeline-rates.ts';

const MARKS: Record<LineKind, string> = { order: '>', trouble: '!', relief: '+', news: ' ' };
export const LEGEND = '> ordered, ! trouble, + over again';

/** More lanes than a person compares: the rest in one line. */
const MAX_LANES = 8;
/** '  14:03:05 > ' */
const INDENT = 13;

export interface TextTelling {
  /** The head: the span and its zone, said once. */
  head(fromAt: number, untilAt: number): string[];
  section(section: Section): string[];
}

export function createTextTelling(time: LocalTime, columns = 100): TextTelling {
  const width = Math.max(80, Math.min(120, columns));
  let toldDay: string | undefined;

  /** The day is said when it is another than in the line before. */
  function dayOf(at: number): string[] {
    const day = time.day(at);
    const isNew = toldDay !== undefined && day !== toldDay;
    toldDay = day;
    return isNew ? ['', day] : [];
  }

  function sayMinute(minute: ToldMinute): string[] {
    const { events, lanes, others, late } = minute;
    const isWell = (lane: ToldLane) => !isUnusual(lane) && lane.ends.every(({ end }) => end === 'done');
    const shown = lanes.filter((lane) => !isWell(lane)).slice(0, MAX_LANES);
    const rest = lanes.filter((lane) => !isWell(lane)).slice(MAX_LANES);
    const well = lanes.filter(isWell);
    const more = [
      ...(rest.length > 0 ? [`${rest.length} more lanes with trouble: ${sayAttempts(sumOf(rest))}`] : []),
      ...(well.length > 0 ? [`also ${sayWell(well)}`] : []),
      ...(others.length > 0 ? [`and ${others.map(({ what, count }) => `${sayCount(count)} ${what}`).join(', ')}`] : []),
      ...(late > 0
        ? [
            late === 1
              ? '1 entry of an earlier minute came late'
              : `${sayCount(late)} entries of earlier minutes came late`,
          ]
        : []),
    ];
    return [
      ...dayOf(minute.at),
      time.minute(minute.at),
      ...events.flatMap((event) => [
        ...row(time.second(event.at), MARKS[event.kind], sayEvent(event, time)),
        ...causes([event.because]),
      ]),
      ...shown.flatMap((lane) => [
        ...row('', markOf(lane), sayLane(lane, time)),
        ...causes([lane.because, ...lane.ends.map(({ because }) => because)]),
      ]),
      ...more.flatMap((text) => row('', ' ', text)),
    ];
  }

  function sayStretch({ kind, at, untilAt, lanes }: ToldStretch): string[] {
    const lastAt = untilAt - MINUTE_MS;
    const day = dayOf(at);
    const isOneDay = time.day(at) === time.day(lastAt);
    const last = isOneDay ? time.minute(lastAt) : `${time.minute(lastAt)} on ${time.day(lastAt)}`;
    const span = (lastAt > at ? `${time.minute(at)}-${last}` : time.minute(at)).padEnd(INDENT - 1);
    toldDay = time.day(lastAt);
    const bad = lanes.filter(({ ends }) => ends.some(({ isBad }) => isBad));
    const well = lanes.filter((lane) => !bad.includes(lane));
    const said = kind === 'quiet' && lanes.length > 0 ? `quiet: ${sayWell(well)}` : STRETCHES[kind];
    return [
      ...day,
      ...wrap(`${span} ${said}`, width, INDENT),
      ...bad
        .slice(0, MAX_LANES)
        .flatMap((lane) => [
          ...row('', '!', `${lane.lane}: ${sayEnds(lane.ends)}`),
          ...causes(lane.ends.map(({ because }) => because)),
        ]),
      ...(bad.length > MAX_LANES ? row('', '!', `${bad.length - MAX_LANES} more lanes with trouble`) : []),
      ...(bad.length > 0 && well.length > 0 ? row('', ' ', `also ${sayWell(well)}`) : []),
    ];
  }

  /** Each once, under what it brought about. */
  function causes(because: readonly (Cause | null)[]): string[] {
    const said = because.filter((cause) => cause !== null).map((cause) => sayCause(cause, time));
    return [...new Set(said)].flatMap((text) => wrap(`${' '.repeat(INDENT)}<- ${text}`, width, INDENT + 3));
  }

  function row(second: string, mark: string, text: string): string[] {
    return wrap(`  ${second.padEnd(8)} ${mark} ${text}`, width, INDENT);
  }

  return {
    head(fromAt, untilAt) {
      toldDay = time.day(fromAt);
      const [first, last] = [time.day(fromAt), time.day(untilAt)];
      const until = first === last ? time.minute(untilAt) : `${last} ${time.minute(untilAt)}`;
      return [
        ...wrap(`${first}, ${time.minute(fromAt)} to ${until}; times of ${time.zone(untilAt)}`, width, 0),
        LEGEND,
        '',
      ];
    },
    section: (section) => (section.kind === 'minute' ? sayMinute(section) : sayStretch(section)),
  };
}

const STRETCHES: Record<ToldStretch['kind'], string> = {
  quiet: 'quiet',
  steady: 'goes on',
  away: 'nobody wrote: Redis was away',
  gap: 'no entries are kept of this',
};

function sayEvent({ text, who, at, lastAt, count }: ToldEvent, time: LocalTime): string {
  const span = count > 1 && lastAt - at >= 1_000 ? `, until ${time.second(lastAt)}` : '';
  return `${text}${span}${sayWho(who)}`;
}

function sayWho(who: readonly string[]): string {
  if (who.length === 0) return '';
  return ` (${who.slice(0, 2).join(', ')}${who.length > 2 ? ' and others' : ''})`;
}

function sayCause(cause: Cause, time: LocalTime): string {
  return `${cause.how} ${cause.text}, ${time.second(cause.at)}`;
}

function sayLane(told: ToldLane, time: LocalTime): string {
  const { lane, count, firstAt, lastAt, ends, jump, fall, slow, meanMs } = told;
  if (count === 0) return `${lane}: no attempts, ${sayChange(fall, 0)}`;
  const span = count > 1 ? `${time.second(firstAt)} to ${time.second(lastAt)}` : `at ${time.second(firstAt)}`;
  const unusual = jump ?? fall;
  return [
    `${lane}: ${sayEnds(ends)}`,
    span,
    ...(unusual ? [sayChange(unusual, count)] : []),
    ...(slow ? [`each took ${formatDuration(meanMs)}, before that ${formatDuration(slow.before)}`] : []),
  ].join(', ');
}

/** '4,312 attempts: 4,300 done, 12 parked by rate-limit (such as 171)' */
function sayEnds(ends: readonly ToldEnd[]): string {
  const sum = ends.reduce((total, { count }) => total + count, 0);
  const head = ends.length > 1 ? `${sayAttempts(sum)}: ` : '';
  return head + ends.map(sayEnd).join(', ');
}

function sayEnd({ end, count, example, jump }: ToldEnd): string {
  const of = example === null || end === 'done' ? '' : ` (${count > 1 ? 'such as ' : ''}${example})`;
  return `${sayCount(count)} ${endInWords(end)}${of}${jump ? `, ${sayChange(jump, count)}` : ''}`;
}

/** '200 done on publish, 30 on collect' */
function sayWell(lanes: readonly ToldLane[]): string {
  const shown = lanes.slice(0, MAX_LANES);
  const isAllDone = shown.every(({ ends }) => ends.every(({ end }) => end === 'done'));
  const more =
    lanes.length > MAX_LANES
      ? [`${sayCount(sumOf(lanes.slice(MAX_LANES)))} on ${lanes.length - MAX_LANES} more lanes`]
      : [];
  if (!isAllDone) return [...shown.map(({ lane, ends }) => `${lane}: ${sayEnds(ends)}`), ...more].join('; ');
  return [...shown.map(({ lane, count }, i) => `${sayCount(count)} ${i === 0 ? 'done ' : ''}on ${lane}`), ...more].join(
    ', ',
  );
}

export function endInWords(end: string): string {
  const [outcome, cause] = end.split(':') as [string, string | undefined];
  switch (outcome) {
    case 'park':
      return `parked${cause ? ` by ${cause}` : ''}`;
    case 'retry':
      return `to be retried${cause ? ` after ${cause}` : ''}`;
    case 'dead':
      return `dead${cause ? ` as ${cause}` : ''}`;
    default:
      return cause ? `${outcome} (${cause})` : outcome;
  }
}

function sayChange(change: Change | null, count: number): string {
  if (change === null) return '';
  const { before, minutes } = change;
  if (before === 0) return `none in the ${minutes} minutes before`;
  if (count < before) return `${sayCount(Math.round(before))} a minute in the ${minutes} minutes before`;
  const times = count / before;
  return `×${times >= 10 ? sayCount(Math.round(times)) : times.toFixed(1)} of the ${minutes} minutes before`;
}

function markOf({ ends, fall, slow }: ToldLane): string {
  return fall || slow || ends.some(({ isBad }) => isBad) ? '!' : ' ';
}

function sumOf(lanes: readonly ToldLane[]): number {
  return lanes.reduce((sum, { count }) => sum + count, 0);
}

const sayAttempts = (count: number) => (count === 1 ? '1 attempt' : `${sayCount(count)} attempts`);

export function sayCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** At spaces; a word that is longer than the screen is cut by the terminal, never by us: it may be an id to copy. */
export function wrap(text: string, width: number, indent: number): string[] {
  const lines: string[] = [];
  let rest = printable(text);
  while (rest.length > width) {
    const cut = rest.lastIndexOf(' ', width);
    if (cut <= indent) break;
    lines.push(rest.slice(0, cut).trimEnd());
    rest = `${' '.repeat(indent)}${rest.slice(cut + 1)}`;
  }
  lines.push(rest.trimEnd());
  return lines;
}

/** Reasons and names are whatever somebody wrote: no control character reaches the terminal, and a line stays one. */
function printable(text: string): string {
  return text.replace(/\p{Cc}|\p{Zl}|\p{Zp}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
