// What a displaced owner left, as people order it about on the command line.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { defineLane } from '../../src/index.ts';
import { moveAside, ownedLane } from '../../src/path/aside.ts';
import { it } from '../support/world.ts';

it('add --as, why, and owner adopt or drop tell the whole story of a take by force', { timeout: 60_000 }, async ({
  world,
}) => {
  const dir = await world.folder();
  await mkdir(join(dir, 'queues'));
  const text = `import { defineLane } from 'lanekeeper';\nexport const publish = defineLane({ name: 'publish', ownership: 'exclusive' });`;
  await writeFile(join(dir, 'queues/a.mjs'), text);
  const run = (...args: string[]) => world.cli([...args, '--dir', dir]);
  const lane = defineLane({ name: 'publish', ownership: 'exclusive' });

  const early = await run('add', 'publish', '{}', '--as', 'cron');
  expect({ code: early.code, lines: early.stderr.split('\n').length }).toEqual({ code: 1, lines: 2 });
  expect(early.stderr).toMatch(/nobody owns lane "publish" now: nothing was added; take it first.*\(LK_OWNED\)/);
  await run('take', 'publish', '--as', 'cron', '--reason', 'at 3');
  const [one = '', two = ''] = await Promise.all(
    [1, 2].map(async (n) => (await run('add', 'publish', String(n), '--as', 'cron')).stdout.trim()),
  );
  await run('take', 'publish', '--as', 'manual', '--reason', 'now', '--force');
  await moveAside(ownedLane(lane, world.queue(lane), world.keys));

  const why = JSON.parse((await run('why', 'publish', one, '--json')).stdout);
  expect(why).toMatchObject({ state: 'parked', gate: 'owner', untilAt: null, owner: { owner: { as: 'cron' } } });
  expect(why.because).toContain('lanekeeper owner publish adopt|drop --of cron:');
  const wrong: [string[], RegExp, number][] = [
    [['owner', 'publish', 'sell', '--of', 'cron', '--reason', 'r'], /expected adopt or drop, got "sell"/, 2],
    [['owner', 'publish', 'adopt', '--reason', 'r'], /expected --of <owner>/, 2],
    [['owner', 'publish', 'drop', '--of', 'cron'], /expected --reason <text>/, 2],
    [['owner', 'publish', 'drop', '--of', 'Cron!', '--reason', 'r'], /--of: expected a name/, 1],
  ];
  for (const [args, expected, code] of wrong) {
    const answer = await run(...args);
    expect(answer.stderr).toMatch(expected);
    expect(answer.code, args.join(' ')).toBe(code);
  }
  await run('cancel', 'publish', two);
  expect((await run('owner', 'publish', 'adopt', '--of', 'cron', '--reason', 'ours now')).stdout).toBe(
    'adopted 1 job of cron in publish\n',
  );
  expect(JSON.parse((await run('why', 'publish', one, '--json')).stdout)).toMatchObject({ state: 'waiting' });
  const again = await run('owner', 'publish', 'drop', '--of', 'cron', '--reason', 'none left');
  expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining('nothing changed') });
});
