// What the API's metrics tell of owners: counted once over the fleet, in the scripts that change hands, whoever runs and looks.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { defineLane, defineUpstream, handle, type Lane } from '../../src/index.ts';
import { releaseLane, takeLane } from '../../src/path/owner-orders.ts';
import { createSingleLocks } from '../../src/store/ownership/locks-single.ts';
import { rejection } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

const SLOW = { timeout: 30_000, interval: 50 };
const upstream = defineUpstream({ name: 'forum' });
const policy = { upstream, agent: { cooldown: '1h' }, ownership: 'exclusive' } as const;
const lanes = ['publish', 'reply'].map((name) => defineLane({ name, ...policy }) as Lane);
const [publish, reply] = lanes as [Lane, Lane];

/** Where the API of these lanes, and of an open one, listens. */
async function startApi(world: World): Promise<string> {
  const dir = await world.folder();
  await mkdir(join(dir, 'queues'));
  await writeFile(
    join(dir, 'queues/a.mjs'),
    `import { defineLane, defineUpstream } from 'lanekeeper';
const one = { upstream: defineUpstream({ name: 'forum' }), agent: { cooldown: '1h' }, ownership: 'exclusive' };
export const publish = defineLane({ name: 'publish', ...one });
export const reply = defineLane({ name: 'reply', ...one });
export const open = defineLane({ name: 'open' });`,
  );
  const api = world.spawn(['api', '--dir', dir]);
  let heard = '';
  const hear = (chunk: Buffer) => {
    heard += chunk;
  };
  api.stdout?.on('data', hear);
  api.stderr?.on('data', hear);
  return vi.waitFor(() => {
    const url = /"url":"([^"]+)"/.exec(heard)?.[1];
    if (url === undefined) throw new Error(`it does not listen: ${heard}`);
    return url;
  }, SLOW);
}

/** Without the prefix, of the two metrics about owners. */
async function scrape(url: string): Promise<string[]> {
  const text = await (await fetch(`${url}/metrics`, { headers: { connection: 'close' } })).text();
  const lines = text.split('\n').filter((line) => /^lanekeeper_(lane_owner|owner_changes_total)\{/.test(line));
  return lines.map((line) => line.replace('lanekeeper_', '')).sort();
}

const changes = (taken: number, forced: number, released: number, expired: number) =>
  ['publish', 'reply'].flatMap((lane) =>
    Object.entries({ taken, forced, released, expired }).map(
      ([how, count]) => `owner_changes_total{lane="${lane}",how="${how}"} ${count}`,
    ),
  );
const owned = (as: string) => ['publish', 'reply'].map((lane) => `lane_owner{lane="${lane}",owner="${as}"} 1`);

it('the metrics say who has a lane, and count each change once, a term that ends under two pods too', {
  timeout: 60_000,
}, async ({ world }) => {
  const url = await startApi(world);
  const workers = lanes.map((lane) => handle(lane, { run: () => null }));
  await Promise.all([world.pod(workers), world.pod(workers)]);
  expect(await scrape(url)).toEqual(changes(0, 0, 0, 0).sort());

  const locks = createSingleLocks(world);
  const take = (lane: Lane, as: string, term: string, isForced = false) =>
    takeLane({ locks, lane, lanes }, { as, by: 'ann@desk', reason: 'a test', for: term, isForced });
  await take(publish, 'manual', '1h');
  await take(publish, 'manual', '2h');
  expect(await rejection(take(reply, 'cron', '1h'))).toMatchObject({ code: 'LK_OWNED' });
  expect(await scrape(url)).toEqual([...changes(1, 0, 0, 0), ...owned('manual')].sort());

  await take(reply, 'cron', '1h', true);
  expect(await scrape(url)).toEqual([...changes(1, 1, 0, 0), ...owned('cron')].sort());

  const order = { locks, lane: publish, lanes };
  expect(await rejection(releaseLane(order, { as: 'manual', by: 'ann@desk' }))).toMatchObject({ code: 'LK_OWNED' });
  await releaseLane(order, { as: 'cron', by: 'ann@desk' });
  expect(await scrape(url)).toEqual(changes(1, 1, 1, 0).sort());

  await take(publish, 'manual', '1s');
  await vi.waitFor(async () => expect(await scrape(url)).toEqual(changes(2, 1, 1, 1).sort()), SLOW);
  await Promise.all([locks.look({ address: { tag: 'forum', name: null }, lane: 'publish', lanes: {} }), scrape(url)]);
  expect(await scrape(url)).toEqual(changes(2, 1, 1, 1).sort());
});
