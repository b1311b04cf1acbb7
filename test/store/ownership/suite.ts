// What both drivers of owners' leases are held to, on real servers.

import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { describe, expect, vi } from 'vitest';
import { readBatch } from '../../../src/store/journal-stream.ts';
import type { OwnerLocks, TakeAsk } from '../../../src/store/ownership/owner-locks.ts';
import type { Keys } from '../../../src/words/keys.ts';
import type { OwnerGroup } from '../../../src/words/owner.ts';
import { it, type World } from '../../support/world.ts';

export interface Bench {
  /** Two clients that know nothing of each other. */
  locks: OwnerLocks;
  others: OwnerLocks;
  /** Where leases are kept: the record first. */
  servers: Redis[];
}

export const GROUP: OwnerGroup = {
  address: { tag: 'forum', name: null },
  lane: 'publish',
  lanes: { publish: 'park', reply: 'drain' },
};

export const ask = (as: string, more: Partial<TakeAsk> = {}): TakeAsk => ({
  as,
  by: 'ann@desk',
  reason: 'a test',
  termMs: 10_000,
  hold: '',
  isForced: false,
  floor: 0,
  ...more,
});

export async function granted(locks: OwnerLocks, asked: TakeAsk) {
  const reply = await locks.take(GROUP, asked);
  if (reply.kind !== 'granted') throw new Error(`not granted: ${JSON.stringify(reply)}`);
  return reply;
}

/** Every key with what is in it. */
export async function dumpOf(servers: readonly Redis[], prefix: string): Promise<string> {
  const parts: string[] = [];
  for (const redis of servers) {
    for (const key of (await redis.keys(`${prefix}:*`)).sort()) {
      parts.push(`${key} ${(await redis.dumpBuffer(key))?.toString('base64')}`);
    }
  }
  return parts.join('\n');
}

export async function journalOf(redis: Redis, keys: Keys, tag = 'forum') {
  const entries = await redis.xrange(keys.journal(tag), '-', '+');
  return entries.flatMap(([id, fields]) => readBatch(id, fields));
}

export interface Contended {
  rounds: number;
  /** In which somebody got it. In the others each got a minority, again and again, and gave it back. */
  granted: number;
  /** In which two got it, and tokens that were lower than one before: there are none. */
  both: number;
  fell: number;
}

/** Cron and manual take it at once, and who got it gives it back: a round. */
export async function contend(
  locks: OwnerLocks,
  others: OwnerLocks,
  goesOn: (round: number) => boolean,
): Promise<Contended> {
  const seen = { rounds: 0, granted: 0, both: 0, fell: 0 };
  let last = 0;
  for (; goesOn(seen.rounds); seen.rounds++) {
    const replies = await Promise.all([
      locks.take(GROUP, ask('cron')),
      others.take(GROUP, ask('manual', { by: `p${randomBytes(2).toString('hex')}` })),
    ]);
    const won = [locks, others].flatMap((by, place) => {
      const reply = replies[place];
      return reply?.kind === 'granted' ? [{ by, lease: reply.lease }] : [];
    });
    if (won.length > 0) seen.granted++;
    if (won.length > 1) seen.both++;
    for (const { by: whose, lease } of won) {
      if (lease.token <= last) seen.fell++;
      last = Math.max(last, lease.token);
      const { as, by, token } = lease;
      expect((await whose.release(GROUP, { as, by, token, why: 'next' })).kind).toBe('released');
    }
  }
  return seen;
}

