// How each entry of the journal is said to a person: one table. An event that is new gets its sentence here; until it has one it is
// told by its name and fields, so nothing is left out.

import { formatDuration } from '../words/duration.ts';
import { namesOf, numberOf, type TimelineLine, textOf } from './timeline-line.ts';

/** Somebody's order; trouble; the end of trouble; what comes and goes every day. */
export type LineKind = 'order' | 'trouble' | 'relief' | 'news';

export interface Phrase {
  kind: LineKind;
  /** One of them, without who and when. */
  say(line: TimelineLine): string;
  /** Several within a minute: the first, how many, and which ('17, 18, 19, …'). Without it they are said as the first, with a count. */
  many?(line: TimelineLine, count: string, which: string): string;
}

/** `tally`: counted by lane and outcome, never said one by one. */
export const PHRASES: Readonly<Record<string, Phrase | 'tally' | ((line: TimelineLine) => Phrase)>> = Object.freeze({
  'attempt.finished': 'tally',

  // What people and services order.
  'lane.noted': order((l) => `note on ${lane(l)}: ${text(l, 'text')}`),
  'lane.paused': order((l) => `paused ${lane(l)}: ${why(l)}`),
  'lane.resumed': order((l) => `resumed ${lane(l)}: ${why(l)}`),
  // The entry of the same intent tells what became of it: this one is no order of its own.
  'order.begun': news((l) => `about to ${verb(l)} ${textOf(l, 'job') ?? lane(l)}: ${why(l)}`),
  'order.voided': news(
    (l) => `order to ${verb(l)} ${textOf(l, 'job') ?? lane(l)} changed nothing, found ${text(l, 'found')}: ${why(l)}`,
  ),
  'lane.taken': order((l) => `${group(l)} taken by ${owner(l)}${until(l)}${byForce(l)}: ${why(l)}`),
  'lane.released': order((l) => `${group(l)} released by ${owner(l)}: ${why(l)}`),
  'lane.displaced': order((l) => `${owner(l)} displaced from ${group(l)}, ${attempts(l, 'jobs')} stopped`),
  'lane.expired': (l) => (hasDied(l) ? HOLDER_DIED : TERM_OVER),
  'displaced.ordered': order(
    (l) => `began to ${text(l, 'order')} ${jobs(l, 'total')} that ${feeder(l)} left in ${lane(l)}: ${why(l)}`,
  ),
  'jobs.adopted': order(
    (l) => `adopted ${jobs(l, 'count')} that ${feeder(l)} left in ${lane(l)}${stopped(l)}: ${why(l)}`,
  ),
  'jobs.dropped': order(
    (l) => `dropped ${jobs(l, 'count')} that ${feeder(l)} left in ${lane(l)}${stopped(l)}: ${why(l)}`,
  ),
  'agent.ordered': order(
    (l) => `${ordered(l)} ${text(l, 'agent')} of ${upstream(l)}${opens(l)}: ${why(l)}`,
    (l, count, which) => `${ordered(l)} ${count} agents of ${upstream(l)} (${which})${opens(l)}: ${why(l)}`,
  ),
  'cancel.ordered': order(
    (l) => `ordered to cancel job ${job(l)} of ${lane(l)}, which runs: ${why(l)}`,
    (l, count, which) => `ordered to cancel ${count} running jobs of ${lane(l)} (${which}): ${why(l)}`,
  ),
  'job.cancelled': order(
    (l) => `cancelled job ${job(l)} of ${lane(l)}, which was ${text(l, 'before')}: ${why(l)}`,
    (l, count, which) => `cancelled ${count} jobs of ${lane(l)} (${which}): ${why(l)}`,
  ),
  'job.replayed': order(
    (l) => `replayed dead letter ${job(l)} of ${lane(l)}: ${why(l)}`,
    (l, count, which) => `replayed ${count} dead letters of ${lane(l)} (${which}): ${why(l)}`,
  ),
  'job.dropped': order(
    (l) => `dropped dead letter ${job(l)} of ${lane(l)}: ${why(l)}`,
    (l, count, which) => `dropped ${count} dead letters of ${lane(l)} (${which}): ${why(l)}`,
  ),
  'operation.begun': order((l) => `began to ${text(l, 'order')} ${letters(l, 'total')} of ${lane(l)}: ${why(l)}`),
  'dead.replayed': order((l) => `replayed ${letters(l, 'count')} of ${lane(l)}${stopped(l)}: ${why(l)}`),
  'dead.dropped': order((l) => `dropped ${letters(l, 'count')} of ${lane(l)}${stopped(l)}: ${why(l)}`),
  'limit.set': order((l) => `limit ${text(l, 'limit')} of ${upstream(l)} ${moved(l)}${until(l)}: ${why(l)}`),
  'limit.reset': order((l) => `limit ${text(l, 'limit')} of ${upstream(l)} as defined again, ${moved(l)}: ${why(l)}`),
  'limit.released': order((l) => `ended the hold of ${upstream(l)}, ${ms(l, 'leftMs')} early: ${why(l)}`),

  // Upstreams and their limits.
  'limit.held': trouble(
    (l) => `${upstream(l)} held for ${ms(l, 'forMs')}: ${why(l)}`,
    (l, count) => `${upstream(l)} held ${count} times, first for ${ms(l, 'forMs')}: ${why(l)}`,
  ),
  'limit.drift': trouble(
    (l) => `pods define limit ${text(l, 'limit')} of ${upstream(l)} differently; the stricter holds`,
  ),
  'limit.begun': news((l) => `nothing goes to ${upstream(l)} for ${ms(l, 'forMs')}, to be sure: ${why(l)}`),
  'limit.lost': trouble((l) => `nothing goes to ${upstream(l)} for ${ms(l, 'forMs')}: ${why(l)}`),
  'agents.lost': trouble(
    (l) => `what was known of the agents of ${upstream(l)} is lost: none acts until it is surely in order`,
  ),
  'agent.silent': trouble(
    (l) =>
      `nobody acts as agent ${text(l, 'agent')} of ${upstream(l)}: not heard within its heartbeat of ${ms(l, 'heartbeatMs')}`,
    (l, count, which) =>
      `nobody acts as ${count} agents of ${upstream(l)} (${which}): not heard within their heartbeats`,
  ),
  'agent.freed': trouble(
    (l) =>
      `agent ${text(l, 'agent')} taken back, its pod died, froze or lost its job${l.wasSent ? ' in mid-request' : ''}`,
    (l, count, which) =>
      `${count} agents of ${upstream(l)} taken back, their pods died, froze or lost their jobs (${which})`,
  ),

  // Who runs what, and what becomes of what a displaced owner fed.
  'run.taken': news((l) => `the pod runs ${part(l)}${textOf(l, 'fromPod') ? `, after ${text(l, 'fromPod')}` : ''}`),
  'run.lost': trouble((l) => `the pod runs ${part(l)} no more: ${why(l)}`),
  'run.released': news((l) => `the pod gives up ${part(l)}`),
  'jobs.displaced': news((l) => `${jobs(l, 'count')} of ${lane(l)} lie aside until their owner holds it again`),
  'jobs.returned': relief((l) => `${jobs(l, 'count')} of ${lane(l)} are back in line: their owner holds it again`),
  'attempt.fenced': trouble(
    (l) => `an attempt at job ${job(l)} of ${lane(l)} ended: ${why(l)}`,
    (l, count, which) => `${count} attempts on ${lane(l)} ended (${which}): ${why(l)}`,
  ),

  // Jobs.
  'attempt.returned': news(
    (l) => `job ${job(l)} of ${lane(l)} handed back: ${why(l)}`,
    (l, count, which) => `${count} jobs of ${lane(l)} handed back (${which}): ${why(l)}`,
  ),
  'attempt.lost': trouble(
    (l) => `an attempt at job ${job(l)} of ${lane(l)} lost: ${why(l)}`,
    (l, count, which) => `${count} attempts on ${lane(l)} lost (${which}): ${why(l)}`,
  ),
  'settle.refused': trouble(
    (l) => `a late settle of job ${job(l)} of ${lane(l)} refused: another attempt has it`,
    (l, count, which) => `${count} late settles on ${lane(l)} refused (${which}): other attempts have them`,
  ),
  'step.degraded': trouble(
    (l) => `job ${job(l)} of ${lane(l)} went on without ${text(l, 'step')}: ${why(l)}`,
    (l, count, which) => `${count} jobs of ${lane(l)} went on without ${text(l, 'step')} (${which}): ${why(l)}`,
  ),
  'job.stalled': trouble(
    (l) => `job ${job(l)} of ${lane(l)} stalled: its pod died or froze; it runs again`,
    (l, count, which) => `${count} jobs of ${lane(l)} stalled (${which}): their pods died or froze; they run again`,
  ),
  'job.buried': trouble(
    (l) => `job ${job(l)} of ${lane(l)} buried as ${text(l, 'class')}: ${why(l)}`,
    (l, count, which) => `${count} jobs of ${lane(l)} buried as ${text(l, 'class')} (${which}): ${why(l)}`,
  ),
  'job.recovered': relief(
    (l) => `job ${job(l)} of ${lane(l)} recovered: ${why(l)}`,
    (l, count, which) => `${count} jobs of ${lane(l)} recovered (${which}): ${why(l)}`,
  ),
  'dead.expired': news((l) => `${letters(l, 'count')} of ${lane(l)} removed by retention (${text(l, 'why')})`),

  // Alarms and their ends.
  'lane.overdue': trouble(
    (l) => `${lane(l)} overdue: job ${job(l)} waits for ${ms(l, 'ageMs')}, due is ${ms(l, 'dueMs')}`,
  ),
  'lane.recovered': relief((l) => `${lane(l)} no longer overdue, after ${ms(l, 'forMs')}`),
  'lane.overparked': trouble((l) => `${lane(l)}: parked job ${job(l)} is ${ms(l, 'lateMs')} past its until`),
  'lane.unparked': relief((l) => `${lane(l)}: parked jobs go on in time again, after ${ms(l, 'forMs')}`),
  'lane.unattended': trouble((l) => `no pod runs ${lane(l)}: job ${job(l)} waits for ${ms(l, 'ageMs')}`),
  'lane.attended': relief((l) => `a pod runs ${lane(l)} again, after ${ms(l, 'forMs')}`),
  'pod.silent': trouble(
    (l) => `pod ${text(l, 'pod')} silent for ${ms(l, 'silentMs')}; it ran ${list(namesOf(l, 'lanes'))}`,
    (_, count, which) => `${count} pods silent (${which})`,
  ),
  'pod.heard': relief((l) => `pod ${text(l, 'pod')} is back, after ${ms(l, 'forMs')}`),

  // Pods and Redis.
  'pod.started': news(
    (l) => `pod started: ${list(namesOf(l, 'lanes'))}`,
    (l, count) => `${count} pods started: ${list(namesOf(l, 'lanes'))}`,
  ),
  'pod.draining': news((l) => `pod drains, ${numberOf(l, 'running') ?? 0} under way: ${why(l)}`),
  'pod.stopped': news(
    (l) => `pod stopped${numberOf(l, 'returned') ? `, ${l.returned} jobs handed back` : ''}`,
    (_, count) => `${count} pods stopped`,
  ),
  'pod.late': trouble((l) => `pod's loop blocked for ${ms(l, 'lateMs')} while it ran ${text(l, 'running')}`),
  'redis.back': relief(
    (l) => `Redis back, after ${ms(l, 'awayMs')} in which nothing could be written`,
    (l, count) => `Redis back for ${count} processes, after ${ms(l, 'awayMs')} in which they could write nothing`,
  ),
  'redis.full': trouble((l) => `Redis full: ${share(l)} of its memory used, adds are refused`),
  'redis.roomy': relief((l) => `Redis has room again: ${share(l)} of its memory used`),
  'journal.gap': trouble(
    (l) => `GAP: ${lost(l)} of ${l.tag ?? 'the fleet'} lost${gapUntil(l)}${GAPS[text(l, 'why')] ?? ''}`,
  ),
} satisfies Record<string, Phrase | 'tally' | ((line: TimelineLine) => Phrase)>);

