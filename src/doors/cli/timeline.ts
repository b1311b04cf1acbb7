// The command `timeline`: an incident told from the journal, minute by minute, as the stand-up form, or as data.

import { type Command, Option } from 'commander';
import { readHeads } from '../../path/heads.ts';
import { type Incident, IncidentFold } from '../../path/incident.ts';
import { countJobs } from '../../path/inspect.ts';
import { journalStreams } from '../../path/journal-reader.ts';
import type { LaneNow } from '../../path/recovery.ts';
import { fillStandUp, writeStandUp } from '../../path/stand-up.ts';
import { followTimeline, readTimeline, type TimelineQuery } from '../../path/timeline.ts';
import { TimelineFold } from '../../path/timeline-fold.ts';
import { createTextTelling } from '../../path/timeline-text.ts';
import { redisNow } from '../../store/redis-now.ts';
import { systemClock, toInstant } from '../../words/clock.ts';
import { DURATION_FORM, toDurationMs } from '../../words/duration.ts';
import { type LanekeeperError, wrongOption } from '../../words/errors.ts';
import { INSTANT_FORM, toEpochMs } from '../../words/instant.ts';
import { createLocalTime } from '../../words/local-time.ts';
import { dirCommand } from './options.ts';
import { say, toJson } from './print.ts';
import { openSession, type Session } from './session.ts';
import { writeLines } from './write-lines.ts';

const FORMATS = ['text', 'md', 'json'] as const;

interface TimelineOptions {
  dir: string;
  json?: boolean;
  lane?: string;
  since: Span;
  until?: Span;
  format?: (typeof FORMATS)[number];
  follow?: boolean;
}

/** An instant, or so long ago. */
type Span = { at: number } | { agoMs: number };

/** A follower tells a minute when it has been over for so long: pods write what happened after 20 ms. */
const SETTLED_MS = 2_000;
/** Lanes looked at for the stand-up: those of an incident, not a fleet of thousands. */
const MAX_LOOKED_AT = 10;

export function addTimelineCommand(program: Command): void {
  dirCommand(program, 'timeline', 'tell what happened from the journal, minute by minute')
    .option('--lane <lane>', 'what concerns this lane: its own, its upstream, the pods and Redis')
    .option('--since <span>', "from when: so long ago, such as '2h', or an instant", toSpan('since'), {
      agoMs: 2 * 3_600_000,
    })
    .option('--until <span>', 'until when, in the same form; without it until now', toSpan('until'))
    .addOption(new Option('--format <format>', 'text to read, md for the stand-up, json for programs').choices(FORMATS))
    .option('--follow', 'go on telling as things happen')
    .addHelpText(
      'after',
      '\nExamples:\n  $ lanekeeper timeline --lane publish --since 30m\n  $ lanekeeper timeline --since 2030-01-31T02:00:00Z --until 2030-01-31T04:00:00Z --format md\n',
    )
    .action(async (options: TimelineOptions, self: Command) => {
      const { json, format = json ? 'json' : 'text', follow, until, since } = options;
      if (json && format !== 'json')
        self.error(`error: --json and --format ${format} contradict each other`, { exitCode: 2 });
      if (follow && format !== 'text') self.error('error: --follow tells in text only', { exitCode: 2 });
      if (follow && until) self.error('error: --follow has no --until', { exitCode: 2 });
      await using session = await openSession(options);
      const nowAt = await redisNow(session.redis);
      const [sinceAt, untilAt] = [toAt(since, nowAt), until && toAt(until, nowAt)];
      if (sinceAt >= nowAt) throw wrongSpan('--since', `an instant before now (${toInstant(nowAt)})`, sinceAt);
      if (untilAt !== undefined && sinceAt >= untilAt)
        throw wrongSpan('--until', `an instant after --since (${toInstant(sinceAt)})`, untilAt);
      const query = { ...toQuery(session, options.lane), sinceAt, untilAt };
      if (follow) return followText(query, nowAt);
      const endAt = Math.min(untilAt ?? nowAt, nowAt);
      const lines = { text: tellText, md: tellStandUp, json: tellJson }[format](session, query, endAt);
      await writeLines(process.stdout, lines);
    });
}

function toSpan(option: string): (value: string) => Span {
  return (value) => {
    const agoMs = toDurationMs(value);
    if (agoMs !== undefined && !/^\d+$/.test(value)) return { agoMs };
    const at = toEpochMs(value);
    if (at !== undefined) return { at };
    throw wrongOption('LK_INPUT', option, `${DURATION_FORM}, or ${INSTANT_FORM}`, value);
  };
}

function wrongSpan(option: string, expected: string, at: number): LanekeeperError {
  return wrongOption('LK_INPUT', option, expected, toInstant(at));
}

