// The incident that the journal holds, folded: when it began, what it reached, what was ordered and what changed after each order.
// An incident ends when a quarter of an hour was calm; of several the last one is told. Bounded, whatever the number of lines.

import { IncidentOrders, type Ordered } from './incident-orders.ts';
import { endOf, isBad, namesOf, numberOf, type TimelineLine, textOf } from './timeline-line.ts';
import { MINUTE_MS } from './timeline-minute.ts';
import { phraseOf } from './timeline-phrases.ts';

/** So long without trouble, and what comes next is another incident. */
const CALM_MS = 15 * MINUTE_MS;
/** Five failures of a lane within ten minutes are a sign; one that is tried again is every day. */
const SIGN_COUNT = 5;
const SIGN_MS = 10 * MINUTE_MS;
/** Orders so long before the first sign may have brought it about. */
export const PRELUDE_MS = 10 * MINUTE_MS;
const MAX_LANES = 300;
const MAX_NAMES = 10_000;
const MAX_KINDS = 200;
const MAX_OPEN = 500;
const RATE_MINUTES = 10;

export interface IncidentLane {
  lane: string;
  tag: string | null;
  attempts: number;
  bad: Map<string, number>;
  done: number;
  lastBadAt: number | null;
  /** It failed, or an alarm was told of it; else it only ran meanwhile. */
  isTouched: boolean;
  /** Done a minute before the first sign; null when the journal does not reach back. */
  calmPerMinute: number | null;
}

/** Something that began and is not over. */
export interface Open {
  what: string;
  at: number;
  text: string;
  untilAt: number | null;
  line: TimelineLine;
}

export interface Incident {
  first: TimelineLine | null;
  firstText: string | null;
  lastAt: number | null;
  lanes: IncidentLane[];
  jobs: { count: number; isMore: boolean };
  agents: { count: number; isMore: boolean };
  pods: string[];
  /** Every kind of entry since the first sign, the minutes before it included. */
  counts: Map<string, number>;
  /** Of some kinds a few entries, to quote. */
  samples: Map<string, TimelineLine>;
  /** The job that stalled most. */
  worstJob: { job: string; count: number } | null;
  orders: Ordered[];
  open: Open[];
  dueMs: number | null;
  /** The journal has a hole in it. */
  hasGap: boolean;
  earlier: number;
}

/** What ends what: by lane, upstream, pod, or the fleet as a whole. */
const ENDS: Readonly<Record<string, string>> = {
  'lane.resumed': 'lane.paused',
  'lane.recovered': 'lane.overdue',
  'lane.unparked': 'lane.overparked',
  'lane.attended': 'lane.unattended',
  'pod.heard': 'pod.silent',
  'redis.roomy': 'redis.full',
  'limit.released': 'limit.held',
  'limit.reset': 'limit.set',
  'jobs.returned': 'jobs.displaced',
  'jobs.adopted': 'jobs.displaced',
  'jobs.dropped': 'jobs.displaced',
};
const BEGINS = new Set(Object.values(ENDS));
/** As somebody ordered it, or past help: it may stay so for weeks, in which there are incidents and calm. */
const MEANT = new Set(['limit.set', 'jobs.displaced', 'pod.silent']);
/** Pods that started within the silence of another: a supervisor's work. */
const MAX_STARTED = 100;

export class IncidentFold {
  #state = emptyState();
  #earlier = 0;
  readonly #open = new Map<string, Open>();
  readonly #signs = new Map<string, TimelineLine[]>();
  readonly #rates = new Map<string, { minute: number; done: number }[]>();
  readonly #orders = new IncidentOrders();
  /** Lanes whose owner's term ended by itself, and nobody has answered for what it left. */
  readonly #expired = new Set<string>();
  /** Pods that started lately, each in the place of one silent pod at the most. */
  #started: TimelineLine[] = [];
  /** The kinds of the minutes before a first sign, which belong to it. */
  #prelude: TimelineLine[] = [];
  #firstAt: number | undefined;