export function phraseOf(line: TimelineLine): Phrase | 'tally' {
  const phrase = Object.hasOwn(PHRASES, line.what) ? (PHRASES[line.what] ?? UNKNOWN) : UNKNOWN;
  return typeof phrase === 'function' ? phrase(line) : phrase;
}

/** Of another version, or written by hand. */
const UNKNOWN: Phrase = news((line) => {
  const { at, what, who, tag, ...fields } = line;
  return `${what} ${JSON.stringify(fields).slice(0, 200)}`;
});

/** A term that ends by itself is every day; a hold that was renewed and then was not lost whoever had it. */
const TERM_OVER = news((l) => `${group(l)}: the term of ${owner(l)} is over`);
const HOLDER_DIED = trouble((l) => `${group(l)}: ${owner(l)} stopped renewing its hold, and has it no more`);
export function hasDied(line: TimelineLine): boolean {
  return line.what === 'lane.expired' && line.isHold === true;
}

function order(say: Phrase['say'], many?: Phrase['many']): Phrase {
  return { kind: 'order', say, ...(many && { many }) };
}
function trouble(say: Phrase['say'], many?: Phrase['many']): Phrase {
  return { kind: 'trouble', say, ...(many && { many }) };
}
function relief(say: Phrase['say'], many?: Phrase['many']): Phrase {
  return { kind: 'relief', say, ...(many && { many }) };
}
function news(say: Phrase['say'], many?: Phrase['many']): Phrase {
  return { kind: 'news', say, ...(many && { many }) };
}

