// The command about dead letters: look at them, give them another life, drop them, take them elsewhere.

import { Argument, type Command } from 'commander';
import { dropDead, listDead, replayDead, showDead } from '../../path/dead-letters.ts';
import type { JobView } from '../../path/inspect.ts';
import type { Lane } from '../../path/lane.ts';
import { exportLetters } from '../../path/letter-export.ts';
import { DEFAULT_RATE, dropLetters, type OperationState, replayLetters } from '../../path/letter-operation.ts';
import { toReason } from '../../path/reason.ts';
import type { LaneQueue } from '../../store/lane-queue.ts';
import { systemClock, toInstant } from '../../words/clock.ts';
import { LanekeeperError, quote } from '../../words/errors.ts';
import { FAILURE_CLASSES, type FailureClass } from '../../words/failure.ts';
import { onLeave } from './leaving.ts';
import { count, laneCommand } from './options.ts';
import { hint, printable, say, sayFacts, sayJson, sayTable, when } from './print.ts';
import { createProgress } from './progress.ts';
import { openSession, type Session } from './session.ts';
import { writeLines } from './write-lines.ts';

const ACTIONS = ['list', 'show', 'replay', 'drop', 'export'] as const;
type Action = (typeof ACTIONS)[number];

interface DeadOptions {
  dir: string;
  json?: boolean;
  limit: number;
  all?: boolean;
  class?: string;
  rate: number;
  reason?: string;
}

export function addDeadCommand(program: Command): void {
  laneCommand(program, 'dead', 'look at the dead letters of a lane, replay, drop or export them')
    .addArgument(new Argument('[action]', 'what to do').choices(ACTIONS).default('list'))
    .argument('[id]', 'the job, for show, replay and drop')
    .option('--all', 'replay or drop all of them')
    .option('--class <class>', `only what failed as ${FAILURE_CLASSES.join(', ')}`)
    .option(
      '--rate <n>',
      'replay or drop so many a second; 0 for as fast as Redis answers',
      count('rate'),
      DEFAULT_RATE,
    )
    .option('--limit <n>', 'list at the most so many', count('limit'), 20)
    .option('--reason <text>', 'why, for the journal', toReason)
    .addHelpText(
      'after',
      '\nExamples:\n  $ lanekeeper dead publish\n  $ lanekeeper dead publish show jVbd…\n  $ lanekeeper dead publish replay jVbd… --reason "login mended"\n  $ lanekeeper dead publish replay --all --class auth --rate 50\n  $ lanekeeper dead publish export > letters.jsonl\n',
    )
    .action(async (laneName: string, action: Action, id: string | undefined, options: DeadOptions, self: Command) => {
      const complaint = findMisuse(action, id, options);
      if (complaint) self.error(`error: 'dead ${laneName} ${action}' ${complaint}`, { exitCode: 2 });
      const ofClass = toClass(options.class);
      await using session = await openSession(options);
      const lane = session.lane(laneName);
      const order: Order = { session, lane, laneQueue: session.queue(lane), ofClass, options };
      // Awaited here: what is returned unawaited finds its session closed.
      if (action === 'list') return await list(order);
      if (action === 'export') return await exportAll(order);
      if (id === undefined) return await act(order, action === 'drop' ? 'drop' : 'replay');
      if (action === 'show') {
        const letter = await showDead(order.laneQueue, id);
        return options.json ? sayJson(letter) : sayLetter(letter, lane.runbook);
      }
      return await actOnOne(order, action, id);
    });
}

interface Order {
  session: Session;
  lane: Lane;
  laneQueue: LaneQueue;
  ofClass: FailureClass | undefined;
  options: DeadOptions;
}

function findMisuse(action: Action, id: string | undefined, options: DeadOptions): string | undefined {
  const { all, class: ofClass } = options;
  const isChange = action === 'replay' || action === 'drop';
  if (action === 'show' && id === undefined) return 'needs the id of a job';
  if (isChange && id === undefined && !all)
    return ofClass === undefined ? 'needs the id of a job, or --all' : `of a class needs --all beside --class`;
  if (!isChange && all) return 'takes no --all: it is for replay and drop';
  if (id === undefined) return undefined;
  if (all) return `takes either an id or --all, got ${quote(id)} and --all`;
  if (ofClass !== undefined) return `takes either an id or --class, got ${quote(id)} and --class`;
  return action === 'list' || action === 'export' ? `takes no id, got ${quote(id)}` : undefined;
}

