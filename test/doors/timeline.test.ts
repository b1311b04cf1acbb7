// The timeline through the command line, over a real Redis: real pods fail, people order and note, and the journal tells it again.

import { describe, expect, vi } from 'vitest';
import { publish } from '../../queues/publish.ts';
import { dead, handle } from '../../src/index.ts';
import { RETRYING } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

async function say(world: World, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await world.cli(args, { TZ: 'Europe/Berlin' });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

async function incident(world: World): Promise<void> {
  await world.redis.hset(world.keys.limits('forum'), 'born', '1'); // else the forum is left alone for 10 s first
  const pod = await world.pod([handle(publish, { run: () => dead('the text is empty') })]);
  const ended = world.record(pod);
  const producer = await world.producer();
  for (const title of ['one', 'two']) await producer.add(publish, { title, body: 'World' });
  await vi.waitFor(() => expect(ended.filter(({ name }) => name === 'attempt.finished')).toHaveLength(2), RETRYING);
  await say(world, 'note', 'publish', 'tried an older text: no change');
  await say(world, 'pause', 'publish', '--reason', 'stop the bleeding');
  await pod.stop('the deploy', 0);
}

describe('timeline', () => {
  it('tells what pods did and people ordered: as text, as the stand-up, as data', async ({ world }) => {
    await incident(world);
    const text = await say(world, 'timeline', '--lane', 'publish', '--since', '5m');
    expect(text).toContain('times of Europe/Berlin (UTC+0');
    expect(text).toMatch(/\d\d:\d\d:\d\d {3}pod started: publish \(.+\)/);
    expect(text).toMatch(/\d\d:\d\d:\d\d > note on publish: tried an older text: no change \(.+@.+\)/);
    expect(text).toMatch(/\d\d:\d\d:\d\d > paused publish: stop the bleeding \(.+@.+\)/);
    expect(text).toMatch(/publish: .*dead as fatal/);
    expect(text).toContain('pod stopped');
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);

    const md = await say(world, 'timeline', '--format', 'md');
    for (const title of [
      'What is happening',
      'Since when',
      'Tried, and ruled out',
      'Next hypothesis',
      'Recovered when',
    ])
      expect(md).toContain(`\n## ${title}`);
    expect(md).toContain('still: paused publish: stop the bleeding');

    const data = JSON.parse(await say(world, 'timeline', '--json'));
    expect(data).toMatchObject({ fromAt: expect.stringMatching(/Z$/), lane: null, standUp: { isIncident: false } });
    const events = data.sections.flatMap((section: { events?: object[] }) => section.events ?? []);
    expect(events).toContainEqual(
      expect.objectContaining({ what: 'lane.noted', at: expect.stringMatching(/Z$/), lane: 'publish', count: 1 }),
    );

    // Of another lane: none of it (twin).
    const other = await say(world, 'timeline', '--lane', 'collect', '--since', '5m');
    expect(other).not.toMatch(/publish: |note on/);
  });

  it('of a span that is over has none of it (twin)', async ({ world }) => {
    await say(world, 'note', 'publish', 'now');
    const text = await say(world, 'timeline', '--since', '3h', '--until', '1h');
    expect(text).not.toContain('now');
    expect(text).toMatch(/ quiet\n$/);
  });

  it('goes on telling when asked to follow, until it is interrupted', async ({ world }) => {
    await say(world, 'note', 'publish', 'before');
    const child = world.spawn(['timeline', '--follow', '--since', '1m']);
    let out = '';
    child.stdout?.on('data', (chunk) => {
      out += chunk;
    });
    await vi.waitFor(() => expect(out).toContain('ordered'), RETRYING);
    await say(world, 'note', 'publish', 'after');
    expect(out).not.toContain('after');
    // The minute is told when it is over: here by an entry of the one after the next.
    const [seconds] = await world.redis.time();
    const batch = JSON.stringify([{ what: 'lane.noted', age: 0, lane: 'publish', text: 'much later' }]);
    const laterId = `${(Number(seconds) + 120) * 1_000}-0`;
    await world.redis.xadd(world.keys.journal('forum'), laterId, 'who', 'ann', 'batch', batch);
    await vi.waitFor(() => expect(out).toMatch(/note on publish: before[\s\S]*note on publish: after/), RETRYING);
    expect(out).not.toContain('much later');
    // Who leaves hears the rest.
    child.kill('SIGINT');
    await vi.waitFor(() => expect(child.exitCode).toBe(0), RETRYING);
    expect(out).toContain('note on publish: much later');
  });
});

const WRONG: [string[], RegExp, number][] = [
  [['timeline', '--since', 'yesterday'], /since: expected/, 1],
  [['timeline', '--since', '2999-01-01T00:00:00Z'], /--since: expected an instant before now/, 1],
  [['timeline', '--since', '1h', '--until', '2h'], /--until: expected an instant after --since/, 1],
  [['timeline', '--format', 'xml'], /Allowed choices are text, md, json/, 2],
  [['timeline', '--json', '--format', 'md'], /contradict/, 2],
  [['timeline', '--follow', '--json'], /text only/, 2],
  [['note', 'publish', '  '], /text: expected 1 to 500 characters/, 1],
  [['note', 'publish', 'a\nb'], /text: expected 1 to 500 characters/, 1],
  [['note', 'publish', 'x'.repeat(501)], /text: expected 1 to 500 characters/, 1],
  [['timeline', '--lane', 'nowhere'], /no lane "nowhere"/, 1],
  [['note', 'nowhere', 'text'], /no lane "nowhere"/, 1],
];

it('bad input is refused in one line each, and writes nothing', async ({ world }) => {
  await Promise.all(
    WRONG.map(async ([args, says, expected]) => {
      const { code, stdout, stderr } = await world.cli(args);
      expect({ args, code, stdout }).toEqual({ args, code: expected, stdout: '' });
      expect(stderr.trim().split('\n'), stderr).toHaveLength(1);
      expect(stderr).toMatch(says);
    }),
  );
  expect(await world.redis.exists(world.keys.journal('forum'), world.keys.fleetJournal())).toBe(0);
});
