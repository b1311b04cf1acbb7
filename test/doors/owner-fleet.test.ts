// A service's hold against a person's take by force, with pods as real processes and the person on the command line: what the service
// fed waits for it, says so, and goes on in its order when the service has the lane again.

import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { defineLane } from '../../src/index.ts';
import { rejection } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

const SLOW = { timeout: 30_000, interval: 50 };
const NS = [1, 2, 3, 4];

/** A fleet whose jobs write down when they begin and end; none ends before there is a file `go`. */
async function startFleet(world: World): Promise<{ dir: string; said(): string[]; go(): Promise<void> }> {
  const dir = await world.folder();
  const [ran, go] = [join(dir, 'ran'), join(dir, 'go')];
  await Promise.all(['queues', 'workers'].map((name) => mkdir(join(dir, name))));
  await writeFile(
    join(dir, 'queues/a.mjs'),
    `import { defineLane } from 'lanekeeper';
export const publish = defineLane({ name: 'publish', ownership: 'exclusive', pods: 'one', concurrency: 1 });`,
  );
  await writeFile(
    join(dir, 'workers/a.mjs'),
    `import { appendFileSync, existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { handle } from 'lanekeeper';
import { publish } from '../queues/a.mjs';
const say = (what) => appendFileSync(${JSON.stringify(ran)}, what + '\\n');
export const worker = handle(publish, { async run({ payload }, { signal }) {
  say('begun ' + payload);
  while (!existsSync(${JSON.stringify(go)})) await wait(20, undefined, { signal });
  say('ended ' + payload);
} });`,
  );
  for (const _ of ['one', 'another']) {
    const pod = world.spawn(['worker', '--dir', dir]);
    pod.stdout?.resume();
    pod.stderr?.resume();
  }
  const said = () => (existsSync(ran) ? readFileSync(ran, 'utf8').trim().split('\n') : []);
  return { dir, said, go: () => writeFile(go, '') };
}

it('what a displaced hold fed waits at the gate owner, says so, and goes on in order when it is held again', {
  timeout: 120_000,
}, async ({ world }) => {
  const lane = defineLane({ name: 'publish', ownership: 'exclusive', pods: 'one', concurrency: 1 });
  const { dir, said, go } = await startFleet(world);
  const run = (...args: string[]) => world.cli([...args, '--dir', dir]);
  const why = async (id: string) => JSON.parse((await run('why', 'publish', id, '--json')).stdout);
  const producer = await world.producer();

  const hold = await producer.take(lane, { as: 'service', reason: 'its work' });
  const added = await hold.addMany(NS.map((payload) => ({ payload })));
  await vi.waitFor(() => expect(said()).toEqual(['begun 1']), SLOW);

  const forced = await run('take', 'publish', '--as', 'manual', '--reason', 'a backfill', '--force');
  expect(forced.code).toBe(0);
  expect(forced.stderr).toMatch(/^displaced service of .*, for: its work; 1 attempt of it was stopped\n$/);
  expect(await rejection(hold.add(5))).toMatchObject({
    code: 'LK_OWNED',
    message: expect.stringMatching(/owned by manual of .* for: a backfill/),
  });
  await vi.waitFor(() => expect(hold).toMatchObject({ isHeld: false, signal: { aborted: true } }), SLOW);
  expect(await rejection(producer.take(lane, { as: 'service', reason: 'its work' }))).toMatchObject({
    code: 'LK_OWNED',
  });

  await vi.waitFor(async () => expect(await why(added.at(-1)?.id ?? '')).toMatchObject({ state: 'parked' }), SLOW);
  const waits = await Promise.all(added.map(({ id }) => why(id)));
  for (const [place, wait] of waits.entries()) {
    expect(wait).toMatchObject({
      state: 'parked',
      gate: 'owner',
      untilAt: null,
      because: expect.stringMatching(/^service of \S+ fed it, and manual of \S+ took the lane .*it goes on when/),
      owner: { owner: { as: 'service' }, holder: { as: 'manual' }, place: place + 1 },
    });
  }

  await go();
  expect((await run('release', 'publish', '--as', 'manual')).code).toBe(0);
  const again = await producer.take(lane, { as: 'service', reason: 'its work' });
  expect(again.token).toBeGreaterThan(hold.token);
  await vi.waitFor(() => expect(said().slice(1)).toContain('begun 1'), SLOW);
  await again.add(5);
  const inOrder = [...NS, 5].flatMap((n) => [`begun ${n}`, `ended ${n}`]);
  await vi.waitFor(() => expect(said()).toEqual(['begun 1', ...inOrder]), SLOW);
});
