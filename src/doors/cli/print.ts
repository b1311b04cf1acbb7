// How the command line speaks: tables and colour for people, JSON for machines, one line for an error.

import { styleText } from 'node:util';
import { toInstant } from '../../words/clock.ts';
import { formatDuration } from '../../words/duration.ts';
import { escapeChar } from '../../words/errors.ts';

export type Style = Parameters<typeof styleText>[0];

export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return stream.isTTY && !process.env.NO_COLOR ? styleText(style, text) : text;
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One value per call, whole: a program reading it needs no stream parser. Instants become RFC 3339. */
export function sayJson(value: unknown): void {
  say(toJson(value));
}

/** What others wrote is told as they wrote it: a payload's `createdAt` is a number for whoever adds it again. */
const OF_OTHERS = new Set(['payload', 'result', 'meta', 'progress']);

export function toJson(value: unknown): string {
  const asWritten = new WeakSet<object>();
  const text = JSON.stringify(value, function (this: object, key, one) {
    if (asWritten.has(this) || OF_OTHERS.has(key)) {
      if (typeof one === 'object' && one !== null) asWritten.add(one);
      return one;
    }
    return /^at$|At$/.test(key) && typeof one === 'number' ? toInstant(one) : one;
  });
  // JSON leaves DEL and the controls above it as they are; 0x9b alone begins a command to a terminal.
  return text.replace(/[\x7f-\x9f]/g, escapeChar);
}

/** What is not the answer: progress, hints, warnings. Never on stdout. */
export function hint(text: string): void {
  process.stderr.write(`${paint('dim', text, process.stderr)}\n`);
}

/** Whatever is in it, one line that a terminal may show; of a longer one than `max` its ends, where what and why stand. */
export function toOneLine(text: string, max = Number.POSITIVE_INFINITY): string {
  const line = printable(text.replace(/\s*[\n\r\u2028\u2029]\s*/g, ' ').trim());
  return line.length > max ? `${line.slice(0, max / 2)} ... ${line.slice(-max / 2)}` : line;
}

export function warn(text: string): void {
  process.stderr.write(`${paint('yellow', 'warning:', process.stderr)} ${text}\n`);
}

export function sayTable(columns: readonly string[], rows: readonly (readonly unknown[])[]): void {
  const cells = rows.map((row) => row.map((cell) => oneLine(cell)));
  const widths = columns.map((title, index) => Math.max(title.length, ...cells.map((row) => row[index]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd();
  say(paint('bold', line(columns)));
  for (const row of cells) say(line(row));
}

/** Names and values side by side; a value of several lines is indented under its name. */
export function sayFacts(facts: readonly (readonly [string, unknown])[]): void {
  const width = Math.max(...facts.map(([name]) => name.length));
  for (const [name, value] of facts) {
    if (value === null || value === undefined || value === '') continue;
    const text = String(value)
      .split('\n')
      .map(printable)
      .join(`\n${' '.repeat(width + 2)}`);
    say(`${paint('bold', name.padEnd(width))}  ${text}`);
  }
}

/** Control characters in a payload, an id or an error must not reach the terminal that shows it. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function oneLine(value: unknown): string {
  const text = value === null || value === undefined ? '-' : String(value);
  return printable(text.length > 100 ? `${text.slice(0, 97)}...` : text);
}

/** '14:03:05 (in 2m)', '14:03:05 (5s ago)': what a tired person needs of an instant. */
export function when(at: number | null, nowAt: number): string | null {
  if (at === null) return null;
  const distance = at - nowAt;
  const instant = toInstant(at);
  if (instant === null) return 'never'; // beyond any calendar: a plain producer's delay of 1e20 ms
  const clock = new Date(at).toTimeString().slice(0, 8);
  const day = Math.abs(distance) > 12 * 3_600_000 ? `${instant.slice(0, 10)} ` : '';
  return `${day}${clock} (${distance >= 0 ? `in ${formatDuration(distance)}` : `${formatDuration(-distance)} ago`})`;
}
