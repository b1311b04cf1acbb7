// Cron and manual taking a lane at once, again and again, where a majority of three real lock servers decides: never two have it, and no
// token falls.
//
// For a minute by default, some 850 rounds; FAULTS_QUORUM_RUNS=1000 for so many, in 70 s.

import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { createQuorumLocks } from '../../src/store/ownership/locks-quorum.ts';
import { createSingleLocks } from '../../src/store/ownership/locks-single.ts';
import { systemClock } from '../../src/words/clock.ts';
import { type BareServer, shareServers } from '../store/ownership/servers.ts';
import { contend } from '../store/ownership/suite.ts';
import { it, type World } from '../support/world.ts';

const ROUNDS = Number(process.env.FAULTS_QUORUM_RUNS);
const FOR_MS = 60_000;
/** A round whose votes were not split takes 30: who comes again waits up to 80 before. */
const SPLIT_MS = 50;

const borrow = shareServers(3);

/**
 * To a server by a way that takes 1 to 4 ms: otherwise whoever of one process asks first is first at each of them, and no vote is ever
 * split.
 */
async function detour(world: World, port: number): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      let sent = Promise.resolve<unknown>(undefined);
      from.on('data', (chunk) => {
        sent = sent.then(() => pause(Math.ceil(Math.random() * 4))).then(() => to.write(chunk));
      });
      from.on('close', () => to.destroy());
      from.on('error', () => {});
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  world.defer(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a lane that two take at once', () => {
  it(`is never had by both: ${ROUNDS || 'a minute of'} rounds by a majority of three`, { timeout: 1_800_000 }, async ({
    world,
  }) => {
    const servers = borrow(world);
    const client = async () => {
      const { redis, keys } = world;
      const urls = await Promise.all(servers.map(({ port }) => detour(world, port)));
      const locks = createQuorumLocks({ redis, keys, urls, clock: systemClock, abstainMs: 0 });
      world.defer(() => locks.close());
      return locks;
    };
    const startedMono = performance.now();
    let [beganMono, splitCount] = [startedMono, 0];
    const goesOn = (round: number) => {
      const nowMono = performance.now();
      if (nowMono - beganMono > SPLIT_MS) splitCount++;
      beganMono = nowMono;
      return ROUNDS ? round < ROUNDS : nowMono - startedMono < FOR_MS;
    };
    const seen = await contend(await client(), await client(), goesOn);
    const roundMs = (performance.now() - startedMono) / seen.rounds;
    console.log(`quorum: ${JSON.stringify(seen)}, ${roundMs.toFixed(1)} ms a round, ${splitCount} with split votes`);
    expect(seen).toMatchObject({ both: 0, fell: 0 });
    expect(seen.granted).toBeGreaterThan(seen.rounds / 2);
  });

  it('is had by both where each asks a server of its own (twin)', { timeout: 60_000 }, async ({ world }) => {
    const [first, second] = borrow(world) as [BareServer, BareServer];
    const alone = ({ admin }: BareServer) => createSingleLocks({ redis: admin, keys: world.keys });
    const { both } = await contend(alone(first), alone(second), (round) => round < 10);
    expect(both).toBe(10);
  });
});
