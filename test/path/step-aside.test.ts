// A permit whose attempt waits for something else: its slots are others' meanwhile, and it stands in line for new ones.

import { describe, expect, it } from 'vitest';
import { HeldPermit, type PermitHome, type Slot } from '../../src/path/held-permit.ts';
import { PermitLine } from '../../src/path/permit-line.ts';
import { systemClock } from '../../src/words/clock.ts';
import { rejection } from './looking.ts';

/** A home with as many slots as the test serves, that writes down which come back and how. */
function open() {
  const line = new PermitLine<Slot[]>(systemClock);
  const log: string[] = [];
  const slot = (id: string): Slot => ({
    id,
    untilMono: systemClock.mono() + 60_000,
    namedMono: 0,
    holder: undefined,
  });
  const note = (what: string, slots: readonly Slot[]) => void log.push([what, ...slots.map(({ id }) => id)].join(' '));
  const home: PermitHome = {
    upstream: 'u',
    clock: systemClock,
    travelMs: 0,
    requests: 2,
    needsTickets: false,
    heldUntilMono: 0,
    mayHandOn: () => true,
    takeTicket: () => undefined,
    nextTicket: () => Promise.reject(new Error('expected no ask for a ticket')),
    wantAhead() {},
    unsent() {},
    arrived() {},
    extend: async () => true,
    stepAside: (_, slots) => note('aside', slots),
    nextSlots: (forMs, signal) => line.join(forMs, signal),
    takeBack: (_, slots) => note('back', slots),
    hold() {},
  };
  const permit = new HeldPermit(home, [slot('s1')], undefined);
  return { permit, line, log, serve: (id: string) => line.serve([slot(id)]), signal: new AbortController().signal };
}

describe('a permit', () => {
  it('that steps aside gives its slots to others, and sends with new ones', async () => {
    const { permit, line, log, serve, signal } = open();
    permit.stepAside();
    permit.stepAside();
    expect(log).toEqual(['aside s1']);
    expect(permit.renew(), 'it holds nothing that the next job could have').toBe(false);
    const sending = permit.toSend(1_000, signal);
    await expect.poll(() => line.length).toBe(1);
    serve('s2');
    (await sending).ended(false);
    permit.giveBack();
    expect(log).toEqual(['aside s1', 'back s2']);
  });

  it('with a request under way keeps what that relies on', async () => {
    const { permit, log, signal } = open();
    const sending = await permit.toSend(1_000, signal);
    permit.stepAside();
    expect(log).toEqual([]);
    sending.ended(false);
    permit.stepAside();
    expect(log).toEqual(['aside s1']);
  });

  it('whose attempt ends meanwhile gives back what it gets after all', async () => {
    const { permit, line, log, serve, signal } = open();
    permit.stepAside();
    const sending = permit.toSend(1_000, signal);
    await expect.poll(() => line.length).toBe(1);
    permit.giveBack();
    expect(log).toEqual(['aside s1']);
    serve('s2');
    (await sending).unsent();
    expect(log).toEqual(['aside s1', 'back s2']);
  });

  it('comes back once for all its requests, also when one of them is aborted', async () => {
    const { permit, line, serve, signal } = open();
    permit.stepAside();
    const aborted = new AbortController();
    const first = rejection(permit.toSend(1_000, aborted.signal));
    const second = permit.toSend(1_000, signal);
    await expect.poll(() => line.length).toBe(1);
    aborted.abort(new Error('enough'));
    expect(await first).toMatchObject({ message: 'enough' });
    await expect.poll(() => line.length).toBe(1);
    serve('s2');
    expect((await second).untilMono).toBeGreaterThan(systemClock.mono());
  });
});

describe('a line', () => {
  it('serves who came first, and forgets who left', async () => {
    const line = new PermitLine<string>(systemClock);
    const leaving = new AbortController();
    const { signal } = new AbortController();
    const left = rejection(line.join(1_000, leaving.signal));
    const [second, third] = [line.join(1_000, signal), line.join(1_000, signal)];
    leaving.abort(new Error('left'));
    expect(await left).toMatchObject({ message: 'left' });
    line.serve('a');
    line.serve('b');
    expect([await second, await third, line.length]).toEqual(['a', 'b', 0]);
  });

  it('refuses those who would wait for longer than they may', async () => {
    const line = new PermitLine<string>(systemClock);
    const { signal } = new AbortController();
    const [short, long] = [rejection(line.join(100, signal)), line.join(60_000, signal)];
    line.refuseLate(1_000, () => new Error('too long'));
    expect(await short).toMatchObject({ message: 'too long' });
    line.serve('a');
    expect(await long).toBe('a');
  });
});