function text(line: TimelineLine, field: string): string {
  return textOf(line, field) ?? 'unknown';
}
const lane = (line: TimelineLine) => textOf(line, 'lane') ?? (namesOf(line, 'lanes').join(', ') || 'a lane');
/** All that have one owner, where the entry names them. */
const group = (line: TimelineLine) => (namesOf(line, 'lanes').length > 0 ? list(namesOf(line, 'lanes')) : lane(line));
const upstream = (line: TimelineLine) => textOf(line, 'upstream') ?? line.tag ?? 'an upstream';
const job = (line: TimelineLine) => text(line, 'job');
const why = (line: TimelineLine) => textOf(line, 'reason') ?? 'no reason given';
const list = (names: readonly string[]) =>
  names.length > 6
    ? `${names.slice(0, 6).join(', ')} and ${names.length - 6} more lanes`
    : names.join(', ') || 'no lane';

/** "5m", or "unknown" when it was not written. */
function ms(line: TimelineLine, field: string): string {
  const value = numberOf(line, field);
  return value === null ? 'an unknown time' : formatDuration(Math.max(0, value));
}

function letters(line: TimelineLine, field: string): string {
  const count = numberOf(line, field) ?? 0;
  const of = textOf(line, 'class');
  return `${count.toLocaleString('en-US')} dead letter${count === 1 ? '' : 's'}${of ? ` (${of})` : ''}`;
}
function counted(line: TimelineLine, field: string, what: string): string {
  const count = numberOf(line, field) ?? 0;
  return `${count.toLocaleString('en-US')} ${what}${count === 1 ? '' : 's'}`;
}
const jobs = (line: TimelineLine, field: string) => counted(line, field, 'job');
const attempts = (line: TimelineLine, field: string) => counted(line, field, 'attempt');
const byForce = (line: TimelineLine) => (line.isForced === true ? `, by force from ${text(line, 'from')}` : '');
function feeder(line: TimelineLine): string {
  const of = line.of;
  return typeof of === 'object' && of !== null ? owner({ ...line, ...of }) : 'somebody';
}
/** A lane that one pod runs, or a part that one pod plays for all. */
const part = (line: TimelineLine) => textOf(line, 'role') ?? lane(line);
const stopped = (line: TimelineLine) => (line.isStopped === true ? ', then was stopped' : '');

