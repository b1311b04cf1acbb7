// What a bench found, for the terminal and for RESULTS.md, where each bench owns the lines between its two markers.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../scripts/prepare.js';
import type { Store } from './store.ts';

export interface Findings {
  head: string[];
  rows: string[][];
  /** What a reader must know to believe the rows. */
  notes: string[];
  /** Files of bench/ that go with it: name to text. Written with --write. */
  files?: Record<string, string>;
}

const RESULTS = join(ROOT, 'bench', 'RESULTS.md');

export function toTable({ head, rows, notes }: Findings): string {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  const line = (row: string[]) => row.map((cell, column) => cell.padEnd(widths[column] as number)).join('  ');
  return [line(head), ...rows.map(line), ...notes.map((note) => `  ${note}`)].join('\n');
}

/** Where and with what: without it a figure means nothing. No host name. */
export async function describeMachine(store: Store): Promise<string> {
  const require = createRequire(import.meta.url);
  const version = (name: string) => (require(`${name}/package.json`) as { version: string }).version;
  const gib = (totalmem() / 2 ** 30).toFixed(1);
  const info = await store.info('server');
  const redis = `Redis ${info.get('redis_version')}`;
  const parts = [
    `${cpus().length} cores of ${cpus()[0]?.model.trim()}`,
    `${gib} GiB`,
    osName(),
    `Node ${process.versions.node}`,
  ];
  return [...parts, redis, `bullmq ${version('bullmq')}`, `ioredis ${version('ioredis')}`].join(', ');
}

function osName(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? process.platform;
  } catch {
    return `${process.platform} ${execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim()}`;
  }
}

export interface Section {
  name: string;
  question: string;
  findings: Findings;
  machine: string;
  command: string;
}

export function writeSection({ name, question, findings, machine, command }: Section): void {
  const row = (cells: string[]) => `| ${cells.join(' | ')} |`;
  const body = [
    `Question: ${question}.`,
    '',
    row(findings.head),
    row(findings.head.map(() => '---')),
    ...findings.rows.map(row),
    '',
    ...findings.notes.map((note) => `- ${note}`),
    `- ${new Date().toISOString().slice(0, 10)}, \`${command}\`; ${machine}.`,
  ].join('\n');
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const text = readFileSync(RESULTS, 'utf8');
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  const section = `${begin}\n${body}\n${end}`;
  const next =
    from < 0 || to < 0
      ? `${text.trimEnd()}\n\n## ${name}\n\n${section}\n`
      : text.slice(0, from) + section + text.slice(to + end.length);
  writeFileSync(RESULTS, next);
  for (const [file, content] of Object.entries(findings.files ?? {})) {
    writeFileSync(join(ROOT, 'bench', file), content);
  }
}
