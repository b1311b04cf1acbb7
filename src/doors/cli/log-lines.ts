// A child's JSON log line as people read it on a terminal; for machines it passes as it is, so that one collector serves all.

import { styleText } from 'node:util';
import type { Style } from './print.ts';

const LEVELS: Record<number, [string, Style]> = {
  10: ['trace', 'dim'],
  20: ['debug', 'dim'],
  30: ['info', 'green'],
  40: ['warn', 'yellow'],
  50: ['error', 'red'],
  60: ['fatal', 'red'],
};

const OUTCOME_STYLE: Record<string, Style> = { done: 'green', retry: 'yellow', park: 'cyan', dead: 'red' };

export function createLineFormat(stream: NodeJS.WriteStream): (child: string, line: string) => string {
  if (!stream.isTTY) return (_child, line) => line;
  const paint = (style: Style, text: string) => (process.env.NO_COLOR ? text : styleText(style, text));
  return (child, line) => {
    let entry: Record<string, unknown>;
    try {
      entry = JSON.parse(line) as Record<string, unknown>;
    } catch {
      return `${paint('dim', child.padEnd(6))} ${line}`;
    }
    const { level, time, msg, who: _who, pid: _pid, ...facts } = entry;
    const [, style] = LEVELS[level as number] ?? ['', 'dim'];
    const head = `${paint('dim', String(time).slice(11, 23))} ${paint('dim', child.padEnd(6))}`;
    if (msg === 'attempt.finished') return `${head} ${sayAttempt(facts, paint)}`;
    const rest = Object.entries(facts).map(
      ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
    );
    return `${head} ${paint(style, String(msg))} ${rest.join(' ')}`;
  };
}

function sayAttempt(facts: Record<string, unknown>, paint: (style: Style, text: string) => string): string {
  const { lane, job, outcome, class: ofClass, gate, reason, untilAt, durationMs, agent, attempt } = facts;
  const what = paint(OUTCOME_STYLE[String(outcome)] ?? 'dim', String(outcome).padEnd(5));
  const until = typeof untilAt === 'number' ? ` until ${new Date(untilAt).toTimeString().slice(0, 8)}` : '';
  const why = outcome === 'done' ? '' : ` ${ofClass ?? gate ?? ''}${until}: ${reason}`;
  const as = agent ? ` as ${agent}` : '';
  return `${what} ${lane} ${paint('dim', String(job))}${as} attempt ${attempt} ${Math.round(Number(durationMs))} ms${why}`;
}
