// The desk hands permits on without a word to the driver, gives back what nobody uses, and stops whoever relies on what was lost.

import { describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/words/clock.ts';
import { aTurn, openDesk } from './open-desk.ts';

describe('a lane with work', () => {
  it('asks for one, then for more as it uses them, and hands a slot on without asking', async () => {
    const { desk, take, asks } = openDesk({});
    const permit = await take(8);
    for (let job = 0; job < 100; job++) expect(permit.renew()).toBe(true);
    expect(asks.map(({ slots }) => slots)).toEqual([1]);
    await take(7);
    await take(6);
    expect(asks.map(({ slots }) => slots)).toEqual([1, 2]);
    permit.giveBack();
    expect(await take(8)).toBeDefined();
    expect(asks.length).toBeLessThanOrEqual(3);
    await desk.stop();
  });

  it('gives back at once what it has no use for, and nothing that is in use', async () => {
    const { desk, lane, take, asks } = openDesk({ tickets: true });
    await take(4);
    await take(4);
    lane.rest();
    await vi.waitFor(() => expect(asks.flatMap(({ freed }) => freed)).toHaveLength(1));
    expect(asks.flatMap(({ unsent }) => unsent).reduce((sum, { count }) => sum + count, 0)).toBe(1);
    await desk.stop();
  });

  it('gives a slot back instead of handing it on while another lane waits', async () => {
    const { desk, take, asks } = openDesk({
      answer: (ask) => ({ slots: ask.slots > 0 ? ['s'] : [], isContended: true }),
    });
    const permit = await take();
    expect(permit.renew()).toBe(false);
    permit.giveBack();
    await vi.waitFor(() => expect(asks.at(-1)?.freed).toHaveLength(1));
    await desk.stop();
  });

  it('is called when something is free, whether the notice comes before the answer or after', async () => {
    let free = 0;
    const { desk, lane, notify } = openDesk({
      answer: (ask) => (ask.slots > 0 && free-- > 0 ? { slots: ['late'] } : { againInMs: 60_000 }),
    });
    const called = vi.fn();
    lane.tryTake(1, called);
    free = 1;
    notify({ kind: 'free', lane: 'a' }); // the first answer is still on its way
    await vi.waitFor(() => expect(called).toHaveBeenCalled());
    expect(lane.tryTake(1, called)).toBeDefined();
    await desk.stop();
  });
});

describe('a notice', () => {
  /** One that overtook its grant, or came twice, once made 1,600 of 1,000. */
  it('grants nothing: what a lane holds is what its answers gave, however often it is told that something is free', async () => {
    let left = 3;
    const { desk, lane, asks, notify } = openDesk({
      answer: ({ slots }) => {
        const given = Math.min(slots, left);
        left -= given;
        return {
          slots: Array.from({ length: given }, (_, n) => `s${left + n}`),
          ...(given < slots && { againInMs: 60_000 }),
        };
      },
    });
    const permits = new Set<unknown>();
    for (let n = 0; n < 40; n++) {
      notify({ kind: 'free', lane: 'a' });
      const permit = lane.tryTake(8, () => {});
      if (permit) permits.add(permit);
      notify({ kind: 'free', lane: 'a' });
      await aTurn();
    }
    expect(permits.size).toBe(3);
    expect(asks.length, 'it asked as it was told').toBeGreaterThan(10);
    await desk.stop();
  });
});

describe('a lane that stands in line for tickets', () => {
  /** A whole window that is sent at one instant blocks the event loop, and tickets run out unsent: 0.78 of the allowance. */
  it('asks for half as many each time it has to wait, and for twice as many each time it has not (twin)', async () => {
    let isFull = false;
    const { desk, lane, asks, notify } = openDesk({
      slots: false,
      tickets: true,
      answer: ({ tickets }) => (isFull ? { againInMs: 60_000 } : { tickets: { batch: 1, count: tickets, forMs: 100 } }),
    });
    const useAll = async () => {
      while (lane.tryTake(64, () => {}));
      await aTurn();
    };
    for (let n = 0; n < 5; n++) await useAll();
    expect(asks.map(({ tickets }) => tickets)).toEqual([1, 2, 4, 8, 16]);
    isFull = true;
    await useAll();
    for (let n = 0; n < 5; n++) {
      notify({ kind: 'free', lane: 'a' });
      await aTurn();
    }
    expect(asks.slice(6).map(({ tickets }) => tickets)).toEqual([16, 8, 4, 2, 1]);
    await desk.stop();
  });

  it('asks no more however often it tries, until it is called or its instant has come', async () => {
    const { desk, lane, asks, notify, clock } = openDesk({
      slots: false,
      tickets: true,
      answer: () => ({ againInMs: 60_000 }),
    });
    const tryOften = async () => {
      for (let n = 0; n < 20; n++) {
        lane.tryTake(4, () => {});
        await aTurn();
      }
    };
    await tryOften();
    expect(asks).toHaveLength(1);
    notify({ kind: 'free', lane: 'a' });
    await tryOften();
    expect(asks).toHaveLength(2);
    const { mono } = clock;
    clock.mono = () => mono() + 60_001;
    lane.tryTake(4, () => {});
    expect(asks).toHaveLength(3);
    await desk.stop();
  });

  it('asks again where it needs a slot too: one may have come back to it', async () => {
    const { desk, lane, asks } = openDesk({ tickets: true, answer: () => ({ againInMs: 60_000 }) });
    for (let n = 0; n < 3; n++) {
      lane.tryTake(4, () => {});
      await aTurn();
    }
    expect(asks.length).toBeGreaterThan(1);
    await desk.stop();
  });
});

describe('a permit', () => {
  it('that was lost stops whoever relies on it, and is never handed on', async () => {
    const { desk, lane, take, clock, signal } = openDesk({});
    const permit = await take();
    const stopped = vi.fn();
    permit.onLost(stopped);
    const from = systemClock.mono();
    clock.mono = () => from + 60_000; // the pod was frozen for a minute
    lane.keep();
    expect(stopped).toHaveBeenCalledOnce();
    expect(permit.renew()).toBe(false);
    await expect(permit.toSend(1_000, signal)).rejects.toThrow(/ran out/);
    await desk.stop();
  });

  it('covers a request for as long as its answer may take', async () => {
    const { desk, take, extended, signal } = openDesk({});
    const permit = await take();
    const short = await permit.toSend(5_000, signal);
    short.ended(false);
    expect(extended).toEqual([]);
    const long = await permit.toSend(60_000, signal);
    expect(extended[0]?.forMs).toBeGreaterThanOrEqual(60_000);
    long.ended(false);
    await desk.stop();
  });

  it('covers the requests of the next second with it', async () => {
    const { desk, take, extended, clock, signal } = openDesk({});
    const permit = await take();
    const from = systemClock.mono();
    const send = async (atMs: number) => {
      clock.mono = () => from + atMs;
      (await permit.toSend(60_000, signal)).ended(false);
    };
    for (const atMs of [0, 300, 600, 900]) await send(atMs);
    expect(extended).toHaveLength(1);
    await send(2_000);
    expect(extended, 'twin: what is not covered is asked for').toHaveLength(2);
    await desk.stop();
  });

  it.each([
    [1, [1, 1, 1]],
    [2, [2, 2, 1]],
  ])('with %i slots lets so many requests go at a time', async (requests, most) => {
    const { desk, take, signal } = openDesk({ requests });
    const permit = await take();
    let open_ = 0;
    const seen: number[] = [];
    await Promise.all(
      [1, 2, 3].map(async () => {
        const sending = await permit.toSend(1_000, signal);
        open_++;
        await aTurn();
        seen.push(open_);
        open_--;
        sending.ended(false);
      }),
    );
    expect(Math.max(...seen)).toBe(Math.max(...most));
    await desk.stop();
  });

  it('is kept until its last request has ended, and a little longer when that was cut', async () => {
    const { desk, lane, take, asks, signal } = openDesk({});
    const permit = await take();
    const sending = await permit.toSend(1_000, signal);
    permit.giveBack();
    lane.rest();
    for (let turn = 0; turn < 5; turn++) await aTurn();
    expect(asks.flatMap(({ freed }) => freed)).toEqual([]);
    sending.ended(true);
    await vi.waitFor(() => expect(asks.flatMap(({ freed }) => freed)).toHaveLength(1));
    await desk.stop();
  });

  it('spends its ticket on the first request, takes another for each more, and tells when they arrived', async () => {
    const { desk, take, asks, signal } = openDesk({ tickets: true });
    const permit = await take();
    for (let request = 0; request < 3; request++) {
      const sending = await permit.toSend(1_000, signal);
      sending.answered();
      sending.ended(false);
    }
    expect(asks.reduce((sum, { tickets }) => sum + tickets, 0)).toBe(3);
    await vi.waitFor(() => expect(asks.flatMap(({ sent }) => sent)).toHaveLength(3));
    await desk.stop();
  });

  it('keeps a ticket that was not sent for the next job, while it is good', async () => {
    const { desk, take, asks, signal } = openDesk({ tickets: true });
    const permit = await take();
    (await permit.toSend(1_000, signal)).unsent();
    expect(permit.renew()).toBe(true);
    expect(asks).toHaveLength(1);
    await desk.stop();
  });
});

describe('a pod that leaves', () => {
  it('gives back the slot of a request that it cut', async () => {
    const { desk, take, asks, signal } = openDesk({});
    const permit = await take();
    const sending = await permit.toSend(60_000, signal);
    const stopping = desk.stop();
    permit.giveBack();
    sending.ended(true);
    await stopping;
    expect(asks.flatMap(({ freed }) => freed)).toHaveLength(1);
  });
});

describe('a request beyond the first', () => {
  it('that could not be answered in time parks instead of waiting', async () => {
    let tickets = 1;
    const { desk, take, signal } = openDesk({
      tickets: true,
      answer: (ask) => ({
        slots: Array.from({ length: ask.slots }, (_, n) => `s${n}`),
        ...(tickets-- > 0 ? { tickets: { batch: 1, count: 1, forMs: 100 } } : { againInMs: 60_000 }),
      }),
    });
    const permit = await take();
    (await permit.toSend(1_000, signal)).ended(false);
    await expect(permit.toSend(1_000, signal)).rejects.toMatchObject({ class: 'rate-limit' });
    await expect(permit.toSend(1_000, AbortSignal.abort(new Error('over')))).rejects.toThrow('over');
    await desk.stop();
  });
});

describe('a lane that rests', () => {
  it('leaves the line', async () => {
    const { desk, lane, asks } = openDesk({ answer: (ask) => (ask.slots > 0 ? { againInMs: 60_000 } : {}) });
    lane.tryTake(1, () => {});
    await lane.answered();
    lane.rest();
    await vi.waitFor(() => expect(asks.map(({ slots }) => slots)).toEqual([1, 0]));
    await desk.stop();
  });
});

describe('a ticket in the hands of a handler that computes', () => {
  it('counts no more when it has run out', async () => {
    const { desk, take, asks } = openDesk({ tickets: true });
    await take();
    await vi.waitFor(() => expect(asks.flatMap(({ unsent }) => unsent)).toHaveLength(1));
    await desk.stop();
  });
});

describe('an upstream that holds everybody', () => {
  it('gets nothing from any lane of the pod until then, and then they are called', async () => {
    const { desk, lane, take, asks, signal } = openDesk({ tickets: true });
    const permit = await take();
    desk.hold(80, '429');
    expect(permit.renew()).toBe(false);
    const before = asks.reduce((sum, { tickets }) => sum + tickets, 0);
    const called = vi.fn();
    expect(lane.tryTake(1, called)).toBeUndefined();
    expect(asks.reduce((sum, { tickets }) => sum + tickets, 0)).toBe(before);
    const from = systemClock.mono();
    (await permit.toSend(1_000, signal)).unsent();
    expect(systemClock.mono() - from).toBeGreaterThan(60);
    await vi.waitFor(() => expect(called).toHaveBeenCalled());
    await desk.stop();
  });

  it('gets going again by itself where a lane already waited when the word came', async () => {
    const { desk, lane, notify } = openDesk({ answer: () => ({ againInMs: 60_000 }) });
    const called = vi.fn();
    lane.tryTake(1, called);
    await aTurn(); // it has its answer: nothing is free
    notify({ kind: 'held', forMs: 50 });
    expect(called).not.toHaveBeenCalled();
    await vi.waitFor(() => expect(called).toHaveBeenCalled());
    await desk.stop();
  });

  it.each([
    ['is told so by the next answer, when the notice was lost', 60_000],
    ['twin: would go on without it', undefined],
  ])('%s', async (_, heldMs) => {
    let asked = 0;
    const { desk, lane, take, signal } = openDesk({
      answer: () => (asked++ === 0 ? { slots: ['s'] } : { againInMs: 60_000, heldMs }),
    });
    const permit = await take();
    lane.tryTake(1, () => {});
    await lane.answered();
    expect(permit.renew()).toBe(heldMs === undefined);
    const sent = permit.toSend(1_000, signal).then((sending) => sending.ended(false));
    if (heldMs === undefined) await sent;
    else await expect(sent).rejects.toMatchObject({ class: 'rate-limit' });
    await desk.stop();
  });

  it('for longer than an attempt lives: it parks until then', async () => {
    const { desk, take, signal } = openDesk({});
    const permit = await take();
    desk.hold(60_000, '429');
    await expect(permit.toSend(1_000, signal)).rejects.toMatchObject({
      class: 'rate-limit',
      retryAfterAt: expect.any(Number),
    });
    await desk.stop();
  });
});
