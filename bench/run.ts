// `npm run bench -- NAME [--rounds N] [--size N] [--quick] [--write]`: runs one bench, or several, against one Redis. Progress goes to
// stderr, the table to stdout; nothing is written unless --write, which replaces that bench's section of RESULTS.md.

import { parseArgs } from 'node:util';
import { build } from '../scripts/prepare.js';
import { adding } from './adding.ts';
import type { Bench } from './bench.ts';
import { cooldownBacklogs, cooldownWays } from './cooldown.ts';
import { cooldownIdle } from './cooldown-idle.ts';
import { cooldownKilled } from './cooldown-killed.ts';
import { cooldownPicture } from './cooldown-picture.ts';
import { idleLanes } from './idle-lanes.ts';
import { incident } from './incident.ts';
import { journalCost, journalReading } from './journal.ts';
import { latency } from './latency.ts';
import { limitGoodput } from './limit-goodput.ts';
import { limitHeadroom } from './limit-headroom.ts';
import { limitStorm } from './limit-storm.ts';
import { memory } from './memory.ts';
import { processing } from './processing.ts';
import { describeMachine, toTable, writeSection } from './report.ts';
import { openStore } from './store.ts';

const THROUGHPUT: Record<string, Bench> = { processing, adding, latency, memory, 'idle-lanes': idleLanes };
const LIMITS: Record<string, Bench> = {
  'limit-goodput': limitGoodput,
  'limit-headroom': limitHeadroom,
  'limit-storm': limitStorm,
};
const COOLDOWN: Record<string, Bench> = {
  'cooldown-backlogs': cooldownBacklogs,
  'cooldown-ways': cooldownWays,
  'cooldown-idle': cooldownIdle,
  'cooldown-killed': cooldownKilled,
  'cooldown-picture': cooldownPicture,
};
const JOURNAL: Record<string, Bench> = { 'journal-cost': journalCost, 'journal-reading': journalReading };
const BENCHES: Record<string, Bench> = { ...THROUGHPUT, ...LIMITS, ...COOLDOWN, ...JOURNAL, incident };
const GROUPS: Record<string, string[]> = {
  throughput: Object.keys(THROUGHPUT),
  limits: Object.keys(LIMITS),
  cooldown: Object.keys(COOLDOWN),
  journal: Object.keys(JOURNAL),
  all: Object.keys(BENCHES),
};
const ROUNDS = 7;
const QUICK_ROUNDS = 3;

const USAGE = [
  'npm run bench -- NAME [--rounds N] [--size N (journal: jobs or entries)] [--quick] [--write]',
  ...Object.entries(BENCHES).map(([name, { question }]) => `  ${name.padEnd(19)}${question}`),
  ...Object.entries(GROUPS).map(([name, members]) => `  ${name.padEnd(19)}${members.join(', ')}`),
].join('\n');

const say = (line: string) => process.stderr.write(`${line}\n`);

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      size: { type: 'string' },
      quick: { type: 'boolean' },
      write: { type: 'boolean' },
    },
  });
  const [name, ...more] = positionals;
  const chosen = GROUPS[name ?? ''] ?? (name !== undefined && name in BENCHES ? [name] : undefined);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  const size = values.size === undefined ? undefined : Number(values.size);
  if (name === undefined) {
    console.log(USAGE);
    return 0;
  }
  if (!chosen || more.length > 0 || (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0))) {
    say(`expected the name of a bench, and a whole number of rounds\n${USAGE}`);
    return 2;
  }
  const unsized = chosen.find((each) => !BENCHES[each]?.size);
  if (size !== undefined && (unsized || !(Number.isInteger(size) && size >= 1_000 && size % 1_000 === 0))) {
    say(
      `--size: expected thousands, of a bench that has a size, got ${values.size}${unsized ? ` for ${unsized}` : ''}`,
    );
    return 2;
  }
  build();
  const store = await openStore(say);
  try {
    const machine = await describeMachine(store);
    for (const each of chosen) {
      const { question, run, rounds: usual = ROUNDS, size: sizes } = BENCHES[each] as Bench;
      const isQuick = values.quick ?? false;
      const findings = await run({
        store,
        rounds: rounds ?? (isQuick ? QUICK_ROUNDS : usual),
        size: size ?? (isQuick ? sizes?.quick : sizes?.usual) ?? Number.NaN,
        isQuick,
        say,
      });
      console.log(`\n${each}: ${question}\n${toTable(findings)}\n  ${machine}`);
      if (values.write) {
        const command = ['npm run bench --', ...process.argv.slice(2)].join(' ');
        writeSection({ name: each, question, findings, machine, command });
      }
    }
  } finally {
    await store.stop();
  }
  return 0;
}

process.exitCode = await main();
