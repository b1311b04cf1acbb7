// A majority of 3 or 5 independent lock servers decides who owns a lane; the Redis of the jobs then records it, with the highest
// token of that majority, and is what adds are checked against. A minority that is down, frozen or has lost its data changes
// nothing; with a majority down nobody is let in, because nobody can know.
//
// A server that has lost its data (no birth, or another run than then) does not vote before one lease of a holder has passed. As a
// person's term may be longer, the vote of one that is younger than the longest term counts only where no other server objects.

import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../words/clock.ts';
import { withoutPassword } from '../../words/config.ts';
import { LanekeeperError } from '../../words/errors.ts';
import type { Keys } from '../../words/keys.ts';
import { LEASE_MS, MAX_TERM_MS, type OwnerGroup } from '../../words/owner.ts';
import type { Redis } from '../connect.ts';
import { type LockServer, openLockServer } from './lock-server.ts';
import { confirm, newAskId } from './locks-single.ts';
import type { OwnerLocks, ReleaseAsk, TakeAsk, TakeReply } from './owner-locks.ts';
import { OwnerRecord } from './owner-record.ts';
import type { Taken } from './take-owner.ts';

export interface QuorumOptions {
  /** Of the jobs. */
  redis: Redis;
  keys: Keys;
  urls: readonly string[];
  clock: Clock;
  /** Default: one lease of a holder. */
  abstainMs?: number;
}

/** For one server to answer. A healthy one needs a millisecond. */
const ANSWER_MS = 400;
/** Two who ask at the same instant may get a minority each: then both give it back, and come again at different instants. */
const ROUNDS = 4;
const SPREAD_MS = 80;

type Vote = Taken | { kind: 'silent'; why: string };
type Granted = Extract<Taken, { kind: 'granted' }>;