function toAt(span: Span, nowAt: number): number {
  return 'at' in span ? span.at : nowAt - span.agoMs;
}

function toQuery(session: Session, lane: string | undefined): Pick<TimelineQuery, 'redis' | 'streams' | 'lane'> {
  const { redis, keys, definitions } = session;
  const lanes = lane === undefined ? [...definitions.lanes.values()] : [session.lane(lane)];
  const upstreams = lane === undefined ? [...definitions.upstreams.keys()] : [];
  return { redis, streams: journalStreams(keys, [...lanes.map(({ tag }) => tag), ...upstreams]), lane };
}

async function* tellText(_: Session, query: TimelineQuery, endAt: number): AsyncGenerator<string> {
  const telling = createTextTelling(createLocalTime(), process.stdout.columns);
  const fold = new TimelineFold({ fromAt: query.sinceAt });
  yield* telling.head(query.sinceAt, endAt);
  for await (const line of readTimeline(query)) for (const section of fold.add(line)) yield* telling.section(section);
  for (const section of fold.end(endAt)) yield* telling.section(section);
}

async function* tellStandUp(session: Session, query: TimelineQuery, endAt: number): AsyncGenerator<string> {
  const fold = new IncidentFold();
  for await (const line of readTimeline(query)) fold.add(line);
  const incident = fold.end(endAt);
  yield* writeStandUp(fillStandUp(incident, endAt, await lookAtLanes(session, incident, query)), createLocalTime());
}

/** One value, written piece by piece: a day of a busy fleet need not fit into memory. */
async function* tellJson(session: Session, query: TimelineQuery, endAt: number): AsyncGenerator<string> {
  const fold = new TimelineFold({ fromAt: query.sinceAt });
  const incidents = new IncidentFold();
  const head = toJson({ fromAt: query.sinceAt, untilAt: endAt, lane: query.lane ?? null });
  yield `${head.slice(0, -1)},"sections":[`;
  let comma = '';
  const write = (section: unknown) => {
    const text = `${comma}${toJson(section)}`;
    comma = ',';
    return text;
  };
  for await (const line of readTimeline(query)) {
    incidents.add(line);
    for (const section of fold.add(line)) yield write(section);
  }
  for (const section of fold.end(endAt)) yield write(section);
  const incident = incidents.end(endAt);
  yield `],"standUp":${toJson(fillStandUp(incident, endAt, await lookAtLanes(session, incident, query)))}}`;
}

/** How the lanes of the incident are now; of another time nobody knows any more. */
async function lookAtLanes(session: Session, { lanes }: Incident, { untilAt }: TimelineQuery): Promise<LaneNow[]> {
  if (untilAt !== undefined) return [];
  const nowAt = await redisNow(session.redis);
  const touched = lanes.filter(({ isTouched }) => isTouched).slice(0, MAX_LOOKED_AT);
  const known = touched.flatMap(({ lane }) => session.definitions.lanes.get(lane) ?? []);
  return Promise.all(
    known.map(async (lane) => {
      const queue = session.queue(lane);
      const [{ waiting, parked, scheduled }, { oldest }] = await Promise.all([
        countJobs(queue),
        readHeads(queue, nowAt),
      ]);
      const oldestWaitingMs = oldest ? Math.max(0, nowAt - oldest.sinceAt) : null;
      return { lane: lane.name, waiting: waiting + parked + scheduled, oldestWaitingMs, dueMs: lane.dueMs ?? null };
    }),
  );
}

/** Until it is interrupted. A minute is told when it is over, or when something comes after it. */
async function followText(query: TimelineQuery, nowAt: number): Promise<void> {
  const telling = createTextTelling(createLocalTime(), process.stdout.columns);
  const fold = new TimelineFold({ fromAt: query.sinceAt, openMinutes: 0 });
  const left = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => left.abort());
  process.stdout.once('error', () => left.abort()); // nobody reads any more
  const offsetMs = nowAt - systemClock.now();
  const tell = (sections: ReturnType<TimelineFold['add']>) => {
    for (const section of sections) for (const line of telling.section(section)) say(line);
  };
  for (const line of telling.head(query.sinceAt, nowAt)) say(line);
  const lines = readTimeline(query);
  let next = await lines.next();
  for (; !next.done; next = await lines.next()) tell(fold.add(next.value));
  const tick = setInterval(() => tell(fold.tick(systemClock.now() + offsetMs - SETTLED_MS)), 1_000);
  try {
    for await (const line of followTimeline(query, next.value, left.signal)) tell(fold.add(line));
  } finally {
    clearInterval(tick);
  }
  tell(fold.end(systemClock.now() + offsetMs));
}