export function ownerLocksSuite(driver: string, open: (world: World) => Promise<Bench>, rounds: number): void {
  describe(`an owner's lease, by ${driver}`, () => {
    it('is granted where nobody has it, kept by its owner with a new term, and told each time', async ({ world }) => {
      const { locks, others, servers } = await open(world);
      const first = await granted(locks, ask('manual'));
      expect(first).toMatchObject({ isSame: false, displaced: undefined, lanes: ['publish', 'reply'], stopped: 0 });
      expect(first.lease).toMatchObject({ as: 'manual', by: 'ann@desk', isLive: true, hold: '' });
      const again = await granted(others, ask('manual', { termMs: 20_000, reason: 'more of it' }));
      expect(again.isSame).toBe(true);
      expect(again.lease).toMatchObject({
        token: first.lease.token,
        sinceAt: first.lease.sinceAt,
        reason: 'more of it',
      });
      expect(again.lease.untilAt - first.lease.untilAt).toBeGreaterThan(8_000);
      expect((await others.look(GROUP)).lease).toMatchObject({
        token: first.lease.token,
        untilAt: again.lease.untilAt,
      });
      const told = await journalOf(servers[0] as Redis, world.keys);
      expect(told).toMatchObject([
        { what: 'lane.taken', lane: 'publish', lanes: ['publish', 'reply'], as: 'manual', isSame: false, from: null },
        { what: 'lane.taken', who: 'ann@desk', reason: 'more of it', isSame: true, token: String(first.lease.token) },
      ]);
    });

    it.for([
      ['another part', { as: 'cron' }],
      ['the same part of another person', { by: 'bob@desk' }],
    ] as const)('is refused to %s, with who has it, and nothing is written', async ([_, other], { world }) => {
      const { locks, others, servers } = await open(world);
      const { lease } = await granted(locks, ask('manual'));
      const before = await dumpOf(servers, world.prefix);
      const refused = await others.take(GROUP, { ...ask('manual'), ...other });
      expect(refused).toMatchObject({ kind: 'owned', lease: { as: 'manual', by: 'ann@desk', reason: 'a test' } });
      expect(refused.lease).toMatchObject({ untilAt: lease.untilAt, sinceAt: lease.sinceAt });
      expect(await dumpOf(servers, world.prefix)).toBe(before);
    });

    it('is taken by force, with a higher token, and whom it was taken from is told and journalled', async ({
      world,
    }) => {
      const { locks, others, servers } = await open(world);
      const first = await granted(locks, ask('cron', { reason: 'at 3' }));
      const forced = await granted(others, ask('manual', { isForced: true, reason: 'backfill' }));
      expect(forced.displaced).toMatchObject({ as: 'cron', by: 'ann@desk', reason: 'at 3' });
      expect(forced.lease.token).toBeGreaterThan(first.lease.token);
      const claim = { as: 'cron', by: 'ann@desk', token: first.lease.token, hold: '' };
      expect(await locks.renew(GROUP, claim, 10_000)).toMatchObject({ kind: 'lost', lease: { as: 'manual' } });
      expect(await journalOf(servers[0] as Redis, world.keys)).toMatchObject([
        { what: 'lane.taken' },
        { what: 'lane.displaced', as: 'cron', reason: 'at 3', to: 'manual of ann@desk', why: 'backfill', jobs: 0 },
        { what: 'lane.taken', as: 'manual', isForced: true, from: 'cron of ann@desk' },
      ]);
    });

    it('is given back by its owner alone, and then anybody may have it', async ({ world }) => {
      const { locks, others, servers } = await open(world);
      const { lease } = await granted(locks, ask('manual'));
      const before = await dumpOf(servers, world.prefix);
      const wrong = [
        { as: 'cron', by: 'ann@desk' },
        { as: 'manual', by: 'bob@desk' },
        { as: 'manual', by: 'ann@desk', token: lease.token - 1 },
        { as: 'manual', by: 'ann@desk', token: lease.token + 1 },
        { as: 'manual', by: 'ann@desk', hold: 'forged' },
      ];
      for (const one of wrong) {
        const { kind } = await others.release(GROUP, { ...one, why: 'mine' });
        expect(kind).toBe('token' in one || 'hold' in one ? 'stale' : 'owned');
      }
      expect(await dumpOf(servers, world.prefix)).toBe(before);
      const mine = { as: 'manual', by: 'ann@desk', token: lease.token, why: 'done' };
      expect(await locks.release(GROUP, mine)).toMatchObject({ kind: 'released', lanes: ['publish', 'reply'] });
      expect(await locks.release(GROUP, mine)).toMatchObject({ kind: 'free', lease: { as: 'manual', isLive: false } });
      const next = await granted(others, ask('cron'));
      expect(next.lease.token).toBeGreaterThan(lease.token);
      const told = await journalOf(servers[0] as Redis, world.keys);
      expect(told.map(({ what }) => what)).toEqual(['lane.taken', 'lane.released', 'lane.taken']);
      expect(told[1]).toMatchObject({ why: 'done', reason: 'a test' });
    });

    it('ends by itself, which is journalled once by whoever sees it first, and is not renewed then', async ({
      world,
    }) => {
      const { locks, others, servers } = await open(world);
      const { lease } = await granted(locks, ask('manual', { termMs: 200, hold: 'h1' }));
      const claim = { as: 'manual', by: 'ann@desk', token: lease.token, hold: 'h1' };
      await vi.waitFor(async () => expect((await others.look(GROUP)).lease?.isLive).toBe(false), { interval: 5 });
      await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 ? locks : others).look(GROUP)));
      const told = await journalOf(servers[0] as Redis, world.keys);
      expect(told.map(({ what }) => what)).toEqual(['lane.taken', 'lane.expired']);
      expect(told[1]).toMatchObject({ as: 'manual', by: 'ann@desk', token: String(lease.token), isHold: true });
      expect((await others.take(GROUP, ask('cron'))).kind).toBe('granted');
      const before = await dumpOf(servers, world.prefix);
      expect((await locks.renew(GROUP, claim, 10_000)).kind).toBe('lost');
      expect(await dumpOf(servers, world.prefix)).toBe(before);
    });

    it('is renewed by its token alone: a forged or an old one changes nothing', async ({ world }) => {
      const { locks, servers } = await open(world);
      const { lease } = await granted(locks, ask('manual', { hold: 'h1', termMs: 3_000 }));
      const claim = { as: 'manual', by: 'ann@desk', token: lease.token, hold: 'h1' };
      const renewed = await locks.renew(GROUP, claim, 8_000);
      expect(renewed.lease?.untilAt).toBeGreaterThan(lease.untilAt);
      const before = await dumpOf(servers, world.prefix);
      for (const wrong of [{ token: lease.token - 1 }, { as: 'cron' }, { by: 'bob@desk' }]) {
        expect((await locks.renew(GROUP, { ...claim, ...wrong }, 60_000)).kind).toBe('lost');
      }
      expect(await dumpOf(servers, world.prefix)).toBe(before);
    });

    it('has a token higher than all before, also when what was known is lost, and with scripts forgotten', async ({
      world,
    }) => {
      const { locks, others, servers } = await open(world);
      const record = servers[0] as Redis;
      let last = 0;
      for (let round = 0; round < 5; round++) {
        for (const redis of servers) await redis.script('FLUSH');
        const { lease } = await granted(round % 2 ? locks : others, ask('manual'));
        expect(lease.token).toBeGreaterThan(last);
        last = lease.token;
        for (const redis of servers) await redis.del(world.keys.owner(GROUP.address));
      }
      const floor = last + 60_000_000; // of a clock that was a minute ahead
      const { lease } = await granted(locks, ask('cron', { floor }));
      expect(lease.token).toBeGreaterThan(floor);
      await locks.release(GROUP, { as: 'cron', by: 'ann@desk', why: 'done' });
      expect((await granted(others, ask('manual'))).lease.token).toBeGreaterThan(lease.token);
      expect(Number.isSafeInteger(lease.token)).toBe(true);
      expect(await record.hget(world.keys.owner(GROUP.address), 'token')).toMatch(/^\d{16}$/);
    });

    it(`is never had by two: ${rounds} rounds of cron and manual taking it at once`, { timeout: 60_000 }, async ({
      world,
    }) => {
      const { locks, others } = await open(world);
      const { both, fell, granted: won } = await contend(locks, others, (round) => round < rounds);
      expect({ both, fell }).toEqual({ both: 0, fell: 0 });
      expect(won).toBeGreaterThan(0);
    });
  });
}