function toClass(given: string | undefined): FailureClass | undefined {
  const known = FAILURE_CLASSES.find((name) => name === given);
  if (given === undefined || known) return known;
  throw new LanekeeperError('LK_INPUT', `--class: expected one of ${FAILURE_CLASSES.join(', ')}, got ${quote(given)}`);
}

async function list({ lane, laneQueue, ofClass, options }: Order): Promise<void> {
  const letters = await listDead(laneQueue, options.limit, ofClass);
  if (options.json) return sayJson(letters);
  if (letters.length === 0) return hint(`no dead letters${ofClass ? ` of class ${ofClass}` : ''} in ${lane.name}`);
  const nowAt = systemClock.now();
  sayTable(
    ['ID', 'CLASS', 'DIED', 'ATTEMPTS', 'AGENT', 'REASON'],
    letters.map((l) => [l.id, l.class, when(l.finishedAt, nowAt), l.attempt, l.agent, l.reason]),
  );
}

async function exportAll({ laneQueue, ofClass }: Order): Promise<void> {
  async function* lines() {
    for await (const letter of exportLetters(laneQueue, ofClass)) yield JSON.stringify(letter);
  }
  await writeLines(process.stdout, lines());
}

async function actOnOne({ session, lane, laneQueue, options }: Order, action: string, id: string): Promise<void> {
  const order = { who: session.who, reason: options.reason ?? null };
  if (action === 'drop') {
    const letter = await dropDead(laneQueue, id, order);
    if (options.json) return sayJson({ lane: lane.name, id, state: 'dropped', class: letter.class });
    return say(`dropped ${printable(id)} of ${lane.name}: it is gone for good`);
  }
  const letter = await replayDead(laneQueue, id, order);
  if (options.json) return sayJson({ lane: lane.name, id, state: 'waiting', class: letter.class });
  say(`replayed ${printable(id)} of ${lane.name}: it waits again with all its attempts`);
}

async function act({ session, lane, laneQueue, ofClass, options }: Order, what: 'replay' | 'drop'): Promise<void> {
  const verb = what === 'replay' ? 'replayed' : 'dropped';
  const stop = new AbortController();
  onLeave((_, isHurry) => (isHurry ? process.exit(1) : stop.abort()));
  const progress = createProgress(verb, process.stderr, systemClock);
  const operate = what === 'replay' ? replayLetters : dropLetters;
  let state: OperationState;
  try {
    state = await operate(laneQueue, {
      class: ofClass,
      reason: options.reason ?? null,
      rate: options.rate,
      signal: stop.signal,
      onProgress: progress.tell,
      who: session.who,
      clock: systemClock,
    });
  } finally {
    progress.end();
  }
  const { operation, total, done, skipped, isStopped } = state;
  if (options.json) sayJson({ lane: lane.name, operation, total, [verb]: done, skipped, isStopped });
  const taken = skipped > 0 ? `, ${skipped} were taken by others meanwhile` : '';
  const kind = ofClass ? ` of class ${ofClass}` : '';
  if (isStopped) {
    process.exitCode = 1;
    process.stderr.write(
      `stopped: ${verb} ${done} dead letters${kind} of ${lane.name}, ${state.seen} of ${total} looked at${taken}; the same command again goes on\n`,
    );
  } else if (!options.json) {
    say(`${verb} ${done} dead letters${kind} of ${lane.name}${taken}`);
  }
}

function sayLetter(letter: JobView, runbook: string | undefined): void {
  sayFacts([
    ['job', `${letter.lane} ${letter.id}`],
    ['class', letter.class],
    ['reason', letter.reason],
    ['died', when(letter.finishedAt, systemClock.now())],
    ['added', toInstant(letter.enqueuedAt)],
    ['agent', letter.agent],
    ['key', letter.key],
    ['payload', JSON.stringify(letter.payload, null, 2)],
    ['runbook', runbook],
    ...letter.stacks.map((stack): [string, string] => [
      `attempt ${stack.attempt}`,
      `${stack.class} on ${stack.pod} at ${toInstant(stack.at)}\n${stack.trace}`,
    ]),
  ]);
}