  add(line: TimelineLine): void {
    this.#firstAt ??= line.at;
    if (line.what === 'attempt.finished') this.#attempt(line);
    else this.#event(line);
  }

  end(untilAt: number): Incident {
    const { first, lastAt, lanes, jobs, agents, pods, stalls, ...state } = this.#state;
    const open = [...this.#open.values()].filter((one) => one.untilAt === null || one.untilAt > untilAt);
    const [worst] = [...stalls].sort((a, b) => b[1] - a[1]);
    const since = (first?.at ?? Number.POSITIVE_INFINITY) - PRELUDE_MS;
    return {
      ...state,
      first,
      firstText: first && sayFirst(first),
      lastAt,
      lanes: [...lanes.values()].sort((a, b) => sumOf(b.bad) - sumOf(a.bad)),
      jobs: { count: jobs.size, isMore: jobs.size >= MAX_NAMES },
      agents: { count: agents.size, isMore: agents.size >= MAX_NAMES },
      pods: [...pods],
      worstJob: worst ? { job: worst[0], count: worst[1] } : null,
      orders: this.#orders.since(since),
      open: open.sort((a, b) => a.at - b.at),
      earlier: this.#earlier,
    };
  }

  #attempt(line: TimelineLine): void {
    const bad = isBad(line);
    const isParked = !bad && line.outcome === 'park';
    const lane = textOf(line, 'lane') ?? 'a lane';
    if (line.outcome === 'done') this.#noteDone(lane, line.at);
    this.#orders.weigh(line, bad ? 'bad' : isParked ? 'parked' : 'done');
    if (bad && this.#isSign(lane, line)) {
      const signs = this.#signs.get(lane) as TimelineLine[];
      const isFresh = this.#trouble(signs[0] as TimelineLine, line.at);
      if (isFresh) for (const sign of signs.slice(0, -1)) this.#countAttempt(sign, lane, true);
    }
    if (this.#state.first !== null) this.#countAttempt(line, lane, bad);
  }

  #countAttempt(line: TimelineLine, lane: string, bad: boolean): void {
    const known = this.#laneOf(lane, line.tag);
    if (!known) return;
    known.attempts++;
    if (line.outcome === 'done') known.done++;
    if (!bad) return;
    known.isTouched = true;
    known.lastBadAt = Math.max(known.lastBadAt ?? 0, line.at);
    count(known.bad, endOf(line));
    name(this.#state.jobs, `${lane} ${textOf(line, 'job')}`);
    name(this.#state.agents, textOf(line, 'agent'));
    sample(this.#state.samples, endOf(line), line);
  }

  #event(line: TimelineLine): void {
    const phrase = phraseOf(line);
    if (phrase === 'tally') return;
    if (line.what === 'pod.started') this.#replace(line);
    else if (!this.#isReplaced(line)) this.#noteOpen(line, phrase.say(line));
    if (phrase.kind === 'order')
      this.#orders.add(line, phrase.say(line), (this.#state.first?.at ?? line.at) - PRELUDE_MS);
    const isTrouble = this.#isLeftBehind(line) || (phrase.kind === 'trouble' && line.what !== 'journal.gap');
    if (isTrouble) this.#trouble(line, line.at);
    if (this.#state.first === null) {
      this.#prelude = this.#prelude.filter(({ at }) => at >= line.at - PRELUDE_MS).slice(-MAX_KINDS);
      this.#prelude.push(line);
      return;
    }
    this.#reach(line, isTrouble);
  }

  /** A killed pod comes back under another name: one that runs all its lanes has taken its place. */
  #replace(started: TimelineLine): void {
    const place = [...this.#open].find(([, one]) => one.what === 'pod.silent' && runsAllOf(started, one.line));
    if (place) this.#open.delete(place[0]);
    else this.#started = [...this.#started, started].slice(-MAX_STARTED);
  }

  /** It was called silent when another had started since it was heard last. */
  #isReplaced(line: TimelineLine): boolean {
    if (line.what !== 'pod.silent') return false;
    const heardAt = line.at - (numberOf(line, 'silentMs') ?? 0);
    const index = this.#started.findIndex((one) => one.at >= heardAt && runsAllOf(one, line));
    if (index >= 0) this.#started.splice(index, 1);
    return index >= 0;
  }

  /** A term that ends is every day; that its owner's jobs then lie aside because another has the lane, nobody ordered. */
  #isLeftBehind(line: TimelineLine): boolean {
    const lane = textOf(line, 'lane');
    const lanes = namesOf(line, 'lanes').concat(lane ?? []);
    if (line.what === 'lane.displaced' || line.what === 'lane.released')
      for (const one of lanes) this.#expired.delete(one);
    if (line.what === 'lane.expired' && this.#expired.size < MAX_LANES) for (const one of lanes) this.#expired.add(one);
    return line.what === 'jobs.displaced' && lane !== null && this.#expired.delete(lane);
  }

  /** What an entry adds to the reach of the incident. */
  #reach(line: TimelineLine, isTrouble = false): void {
    const { counts, samples, jobs, agents, pods, stalls } = this.#state;
    count(counts, line.what);
    sample(samples, line.what, line);
    const lane = textOf(line, 'lane');
    if (line.what === 'journal.gap') this.#state.hasGap = true;
    if (line.what === 'lane.overdue') this.#state.dueMs = numberOf(line, 'dueMs');
    if (line.what === 'agent.ordered' && (line.order === 'mark' || line.order === 'remove'))
      name(agents, textOf(line, 'agent'));
    if (!isTrouble) return;
    for (const one of lane === null ? namesOf(line, 'lanes') : [lane]) {
      const known = this.#laneOf(one, lane === null ? null : line.tag);
      if (known) known.isTouched = true;
    }
    if (textOf(line, 'job') !== null) name(jobs, `${lane} ${textOf(line, 'job')}`);
    name(agents, textOf(line, 'agent'));
    if (pods.size < MAX_KINDS) name(pods, textOf(line, 'pod'));
    if (line.what === 'job.stalled') count(stalls, `${textOf(line, 'job')} of ${lane}`);
  }

  /** True when an incident begins with it. */
  #trouble(first: TimelineLine, at: number): boolean {
    const state = this.#state;
    if (state.lastAt !== null && first.at - state.lastAt > CALM_MS && this.#isCalm(first.at)) {
      this.#earlier++;
      this.#state = emptyState();
    }
    const isFresh = this.#state.first === null;
    if (isFresh) {
      this.#state.first = first;
      for (const line of this.#prelude) if (line.at >= first.at - PRELUDE_MS) this.#reach(line);
      this.#prelude = [];
    }
    this.#state.lastAt = Math.max(this.#state.lastAt ?? 0, at);
    return isFresh;
  }

  /** What is paused, held or overdue is no calm, however still it is. */
  #isCalm(at: number): boolean {
    return [...this.#open.values()].every(
      ({ what, untilAt }) => MEANT.has(what) || (untilAt !== null && untilAt <= at),
    );
  }

