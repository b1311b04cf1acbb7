// How far a long order is: a line that is redrawn where somebody looks, a line every 2 s where a file does.

import { describe, expect, it } from 'vitest';
import { createProgress } from '../../src/doors/cli/progress.ts';

const state = (seen: number, done = seen) => ({
  operation: 'o_1',
  total: 1_000,
  seen,
  done,
  skipped: 0,
  isStopped: false,
});

function telling(isTTY: boolean, columns = 120) {
  let nowAt = 0;
  let written = '';
  const clock = { now: () => nowAt, mono: () => nowAt };
  const write = (chunk: string) => {
    written += chunk;
  };
  const stream = { isTTY, columns, write };
  const progress = createProgress('replayed', stream, clock);
  const at = (ms: number, seen: number, done = seen) => {
    nowAt = ms;
    progress.tell(state(seen, done));
  };
  return { progress, at, written: () => written };
}

describe('on a terminal', () => {
  it('one line is redrawn, ten times a second at the most, and left when it ends', () => {
    const { progress, at, written } = telling(true);
    at(0, 0);
    at(50, 25);
    at(500, 250);
    at(2_000, 1_000);
    progress.end();
    const draws = written().split('\r\x1b[2K').slice(1);
    expect(draws).toEqual([
      'replayed 0 of 1000 [------------------------] 0/s',
      'replayed 250 of 1000 [######------------------] 500/s, 2s left',
      'replayed 1000 of 1000 [########################] 500/s',
      'replayed 1000 of 1000 [########################] 500/s\n',
    ]);
  });

  it('it never wraps: a line that does cannot be redrawn', () => {
    const { at, written } = telling(true, 30);
    at(0, 500);
    expect(written()).toBe('\r\x1b[2Kreplayed 500 of 1000 [#######');
  });

  it('of one class says what was looked at beside what was done', () => {
    const { at, written } = telling(true);
    at(1_000, 500, 20);
    expect(written()).toContain('replayed 20 of 1000 (500 looked at) [############------------] 20/s, 1s left');
  });
});

describe('elsewhere', () => {
  it('a line every 2 s, none for what takes less', () => {
    const { progress, at, written } = telling(false);
    at(100, 100);
    at(1_900, 300);
    expect(written()).toBe('');
    at(2_000, 400);
    at(3_000, 500);
    at(4_100, 600);
    progress.end();
    expect(written()).toBe('replayed 400 of 1000 200/s, 3s left\nreplayed 600 of 1000 146/s, 3s left\n');
  });
});