/** An owner is `as` and `by`; of an older entry only who wrote it is known. */
function owner(line: TimelineLine, as = 'as', by = 'by'): string {
  const name = textOf(line, as) ?? textOf(line, 'owner');
  const hand = textOf(line, by);
  if (name === null) return hand ?? line.who ?? 'its owner';
  return hand === null || hand === line.who ? name : `${name} (${hand})`;
}
const ORDERED: Record<string, string> = { add: 'registered', remove: 'removed', mark: 'marked', clear: 'cleared' };
/** An intent names the event that its order will be told by. */
const VERBS: Record<string, string> = {
  'lane.paused': 'pause',
  'lane.resumed': 'resume',
  'job.replayed': 'replay',
  'job.dropped': 'drop',
  'job.cancelled': 'cancel',
  'cancel.ordered': 'cancel',
};
const verb = (line: TimelineLine) => VERBS[text(line, 'order')] ?? text(line, 'order');
const ordered = (line: TimelineLine) => ORDERED[text(line, 'order')] ?? text(line, 'order');

function opens(line: TimelineLine): string {
  const at = numberOf(line, 'afterAt');
  if (line.order !== 'mark' || at === null) return '';
  return at > line.at ? `, no act for ${formatDuration(at - line.at)}` : ', open now';
}
function until(line: TimelineLine): string {
  const at = numberOf(line, 'untilAt');
  return at !== null && at > line.at ? ` for ${formatDuration(at - line.at)}` : '';
}
function moved(line: TimelineLine): string {
  const before = numberOf(line, 'before');
  const after = numberOf(line, 'after');
  const way = before === null || after === null || after === before ? 'set' : after < before ? 'lowered' : 'raised';
  return `${way} from ${before ?? 'none'} to ${after ?? 'none'}`;
}
const share = (line: TimelineLine) => {
  const ratio = numberOf(line, 'ratio');
  return ratio === null ? 'an unknown part' : `${Math.round(ratio * 100)} %`;
};
const lost = (line: TimelineLine) => {
  const count = numberOf(line, 'lost');
  if (count === null) return 'an unknown number of entries';
  return `${count.toLocaleString('en-US')} ${line.why === 'retention' ? 'batches of entries' : 'entries'}`;
};
const GAPS: Record<string, string> = {
  retention: ': older than the journal keeps',
  dropped: ': a pod could not write them',
  lost: ': Redis lost its data',
  unreadable: ': what stands there is not ours',
};
function gapUntil(line: TimelineLine): string {
  const at = numberOf(line, 'untilAt');
  return at === null || at <= line.at ? '' : ` over ${formatDuration(at - line.at)}`;
}