export function createQuorumLocks({ redis, keys, urls, clock, abstainMs = LEASE_MS }: QuorumOptions): OwnerLocks {
  const record = new OwnerRecord({ redis, keys });
  const majority = Math.floor(urls.length / 2) + 1;
  let servers: readonly LockServer[] | undefined;
  /** Connects when it is first asked: most producers never take a lane. */
  const all = () => {
    servers ??= urls.map((url) => openLockServer(url, keys, abstainMs));
    return servers;
  };

  /** What each answers; `late` for those that do not. */
  function askAll<T, L>(move: (at: OwnerRecord) => Promise<T>, late: (why: string) => L): Promise<(T | L)[]> {
    return Promise.all(all().map((server) => server.ask(move, ANSWER_MS).catch((error: Error) => late(error.message))));
  }

  /** Whatever this call was granted; also where it is not known, for what is sent after it is carried out after it. */
  function giveBack(group: OwnerGroup, { as, by }: TakeAsk, ask: string): Promise<unknown> {
    return askAll(
      (at) => at.release(group, { as, by, ask, why: 'it was not granted by a majority' }),
      () => undefined,
    );
  }

  /** The votes of a majority, and the token it has decided, which it then has written down. Otherwise why not. */
  async function decide(
    group: OwnerGroup,
    ask: TakeAsk,
    id: string,
    lastToken: number,
  ): Promise<{ token: number } | { votes: Vote[] }> {
    const askedMono = clock.mono();
    const votes = await askAll<Taken, Vote>(
      (at) => at.take(group, { ...ask, ask: id, floor: Math.max(ask.floor, lastToken) }),
      (why) => ({ kind: 'silent', why }),
    );
    const granted = votes.filter((vote): vote is Granted => vote.kind === 'granted');
    // What the record knows to be over is no objection: its server was away when it was released.
    const objects = votes.some((vote) => vote.kind === 'owned' && vote.lease.token > lastToken);
    const isYoung = granted.some(({ ageMs }) => ageMs < MAX_TERM_MS);
    const token = Math.max(...granted.map(({ lease }) => lease.token));
    if (granted.length >= majority && !(isYoung && objects) && (await write(group, ask, token))) {
      const usedMs = clock.mono() - askedMono;
      if (usedMs < ask.termMs / 2) return { token };
    }
    await giveBack(group, ask, id);
    return { votes };
  }

  /** True: a majority has the lease with this token and its whole term, and any of them would refuse another. */
  async function write(group: OwnerGroup, { as, by, hold, termMs }: TakeAsk, token: number): Promise<boolean> {
    const claim = { as, by, token, hold };
    const written = await askAll(
      (at) => at.renew(group, claim, termMs, { restores: true }),
      () => undefined,
    );
    return written.filter((reply) => reply?.kind === 'renewed').length >= majority;
  }

  /** A majority gave it to the same other: it is decided. */
  function isAnothers(votes: readonly Vote[]): boolean {
    const owners = votes.flatMap((vote) => (vote.kind === 'owned' ? [`${vote.lease.as} ${vote.lease.by}`] : []));
    return owners.some((owner) => owners.filter((other) => other === owner).length >= majority);
  }

  function down(group: OwnerGroup, what: string, why: readonly string[]): LanekeeperError {
    const text = `${group.lane}: not ${what}: expected ${majority} of ${urls.length} lock servers to agree, got ${why.join('; ')}`;
    return new LanekeeperError(
      'LK_LOCKS_DOWN',
      `${text}; nothing is decided without a majority: look at the servers, then try again`,
    );
  }

  /** Of what each server answered, or why it did not: undefined when a majority did. */
  function sayAnswers(replies: readonly unknown[]): string[] | undefined {
    const isSilent = (reply: unknown): reply is string => typeof reply === 'string';
    if (replies.filter((reply) => !isSilent(reply)).length >= majority) return undefined;
    return replies.map(
      (reply, place) => `${withoutPassword(urls[place] as string)}: ${isSilent(reply) ? reply : 'answers'}`,
    );
  }

  function sayVotes(votes: readonly Vote[]): string[] {
    return votes.map((vote, place) => {
      const from = withoutPassword(urls[place] as string);
      if (vote.kind === 'silent') return `${from}: ${vote.why}`;
      if (vote.kind === 'abstains')
        return `${from}: has lost its data and votes again in ${Math.ceil(vote.forMs / 1_000)} s`;
      return `${from}: ${vote.kind === 'granted' ? 'agrees' : 'says that another has it'}`;
    });
  }

  return {
    async take(group, ask) {
      const { lease, lastToken } = await record.look(group);
      const isTheirs = lease?.isLive && !(lease.as === ask.as && lease.by === ask.by);
      if (lease && isTheirs && !ask.isForced) return { kind: 'owned', lease };
      const id = newAskId();
      let votes: Vote[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        if (round > 0) await pause(Math.random() * SPREAD_MS * round);
        const decided = await decide(group, ask, id, lastToken);
        if ('token' in decided) return recorded(group, ask, id, decided.token);
        votes = decided.votes;
        if (isAnothers(votes)) break;
        // Only those who disagree may say something else the next time.
        if (votes.filter(({ kind }) => kind === 'silent' || kind === 'abstains').length > urls.length - majority) break;
      }
      const owned = votes.find((vote) => vote.kind === 'owned');
      const canVote = votes.filter(({ kind }) => kind === 'granted' || kind === 'owned').length >= majority;
      if (owned && canVote) return owned as TakeReply;
      throw down(group, 'taken', sayVotes(votes));
    },

    async renew(group, claim, termMs) {
      // Servers are put right by who renews: what the record says against it is asked first. One that lost its record is put right too.
      const { lease } = await record.look(group);
      const isTheirs = lease && (lease.token !== claim.token || lease.as !== claim.as || lease.by !== claim.by);
      if (isTheirs || (lease && !lease.isLive)) return { kind: 'lost', lease };
      const replies = await askAll(
        (at) => at.renew(group, claim, termMs, { restores: true }),
        (why) => why,
      );
      const count = (kind: string) =>
        replies.filter((reply) => typeof reply !== 'string' && reply.kind === kind).length;
      if (count('lost') >= majority) return { kind: 'lost', lease };
      if (count('renewed') < majority) {
        const why = replies.map((reply, place) => {
          const said = typeof reply === 'string' ? reply : reply.kind;
          return `${withoutPassword(urls[place] as string)}: ${said}`;
        });
        throw down(group, 'renewed', why);
      }
      return record.renew(group, claim, termMs, { restores: true });
    },

    async release(group, ask) {
      const { lease } = await record.look(group);
      const refusal = whyNot(lease, ask);
      if (refusal) return { kind: refusal, lease, lanes: [] };
      // Given back on the record alone, no two would ever feed the lane, but nobody could take it either: the servers that come back
      // refuse everybody else until its term has run out, a day perhaps, and the journal would say that it is free. So it stays
      // theirs, who may go on; and it is asked first, so that a minority does not give back what the others keep.
      const why = sayAnswers(
        await askAll(
          (at) => at.answers(),
          (late) => late,
        ),
      );
      if (why) throw down(group, 'released', why);
      // First those who would refuse the next owner: as long as the record stands, the lane is still ours.
      const replies = await askAll(
        (at) => at.release(group, { as: ask.as, by: ask.by, why: ask.why }),
        (late) => late,
      );
      const whyNotAll = sayAnswers(replies);
      if (whyNotAll) throw down(group, 'released', whyNotAll);
      return record.release(group, ask);
    },

    async look(group) {
      const answers = askAll(
        (at) => at.answers(),
        () => false,
      );
      const [seen, answered] = await Promise.all([record.look(group), answers]);
      return { ...seen, servers: { count: urls.length, majority, answering: answered.filter(Boolean).length } };
    },

    close() {
      for (const server of servers ?? []) server.close();
    },
  };

  async function recorded(group: OwnerGroup, ask: TakeAsk, id: string, token: number): Promise<TakeReply> {
    const undo = async (why: string) => {
      await giveBack(group, ask, id);
      await record.release(group, { as: ask.as, by: ask.by, ask: id, why });
    };
    let reply: TakeReply;
    try {
      reply = (await record.take(group, { ...ask, ask: id, token })) as TakeReply;
    } catch (error) {
      await giveBack(group, ask, id);
      throw error;
    }
    if (reply.kind !== 'granted') {
      // Its owner is not known to the lock servers: they have lost that, or are new.
      await giveBack(group, ask, id);
      return reply;
    }
    await confirm(redis, group, () => undo('no replica has it: it was not granted'));
    // The record knew a higher one, of before there were lock servers: they learn it.
    if (reply.lease.token > token) {
      const claim = { as: ask.as, by: ask.by, token, hold: ask.hold };
      const raised = reply.lease.token;
      await askAll(
        (at) => at.renew(group, claim, ask.termMs, { raised, restores: true }),
        () => undefined,
      );
    }
    return reply;
  }
}

function whyNot(
  lease: { as: string; by: string; token: number; hold: string; isLive: boolean } | undefined,
  { as, by, token, hold }: ReleaseAsk,
): 'owned' | 'stale' | 'free' | undefined {
  if (!lease?.isLive) return 'free';
  if (lease.as !== as || lease.by !== by) return 'owned';
  const isStale = (token !== undefined && token !== lease.token) || (hold !== undefined && hold !== lease.hold);
  return isStale ? 'stale' : undefined;
}
