// A lasting error is said once and then counted, in whichever lane and by whichever work, and differs by its reason alone.

import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { logEvents } from '../../src/engine/log.ts';
import { createEventHub } from '../../src/words/events.ts';

const WORKS = ['fetch from', 'settle in', 'renew locks of', 'run a job of'];
const OOM = "OOM command not allowed when used memory > 'maxmemory'. script: 5f3a9be1c0de, on @user_script:";

function logged() {
  const lines: Record<string, unknown>[] = [];
  const events = createEventHub();
  logEvents(pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }), events);
  const fail = (what: string, reason: string) => events.emit('redis.failing', { what, reason });
  return { lines, fail };
}

describe('a lasting error', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('of 200 lanes, four works each a second, is a line per work in 10 s, and then one that counts', () => {
    const { lines, fail } = logged();
    for (let second = 0; second < 30; second++) {
      for (let lane = 0; lane < 200; lane++) for (const work of WORKS) fail(`${work} lane-${lane}`, `${OOM}${lane}`);
      for (const work of ['sweep', 'journal', 'heartbeat']) fail(work, OOM);
      vi.advanceTimersByTime(1_000);
    }
    expect(lines.filter(({ msg }) => msg === 'redis.failing')).toHaveLength(7);
    const repeated = lines.filter(({ msg }) => msg === 'redis.failing.repeated');
    expect(repeated).toHaveLength(3 * 7);
    expect(repeated[0]).toMatchObject({ repeated: 1_999, places: 200, what: 'fetch from lane-199' });
  });

  it('that ends is counted to its end, said as new when it comes again, and leaves nothing behind', () => {
    const { lines, fail } = logged();
    for (let n = 0; n < 5; n++) fail('sweep', 'no');
    vi.advanceTimersByTime(20_000);
    expect(lines.map(({ msg, repeated }) => [msg, repeated])).toEqual([
      ['redis.failing', undefined],
      ['redis.failing.repeated', 4],
    ]);
    expect(vi.getTimerCount()).toBe(0);
    fail('sweep', 'no');
    expect(lines).toHaveLength(3);
  });

  it('is told apart by its reason', () => {
    const { lines, fail } = logged();
    for (const reason of ['OOM', 'MISCONF', 'NOREPLICAS']) for (let n = 0; n < 9; n++) fail('fetch from a', reason);
    expect(lines.map(({ reason }) => reason)).toEqual(['OOM', 'MISCONF', 'NOREPLICAS']);
  });

  it('whose reason is new each time cannot fill the log either', () => {
    const { lines, fail } = logged();
    for (let n = 0; n < 5_000; n++) fail('fetch from a', `because of ${String.fromCharCode(0x4e00 + n)}`);
    expect(lines.length).toBeLessThanOrEqual(21);
  });
});
