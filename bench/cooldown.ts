// How soon is a window used, by how many commands, and does anybody act early? Ours with little and with much work waiting, and
// beside what people do today.

import type { Bench, BenchInput } from './bench.ts';
import { AGENTS, type Case, WAYS, type Way } from './cooldown-fleet.ts';
import { type Figures, measureRun, type Span } from './cooldown-run.ts';
import { interleave, quantile, withSpread } from './measure.ts';

interface Row {
  way: Way;
  given: Case;
}

const HEAD = [
  'early acts',
  'late, p50 ms',
  'p99 ms',
  'max ms',
  'windows used, %',
  'commands per job',
  'Redis CPU ms per job',
  'other starts before a top job, max',
];

const NOTES = [
  `${AGENTS.length} agents, four worker processes, answers after 20 ms, half of the jobs bound to an agent, priorities 1 to 10, always work waiting.`,
  'The upstream is a process of its own, and judge: early acts are its convictions over the whole run, refused ones included. All times are its own.',
  "Late: from a window's opening (the agent's last answer plus the cooldown) to the next arrival of that agent that was not refused. Of all rounds together.",
  'Windows used: the sum of cooldown and service by the sum of the real gaps between two arrivals of an agent; a window that stands open at the end counts until then.',
  'Commands: what the four workers send to Redis over all their connections, counted where ioredis sends them, beats, journal, fetch and settle included; what scripts call inside Redis is not, nor is adding.',
  'Redis CPU includes adding the 20 late jobs and, at a backlog of 100, filling it again every 200 ms.',
  'Other starts: arrivals of other jobs between the acknowledgement of a late job of priority 0, for any agent, and its own; other top jobs are not among them. 20 a run. A + says that one had not acted when the run was over.',
];

const seconds = (ms: number) => `${ms / 1_000} s`;
const nameOf = ({ way, given }: Row) =>
  `${way}, ${given.cooldownMs < 1_000 ? `${given.cooldownMs} ms` : seconds(given.cooldownMs)}, ${given.backlog.toLocaleString('en-US')} waiting`;

async function compare(rows: readonly Row[], span: (given: Case) => Span, { store, rounds, say }: BenchInput) {
  const byName = new Map(rows.map((row) => [nameOf(row), row]));
  const results = await interleave([...byName.keys()], rounds, async (name, round) => {
    const { way, given } = byName.get(name) as Row;
    const figures = await measureRun(store, way, given, span(given));
    say(`${name} ${round + 1}/${rounds}: ${toCells([figures]).join(' | ')}`);
    return figures;
  });
  return [...byName.keys()].map((name) => [name, ...toCells(results[name] as Figures[])]);
}

function toCells(rounds: readonly Figures[]): string[] {
  const late = rounds.flatMap(({ lateMs }) => lateMs);
  const ms = (value: number) => value.toFixed(1);
  const isOpen = rounds.some(({ unstarted }) => unstarted > 0);
  return [
    String(rounds.reduce((sum, { early }) => sum + early, 0)),
    ms(quantile(late, 0.5)),
    ms(quantile(late, 0.99)),
    ms(quantile(late, 1)),
    withSpread(
      rounds.map(({ used }) => used * 100),
      2,
    ),
    withSpread(
      rounds.map(({ commandsPerJob }) => commandsPerJob),
      1,
    ),
    withSpread(
      rounds.map(({ redisMsPerJob }) => redisMsPerJob),
      2,
    ),
    `${Math.max(...rounds.flatMap(({ before }) => before))}${isOpen ? '+' : ''}`,
  ];
}

/** Code that runs twice a second in each pod is compiled late. */
const WARM_MS = 12_000;
const SHORT: Span = { warmMs: 1_500, forMs: 3_000 };
const spanOf = (isQuick: boolean) => (given: Case) => {
  if (isQuick) return SHORT;
  // A window of 5 s comes round three times in 15 s: twice as long gives p99 something to stand on.
  return { warmMs: WARM_MS, forMs: given.cooldownMs < 1_000 ? 15_000 : 30_000 };
};

function notesOf(isQuick: boolean, rounds: number): string[] {
  if (isQuick)
    return [
      `A SHORT RUN of ${SHORT.forMs / 1_000} s after ${SHORT.warmMs / 1_000} s, to see that it works: no figures to judge by.`,
      ...NOTES,
    ];
  return [
    `${rounds} rounds of 15 s (30 s with a cooldown of 5 s) after ${WARM_MS / 1_000} s of warm-up: the first three seconds of a new pod are ten times as late, and its code is compiled by then.`,
    ...NOTES,
  ];
}

export const cooldownBacklogs: Bench = {
  question: 'how late windows are used, and how many commands an act takes, with 100 to 100,000 jobs waiting',
  rounds: 3,
  async run(input) {
    const rows: Row[] = [
      { way: 'ours', given: { cooldownMs: 500, backlog: 100 } },
      { way: 'ours', given: { cooldownMs: 500, backlog: 10_000 } },
      { way: 'ours', given: { cooldownMs: 500, backlog: 100_000 } },
      { way: 'ours', given: { cooldownMs: 5_000, backlog: 10_000 } },
    ];
    return {
      head: ['', ...HEAD],
      rows: await compare(input.isQuick ? rows.slice(0, 2) : rows, spanOf(input.isQuick), input),
      notes: notesOf(input.isQuick, input.rounds),
    };
  },
};

export const cooldownWays: Bench = {
  question: 'the same beside what people do today: a random agent, queue.rateLimit, a delayed job for each slot',
  rounds: 3,
  async run(input) {
    const backlogs = input.isQuick ? [100] : [100, 10_000];
    const rows = backlogs.flatMap((backlog) =>
      (Object.keys(WAYS) as Way[]).map((way): Row => ({ way, given: { cooldownMs: 500, backlog } })),
    );
    return {
      head: ['', ...HEAD],
      rows: await compare(rows, spanOf(input.isQuick), input),
      notes: [
        ...notesOf(input.isQuick, input.rounds),
        'Random agent: a job for any agent draws one at each try, and comes again after Retry-After; 8 at a time in each worker. The upstream is kind: what it refuses closes no window.',
        '`queue.rateLimit`: a calendar of its own in Redis says who is open; if nobody is, the queue is stopped until the next window, by RateLimitError.',
        'A delayed job per slot: the producer gives each job its agent and its instant, cooldown, service and 30 ms after the slot before.',
      ],
    };
  },
};