  #isSign(lane: string, line: TimelineLine): boolean {
    const recent = this.#signs.get(lane) ?? [];
    recent.push(line);
    if (recent.length > SIGN_COUNT) recent.shift();
    if (this.#signs.size < MAX_LANES) this.#signs.set(lane, recent);
    return recent.length === SIGN_COUNT && this.#signs.has(lane) && line.at - (recent[0] as TimelineLine).at <= SIGN_MS;
  }

  #laneOf(lane: string, tag: string | null): IncidentLane | undefined {
    const { lanes, first } = this.#state;
    const known = lanes.get(lane);
    if (known) {
      known.tag ??= tag;
      return known;
    }
    if (lanes.size >= MAX_LANES) return undefined;
    const calmPerMinute = this.#calmOf(lane, first?.at ?? 0);
    const fresh = { lane, tag, attempts: 0, bad: new Map(), done: 0, lastBadAt: null, isTouched: false, calmPerMinute };
    lanes.set(lane, fresh);
    return fresh;
  }

  #noteDone(lane: string, at: number): void {
    const minute = Math.floor(at / MINUTE_MS);
    const recent = this.#rates.get(lane) ?? [];
    const last = recent.at(-1);
    if (last?.minute === minute) last.done++;
    else recent.push({ minute, done: 1 });
    // Those before the first sign must still be there when it is known to be one, ten minutes later.
    if (recent.length > RATE_MINUTES * 3) recent.shift();
    if (this.#rates.size < MAX_LANES) this.#rates.set(lane, recent);
  }

  #calmOf(lane: string, firstAt: number): number | null {
    const until = Math.floor(firstAt / MINUTE_MS);
    const from = Math.max(until - RATE_MINUTES, Math.ceil((this.#firstAt ?? firstAt) / MINUTE_MS));
    if (until - from < 3) return null;
    const before = (this.#rates.get(lane) ?? []).filter(({ minute }) => minute >= from && minute < until);
    // The median: what broke it may have begun in the last of these minutes, with forty times as many.
    const counts = [...before.map(({ done }) => done), ...new Array<number>(until - from - before.length).fill(0)];
    return counts.sort((a, b) => a - b)[Math.floor(counts.length / 2)] ?? 0;
  }

  #noteOpen(line: TimelineLine, text: string): void {
    const place = (what: string) =>
      `${what} ${textOf(line, 'pod') ?? textOf(line, 'lane') ?? line.tag ?? ''} ${textOf(line, 'limit') ?? ''}`;
    const over = ENDS[line.what];
    if (over) this.#open.delete(place(over));
    if (line.what === 'limit.set' && line.after === line.defined) this.#open.delete(place('limit.set'));
    else if (BEGINS.has(line.what) && this.#open.size < MAX_OPEN) {
      const forMs = line.what === 'limit.held' ? numberOf(line, 'forMs') : null;
      const untilAt = forMs === null ? numberOf(line, 'untilAt') : line.at + forMs;
      const known = this.#open.get(place(line.what));
      this.#open.set(place(line.what), { what: line.what, at: known?.at ?? line.at, text, untilAt, line });
    }
  }
}

function emptyState() {
  return {
    first: null as TimelineLine | null,
    lastAt: null as number | null,
    lanes: new Map<string, IncidentLane>(),
    jobs: new Set<string>(),
    agents: new Set<string>(),
    pods: new Set<string>(),
    counts: new Map<string, number>(),
    samples: new Map<string, TimelineLine>(),
    stalls: new Map<string, number>(),
    dueMs: null as number | null,
    hasGap: false,
  };
}

function runsAllOf(started: TimelineLine, silent: TimelineLine): boolean {
  const lanes = namesOf(started, 'lanes');
  return namesOf(silent, 'lanes').every((lane) => lanes.includes(lane));
}

function sayFirst(line: TimelineLine): string {
  const phrase = phraseOf(line);
  if (phrase !== 'tally') return phrase.say(line);
  const reason = textOf(line, 'reason');
  return `job ${textOf(line, 'job')} of ${textOf(line, 'lane')}: ${textOf(line, 'class') ?? line.outcome}${reason ? `, ${reason}` : ''}`;
}

function count(counts: Map<string, number>, key: string): void {
  if (counts.has(key) || counts.size < MAX_KINDS) counts.set(key, (counts.get(key) ?? 0) + 1);
}

function name(names: Set<string>, one: string | null): void {
  if (one !== null && names.size < MAX_NAMES) names.add(one);
}

function sample(samples: Map<string, TimelineLine>, key: string, line: TimelineLine): void {
  if (samples.size < MAX_KINDS && !samples.has(key)) samples.set(key, line);
}

export function sumOf(counts: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const one of counts.values()) sum += one;
  return sum;
}
