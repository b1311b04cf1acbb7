// A permit that grants what it is told to and writes down what becomes of each sending; and an attempt that holds it.

import { expect, vi } from 'vitest';
import { Attempt } from '../../src/path/attempt.ts';
import { defineLane } from '../../src/path/lane.ts';
import type { Permit, Sending } from '../../src/path/permit.ts';
import { createRequest } from '../../src/path/request.ts';
import { defineUpstream } from '../../src/path/upstream.ts';
import type { FetchedJob } from '../../src/store/lane-queue.ts';
import { systemClock } from '../../src/words/clock.ts';
import { RETRYING } from './looking.ts';

export interface FakePermit extends Permit {
  /** In order, with the number of the sending: 'asked 1', 'answered 1', 'ended 1', 'cut 1', 'unsent 1'. */
  readonly log: string[];
  readonly holds: { forMs: number; reason: string }[];
  readonly askedForMs: number[];
}

/** `lastsMs` of the n-th sending, from 1; Infinity is the twin that never runs out. */
export function createFakePermit(lastsMs: (n: number) => number | Promise<number> = () => 60_000): FakePermit {
  const log: string[] = [];
  const holds: FakePermit['holds'] = [];
  const askedForMs: number[] = [];
  return {
    log,
    holds,
    askedForMs,
    stepAside() {},
    hold: (forMs, reason) => void holds.push({ forMs, reason }),
    async toSend(forMs, signal): Promise<Sending> {
      signal.throwIfAborted();
      askedForMs.push(forMs);
      const n = askedForMs.length;
      const note = (what: string) => void log.push(`${what} ${n}`);
      note('asked');
      const untilMono = systemClock.mono() + (await lastsMs(n));
      return {
        untilMono,
        unsent: () => note('unsent'),
        answered: () => note('answered'),
        ended: (wasCut) => note(wasCut ? 'cut' : 'ended'),
      };
    },
  };
}

export function createLimited(url: string, permit: Permit | undefined, timeoutMs = 60_000) {
  const lane = defineLane({
    name: 'calls',
    timeout: timeoutMs,
    upstream: defineUpstream({ name: 'api', baseUrl: url }),
  });
  const raw = { id: 'j1', data: 'null', attemptsMade: 0, attemptsStarted: 1, timestamp: 0 } as unknown as FetchedJob;
  const attempt = new Attempt(lane, raw, 'token', systemClock.mono(), systemClock);
  attempt.permit = permit;
  return { attempt, request: createRequest(attempt, systemClock) };
}

export async function untilLog(log: readonly string[], expected: string[]): Promise<void> {
  await vi.waitFor(() => expect(log).toEqual(expected), RETRYING);
}
