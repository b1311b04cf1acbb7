// How far a long order is: on a terminal one line that is redrawn, elsewhere a line every 2 s. On stderr, for stdout belongs to
// the answer.

import type { OperationState } from '../../path/letter-operation.ts';
import type { Clock } from '../../words/clock.ts';
import { formatDuration } from '../../words/duration.ts';

const REDRAW_MS = 100;
const LINE_MS = 2_000;
const BAR = 24;

export interface Progress {
  tell(state: OperationState): void;
  /** Leaves the terminal's line; what follows begins on a new one. */
  end(): void;
}

export function createProgress(
  verb: string,
  stream: { isTTY?: boolean; columns?: number; write(text: string): unknown },
  clock: Clock,
): Progress {
  const isTerminal = stream.isTTY === true;
  const begunAt = clock.mono();
  let toldAt = isTerminal ? Number.NEGATIVE_INFINITY : begunAt;
  let last: OperationState | undefined;

  function draw(state: OperationState): void {
    const text = describe(verb, state, clock.mono() - begunAt, isTerminal);
    // Cut to the terminal's width: a line that wraps cannot be redrawn.
    if (isTerminal) stream.write(`\r\x1b[2K${text.slice(0, (stream.columns ?? 80) - 1)}`);
    else stream.write(`${text}\n`);
  }

  return {
    tell(state) {
      last = state;
      const nowAt = clock.mono();
      if (nowAt - toldAt < (isTerminal ? REDRAW_MS : LINE_MS)) return;
      toldAt = nowAt;
      draw(state);
    },
    end() {
      if (!isTerminal || !last) return;
      draw(last);
      stream.write('\n');
    },
  };
}

/** 'replayed 1200 of 5000 [######------------------] 498/s, 8s left'; of a class, what was looked at stands beside it. */
function describe(verb: string, { done, seen, total }: OperationState, tookMs: number, hasBar: boolean): string {
  const part = total === 0 ? 1 : Math.min(1, seen / total);
  const bar = hasBar ? ` [${'#'.repeat(Math.round(part * BAR)).padEnd(BAR, '-')}]` : '';
  const perSecond = tookMs > 0 ? Math.round((done * 1_000) / tookMs) : 0;
  const left = part > 0 && part < 1 ? `, ${formatDuration((tookMs * (1 - part)) / part)} left` : '';
  const looked = seen === done ? '' : ` (${seen} looked at)`;
  return `${verb} ${done} of ${total}${looked}${bar} ${perSecond}/s${left}`;
}
