// One minute of the journal while it fills: entries alike are one group with a count, attempts are one tally per lane. However many
// entries come, it holds at most so many groups, lanes and examples.

import { endOf, isBad, numberOf, subjectOf, type TimelineLine, textOf } from './timeline-line.ts';
import { type LineKind, phraseOf } from './timeline-phrases.ts';

export const MINUTE_MS = 60_000;

/** More kinds of things than a person reads in a minute; what is beyond is counted by name. */
const MAX_GROUPS = 80;
const MAX_LANES = 300;
const MAX_ENDS = 40;
const MAX_NAMES = 3;
const MAX_OTHERS = 50;
/** Orders whose result may come in the same minute. */
const MAX_BEGUN = 1_000;

/** Entries of one minute that differ in their job, agent or pod alone. */
export interface Group {
  first: TimelineLine;
  kind: LineKind;
  count: number;
  lastAt: number;
  /** Which jobs, agents or pods; the first few, and whether there were more. */
  names: string[];
  hasMore: boolean;
  who: string[];
}

/** How many attempts on a lane ended in one way. */
export interface EndTally {
  count: number;
  firstAt: number;
  lastAt: number;
  example: string | null;
  isBad: boolean;
}

export interface LaneTally {
  lane: string;
  tag: string | null;
  count: number;
  firstAt: number;
  lastAt: number;
  durationMs: number;
  ends: Map<string, EndTally>;
}

export class Minute {
  readonly at: number;
  readonly groups = new Map<string, Group>();
  readonly lanes = new Map<string, LaneTally>();
  /** What found no room, by name. */
  readonly others = new Map<string, number>();
  /** What somebody was about to do, by intent: its result tells it better. */
  readonly #begun = new Map<string, TimelineLine>();
  /** Entries of earlier minutes that came when those had been told. */
  late = 0;

  constructor(at: number) {
    this.at = at;
  }

  add(line: TimelineLine): void {
    if (line.at < this.at) this.late++;
    const phrase = phraseOf(line);
    if (phrase === 'tally') return void this.#count(line);
    const intent = textOf(line, 'intent');
    if (intent !== null && line.what !== 'order.begun') this.#begun.delete(intent);
    else if (intent !== null && this.#begun.size < MAX_BEGUN) return void this.#begun.set(intent, line);
    this.#group(line, phrase.kind);
  }

  /** Nothing comes any more: orders without a result stand as begun. */
  close(): void {
    for (const line of this.#begun.values()) this.#group(line, 'news');
    this.#begun.clear();
  }

  #group(line: TimelineLine, kind: LineKind): void {
    const key = groupOf(line);
    const group = this.groups.get(key);
    if (group) return void join(group, line);
    if (this.groups.size >= MAX_GROUPS) return void this.#countOther(line.what);
    const fresh: Group = {
      first: line,
      kind,
      count: 0,
      lastAt: line.at,
      names: [],
      hasMore: false,
      who: [],
    };
    this.groups.set(key, fresh);
    join(fresh, line);
  }

  #count(line: TimelineLine): void {
    const lane = textOf(line, 'lane') ?? 'a lane';
    let tally = this.lanes.get(lane);
    if (!tally) {
      if (this.lanes.size >= MAX_LANES) return void this.#countOther(line.what);
      tally = { lane, tag: line.tag, count: 0, firstAt: line.at, lastAt: line.at, durationMs: 0, ends: new Map() };
      this.lanes.set(lane, tally);
    }
    const end = endOf(line);
    const known = tally.ends.get(end) ?? (tally.ends.size < MAX_ENDS ? undefined : tally.ends.get('other'));
    const entry = known ?? {
      count: 0,
      firstAt: line.at,
      lastAt: line.at,
      example: subjectOfJob(line),
      isBad: isBad(line),
    };
    if (!known) tally.ends.set(tally.ends.size < MAX_ENDS - 1 ? end : 'other', entry);
    for (const one of [tally, entry]) {
      one.count++;
      one.firstAt = Math.min(one.firstAt, line.at);
      one.lastAt = Math.max(one.lastAt, line.at);
    }
    tally.durationMs += numberOf(line, 'durationMs') ?? 0;
  }

  #countOther(what: string): void {
    const name = this.others.has(what) || this.others.size < MAX_OTHERS ? what : 'other';
    this.others.set(name, (this.others.get(name) ?? 0) + 1);
  }
}

function subjectOfJob(line: TimelineLine): string | null {
  return textOf(line, 'job') ?? subjectOf(line);
}

function join(group: Group, line: TimelineLine): void {
  group.count++;
  if (line.at < group.first.at) group.first = line;
  group.lastAt = Math.max(group.lastAt, line.at);
  const name = subjectOf(line) ?? (line.what.startsWith('pod.') ? (line.who ?? null) : null);
  if (name !== null && !group.names.includes(name)) {
    if (group.names.length < MAX_NAMES) group.names.push(name);
    else group.hasMore = true;
  }
  const { who } = line;
  if (who && group.who.length <= MAX_NAMES && !group.who.includes(who)) group.who.push(who);
}

/** Of two orders nobody may take the one for the other: by whom, why and to what they are is part of it. */
export function groupOf(line: TimelineLine): string {
  const place = [line.what, line.lane ?? line.upstream ?? line.tag, line.limit, line.class, line.order];
  const phrase = phraseOf(line);
  const isByHand =
    phrase !== 'tally' && phrase.kind === 'order' ? [line.who, line.reason, line.text, line.after, line.as] : [];
  return JSON.stringify([...place, ...isByHand]);
}
