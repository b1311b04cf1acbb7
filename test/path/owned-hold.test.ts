// End to end, with the very take: a service holds a lane and feeds it, somebody takes it by force, and what the service fed waits until
// it holds the lane again. The upstream refuses whatever comes late.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, vi } from 'vitest';
import { defineLane, defineUpstream, handle } from '../../src/index.ts';
import { releaseLane, takeLane } from '../../src/path/owner-orders.ts';
import { createFenceBook } from '../../src/simulator/fences.ts';
import { createSingleLocks } from '../../src/store/ownership/locks-single.ts';
import { it } from '../support/world.ts';
import { gate, RETRYING, rejection, untilState } from './looking.ts';

describe('a hold', () => {
  it('feeds, is displaced by force, and goes on when it has the lane again', async ({ world }) => {
    const book = createFenceBook(10);
    const accepted: string[] = [];
    const server = createServer((request, response) => {
      const token = BigInt(String(request.headers['x-fence-token']));
      const isLate = book.see(String(request.headers['x-fence-scope']), token) > token;
      if (!isLate) accepted.push(String(request.headers['x-job']));
      request.resume();
      response.writeHead(isLate ? 409 : 200).end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    world.defer(() => new Promise((resolve) => server.close(resolve)));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const lane = defineLane({
      name: 'publish',
      ownership: 'exclusive',
      concurrency: 2,
      upstream: defineUpstream({ name: 'forum', baseUrl: url }),
    });
    const begun = gate();
    const letGo = gate();
    let runs = 0;
    await world.pod([
      handle(lane, {
        async run(job, ctx) {
          if (job.payload === 'theirs' && ++runs === 1) {
            begun.open();
            await letGo.opened;
          }
          await ctx.fetch('/post', { method: 'POST', headers: { 'x-job': job.id, connection: 'close' } });
        },
      }),
    ]);
    const producer = await world.producer();
    const hold = await producer.take(lane, { as: 'service', reason: 'its work' });
    const theirs = await hold.add('theirs');
    await begun.opened;
    const locks = createSingleLocks({ redis: world.redis, keys: world.keys });
    const order = { locks, lane, lanes: [lane] };
    const forced = { as: 'manual', by: 'ann@desk', reason: 'now', for: '30m', isForced: true };
    expect(await takeLane(order, forced)).toMatchObject({ stopped: 1, displaced: { as: 'service' } });
    expect(await rejection(hold.add('more'))).toMatchObject({ code: 'LK_OWNED' });
    letGo.open();
    expect(await untilState(world.queue(lane), theirs.id, 'parked')).toMatchObject({ gate: 'owner', untilAt: null });
    expect(accepted).toEqual([]);
    await locks.release(
      { address: { tag: 'forum', name: 'publish' }, lane: 'publish', lanes: { publish: 'park' } },
      { as: 'manual', by: 'ann@desk', why: 'done' },
    );
    await producer.take(lane, { as: 'service', reason: 'its work' });
    await vi.waitFor(() => expect(accepted).toEqual([theirs.id]), RETRYING);
    expect(await untilState(world.queue(lane), theirs.id, 'done')).toMatchObject({ attempt: 1 });
  });

  it('adds a list that was refused under the grant before, and in another lane too', async ({ world }) => {
    const lane = defineLane({ name: 'publish', ownership: 'exclusive' });
    const other = defineLane({ name: 'reply', ownership: 'exclusive' });
    const producer = await world.producer();
    const options = { as: 'service', reason: 'its work' };
    const list = [{ payload: 1 }, { payload: 2 }];
    const hold = await producer.take(lane, options);
    const locks = createSingleLocks(world);
    const forced = { as: 'manual', by: 'ann@desk', reason: 'now', for: '1s', isForced: true };
    await takeLane({ locks, lane, lanes: [] }, forced);
    // Its own clock does not know yet.
    expect(await rejection(hold.addMany(list))).toMatchObject({ code: 'LK_OWNED', accepted: [null, null] });
    await releaseLane({ locks, lane, lanes: [] }, forced);
    const again = await producer.take(lane, options);
    expect(await again.addMany(list)).toHaveLength(2);
    const refused = [{ payload: 3 }];
    expect(await rejection(producer.addMany(lane, refused))).toMatchObject({ code: 'LK_OWNED' });
    const [added] = await (await producer.take(other, options)).addMany(refused);
    expect(await world.redis.hget(world.queue(other).jobKey(added?.id as string), 'name')).toBe('reply');
  });
});
