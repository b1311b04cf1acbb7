// Folds the journal's lines into a telling: minutes in which something happened, and stretches in which nothing new did. It holds
// the minutes that may still get entries, ten counts per lane and the causes of the last half hour, however many lines go through.

import { type Cause, CauseBook, type Effect } from './timeline-causes.ts';
import { numberOf, type TimelineLine, textOf } from './timeline-line.ts';
import { type Group, groupOf, type LaneTally, MINUTE_MS, Minute } from './timeline-minute.ts';
import { type Caused, causesFirst } from './timeline-order.ts';
import { type LineKind, type Phrase, phraseOf } from './timeline-phrases.ts';
import { type Change, Rates } from './timeline-rates.ts';

/**
 * Minutes that stay open for what is written late: while Redis is away pods keep their entries, and write them with their age when
 * it is back. What is older still is told with its own instant in the oldest open minute.
 */
const OPEN_MINUTES = 15;
/** Twice as many, or half, is the same weather; and small numbers are chance. */
const SAME_WEATHER = 2.5;
const SAME_COUNT = 20;
const MAX_VOIDS = 50;
const MAX_LANES = 1_000;

export interface ToldEvent {
  at: number;
  lastAt: number;
  what: string;
  kind: LineKind;
  count: number;
  lane: string | null;
  upstream: string | null;
  who: string[];
  /** One sentence, without who, when and because. */
  text: string;
  because: Cause | null;
}

export interface ToldEnd {
  /** 'done', 'park:rate-limit', 'retry:timeout', 'dead:fatal' … */
  end: string;
  count: number;
  isBad: boolean;
  example: string | null;
  /** It is far above the minutes before. */
  jump: Change | null;
  because: Cause | null;
}

export interface ToldLane {
  lane: string;
  count: number;
  firstAt: number;
  lastAt: number;
  meanMs: number;
  ends: ToldEnd[];
  jump: Change | null;
  fall: Change | null;
  /** Attempts take so much longer than before (its `before` is in ms). */
  slow: Change | null;
  because: Cause | null;
}

export interface ToldMinute {
  kind: 'minute';
  at: number;
  events: ToldEvent[];
  lanes: ToldLane[];
  /** Of so many kinds that they were only counted. */
  others: { what: string; count: number }[];
  late: number;
}

/**
 * Nothing happened but attempts, all well (`quiet`), or failing as before (`steady`); or nobody could write (`away`); or what
 * was written is lost (`gap`).
 */
export interface ToldStretch {
  kind: 'quiet' | 'steady' | 'away' | 'gap';
  at: number;
  untilAt: number;
  lanes: ToldLane[];
}

export type Section = ToldMinute | ToldStretch;

export class TimelineFold {
  readonly #open = new Map<number, Minute>();
  readonly #rates = new Rates();
  /** Mean durations in ms, of minutes with attempts enough. */
  readonly #durations = new Map<string, number[]>();
  /** Where a lane lives: asked when it has fallen silent. */
  readonly #tags = new Map<string, string | null>();
  readonly #causes = new CauseBook();
  readonly #voids: { kind: 'away' | 'gap'; fromAt: number; untilAt: number }[] = [];
  /** The first minute that is not told yet. */
  #nextAt: number | undefined;
  #newestAt = Number.NEGATIVE_INFINITY;
  #stretch: ToldStretch | undefined;

  readonly #openMs: number;

  /** `fromAt`: from when on it is told, where that is before the first line. */
  constructor({ fromAt, openMinutes = OPEN_MINUTES }: { fromAt?: number; openMinutes?: number } = {}) {
    if (fromAt !== undefined) this.#nextAt = minuteOf(fromAt);
    this.#openMs = openMinutes * MINUTE_MS;
  }

  /** What can be told now. */
  *add(line: TimelineLine): Generator<Section> {
    this.#nextAt ??= minuteOf(line.at);
    const at = Math.max(minuteOf(line.at), this.#nextAt);
    const minute = this.#open.get(at) ?? new Minute(at);
    this.#open.set(at, minute);
    minute.add(line);
    this.#causes.note(line);
    this.#noteVoid(line);
    if (at <= this.#newestAt) return;
    this.#newestAt = at;
    yield* this.#tellBefore(at - this.#openMs);
  }

  /** Time went on, though maybe no line came. */
  *tick(nowAt: number): Generator<Section> {
    if (this.#nextAt !== undefined) yield* this.#tellBefore(minuteOf(nowAt) - this.#openMs);
  }

  /** The rest, up to this instant: nothing comes any more that is older. */
  *end(untilAt: number): Generator<Section> {
    const lastAt = Math.max(this.#newestAt + MINUTE_MS, minuteOf(untilAt));
    if (this.#nextAt !== undefined && Number.isFinite(lastAt)) yield* this.#tellBefore(lastAt, untilAt);
    if (this.#stretch) yield this.#stretch;
    this.#stretch = undefined;
  }

  *#tellBefore(endAt: number, untilAt = Number.POSITIVE_INFINITY): Generator<Section> {
    for (let at = this.#nextAt as number; at < endAt; at += MINUTE_MS) {
      const minute = this.#open.get(at) ?? new Minute(at);
      this.#open.delete(at);
      this.#nextAt = at + MINUTE_MS;
      const told = this.#tell(minute, at + MINUTE_MS <= untilAt);
      if (told.kind === 'minute') {
        if (this.#stretch) yield this.#stretch;
        this.#stretch = undefined;
        yield told;
      } else if (this.#stretch && isSameWeather(this.#stretch, told)) lengthen(this.#stretch, told);
      else {
        if (this.#stretch) yield this.#stretch;
        this.#stretch = told;
      }
    }
  }

  /** `isWhole`: a minute that is not over has no rate that could have fallen. */
  #tell(minute: Minute, isWhole: boolean): Section {
    const { at } = minute;
    minute.close();
    const counts = new Map<string, { count: number; firstAt: number }>();
    for (const tally of minute.lanes.values()) {
      counts.set(tally.lane, tally);
      for (const [end, one] of tally.ends) counts.set(`${tally.lane} ${end}`, one);
    }
    const lanes = [...minute.lanes.values()].map((tally) => this.#tellLane(tally, isWhole));
    const fallen = isWhole ? [...this.#rates.keys()].filter((key) => !key.includes(' ') && !counts.has(key)) : [];
    for (const lane of fallen) {
      const fall = this.#rates.fall(lane, 0);
      if (fall) lanes.push(this.#silent(lane, at, fall));
    }
    if (isWhole) this.#rates.next(counts);
    const events = causesFirst([...minute.groups].map(([key, group]) => this.#tellGroup(key, group)));
    lanes.sort((a, b) => b.count - a.count || (a.lane < b.lane ? -1 : 1));
    const others = [...minute.others].map(([what, count]) => ({ what, count }));
    const isNews = events.length + others.length > 0 || lanes.some(isUnusual);
    if (isNews) return { kind: 'minute', at, events, lanes, others, late: minute.late };
    const untilAt = at + MINUTE_MS;
    if (lanes.length === 0) {
      const isVoid = this.#voids.findLast((one) => one.fromAt < untilAt && one.untilAt > at);
      return { kind: isVoid?.kind ?? 'quiet', at, untilAt, lanes };
    }
    const isBad = lanes.some(({ ends }) => ends.some((end) => end.isBad));
    return { kind: isBad ? 'steady' : 'quiet', at, untilAt, lanes };
  }

  #tellLane(tally: LaneTally, isWhole: boolean): ToldLane {
    const { lane, tag, count, firstAt, lastAt, durationMs } = tally;
    const meanMs = durationMs / count;
    if (this.#tags.size < MAX_LANES) this.#tags.set(lane, tag);
    const jump = this.#rates.jump(lane, count, false) ?? null;
    const fall = (isWhole && this.#rates.fall(lane, count)) || null;
    const slow = this.#slow(lane, count, meanMs);
    const effect = { lane, tag, who: null, job: null, beganAt: firstAt, fromAt: firstAt, untilAt: lastAt };
    // Where in the minute the rate changed nobody counted: all that came before its end may have done it.
    const changed = { ...effect, beganAt: lastAt };
    const change = jump ? 'attempts.jump' : fall ? 'attempts.fall' : slow ? 'attempts.slow' : null;
    const ends = [...tally.ends].map(([end, one]): ToldEnd => {
      const key = `${lane} ${end}`;
      const beganAt = this.#rates.sinceAt(key, one.firstAt);
      const of: Effect = { ...effect, name: end, beganAt, fromAt: one.firstAt, untilAt: one.lastAt };
      return {
        end,
        count: one.count,
        isBad: one.isBad,
        example: one.example,
        jump: (end !== 'done' && this.#rates.jump(key, one.count, one.isBad)) || null,
        because: end === 'done' ? null : (this.#causes.find(of)?.cause ?? null),
      };
    });
    ends.sort((a, b) => Number(b.end === 'done') - Number(a.end === 'done') || b.count - a.count);
    const because = change === null ? null : (this.#causes.find({ ...changed, name: change })?.cause ?? null);
    return { lane, count, firstAt, lastAt, meanMs: Math.round(meanMs), ends, jump, fall, slow, because };
  }

  /** At least ten attempts here and in three of the minutes before, four times as long, and a second longer. */
  #slow(lane: string, count: number, meanMs: number): Change | null {
    const recent = this.#durations.get(lane) ?? [];
    const before = recent.reduce((sum, one) => sum + one, 0) / recent.length;
    const isSlow = recent.length >= 3 && count >= 10 && meanMs >= before * 4 && meanMs >= before + 1_000;
    if (count >= 10) this.#durations.set(lane, [...recent.slice(-9), meanMs]);
    if (this.#durations.size > MAX_LANES) this.#durations.clear();
    return isSlow ? { before, minutes: recent.length } : null;
  }

  #silent(lane: string, at: number, fall: Change): ToldLane {
    const tag = this.#tags.get(lane) ?? null;
    const untilAt = at + MINUTE_MS;
    const effect = { lane, tag, who: null, job: null, beganAt: untilAt, fromAt: at, untilAt };
    const because = this.#causes.find({ ...effect, name: 'attempts.fall' })?.cause ?? null;
    return { lane, count: 0, firstAt: at, lastAt: at, meanMs: 0, ends: [], jump: null, fall, slow: null, because };
  }

  #tellGroup(key: string, { first, kind, count, lastAt, names, hasMore, who }: Group): Caused<ToldEvent> {
    const phrase = phraseOf(first);
    const { at, what, tag } = first;
    const lane = textOf(first, 'lane');
    const which = names.join(', ') + (hasMore ? ', …' : '');
    const text = phrase === 'tally' ? what : sayGroup(phrase, first, count, which);
    const span = { beganAt: at, fromAt: at, untilAt: lastAt };
    const found = this.#causes.find({
      name: what,
      ...span,
      lane,
      tag,
      who: who[0] ?? null,
      job: textOf(first, 'job'),
    });
    const upstream = textOf(first, 'upstream');
    const because = found?.cause ?? null;
    const event = { at, lastAt, what, kind, count, lane, upstream, who, text, because };
    return { event, key, causeKey: found && groupOf(found.line) };
  }

  #noteVoid(line: TimelineLine): void {
    if (line.what === 'redis.back') {
      const awayMs = numberOf(line, 'awayMs') ?? 0;
      this.#voids.push({ kind: 'away', fromAt: line.at - awayMs, untilAt: line.at });
    } else if (line.what === 'journal.gap') {
      this.#voids.push({ kind: 'gap', fromAt: line.at, untilAt: numberOf(line, 'untilAt') ?? line.at });
    } else return;
    if (this.#voids.length > MAX_VOIDS) this.#voids.shift();
  }
}

function sayGroup(phrase: Phrase, first: TimelineLine, count: number, which: string): string {
  if (count === 1) return phrase.say(first);
  return phrase.many?.(first, count.toLocaleString('en-US'), which) ?? `${phrase.say(first)} (${count} times)`;
}

function minuteOf(at: number): number {
  return Math.floor(at / MINUTE_MS) * MINUTE_MS;
}

export function isUnusual({ jump, fall, slow, ends }: ToldLane): boolean {
  return Boolean(jump || fall || slow) || ends.some((end) => end.jump !== null);
}

/** Compared with the mean of the stretch so far: a storm that slowly grows is told again when it has. */
function isSameWeather(stretch: ToldStretch, next: ToldStretch): boolean {
  if (stretch.kind !== next.kind) return false;
  if (stretch.kind !== 'steady') return true;
  const minutes = (stretch.untilAt - stretch.at) / MINUTE_MS;
  const before = badCounts(stretch);
  const after = badCounts(next);
  return [...new Set([...before.keys(), ...after.keys()])].every((key) => {
    const was = (before.get(key) ?? 0) / minutes;
    const is = after.get(key) ?? 0;
    return Math.abs(was - is) <= SAME_COUNT || Math.max(was, is) <= SAME_WEATHER * Math.min(was, is);
  });
}

function badCounts({ lanes }: ToldStretch): Map<string, number> {
  const all = lanes.flatMap(({ lane, ends }) => ends.filter((one) => one.isBad).map((one) => ({ lane, ...one })));
  return new Map(all.map(({ lane, end, count }) => [`${lane} ${end}`, count]));
}

function lengthen(stretch: ToldStretch, next: ToldStretch): void {
  stretch.untilAt = next.untilAt;
  for (const lane of next.lanes) {
    const known = stretch.lanes.find((one) => one.lane === lane.lane);
    if (!known) {
      stretch.lanes.push(lane);
      continue;
    }
    known.meanMs = Math.round((known.meanMs * known.count + lane.meanMs * lane.count) / (known.count + lane.count));
    known.count += lane.count;
    known.lastAt = lane.lastAt;
    for (const end of lane.ends) {
      const same = known.ends.find((one) => one.end === end.end);
      if (same) same.count += end.count;
      else known.ends.push(end);
    }
  }
  stretch.lanes.sort((a, b) => b.count - a.count || (a.lane < b.lane ? -1 : 1));
}
