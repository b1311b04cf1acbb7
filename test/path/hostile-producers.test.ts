// What a plain BullMQ producer may hand in, at its worst: each job ends, or waits harmlessly; the lane goes on, and every look at
// such a job answers without a control character.

import type { JobsOptions } from 'bullmq';
import { describe, expect } from 'vitest';
import { publish } from '../../queues/publish.ts';
import { handle } from '../../src/index.ts';
import { explainJob, listJobs, showJob } from '../../src/path/inspect.ts';
import { it, type World } from '../support/world.ts';
import { plainQueue, untilState } from './looking.ts';

const POST = { title: 'Hello', body: 'World' };
const DEEP = `${'['.repeat(8_000)}${']'.repeat(8_000)}`;

describe('a plain producer', () => {
  const wrongData: [string, string, RegExp[]][] = [
    ['1.5 MiB', JSON.stringify('x'.repeat(1.5 * 2 ** 20)), [/expected at most 1048576 bytes as JSON, got 1572866/]],
    ['8,000 levels', DEEP, [/at most 100 levels/]],
    ['8,000 levels in an envelope', `{"lk":1,"payload":${DEEP}}`, [/at most 100 levels/]],
    ['__proto__', '{"title":"a","body":"b","__proto__":{"x":1}}', [/no field called '__proto__'/]],
    ['__proto__ with a blank', '{"title":"a","body":"b","__proto__" :{"x":1}}', [/no field called '__proto__'/]],
    [
      '__proto__ in escapes',
      '{"title":"a","body":"b","\\u005f_pr\\u006fto__":{"x":1}}',
      [/no field called '__proto__'/],
    ],
    ['no JSON', '{"title":', [/^data: expected JSON/]],
    ['no JSON, with controls', '{"a\n\u001b[31m":}', [/^data: expected JSON/]],
    ['nothing', '', [/payload\.title: /]],
    ['null', 'null', [/^payload: /]],
    ['wrong fields', '{"title":"","body":5}', [/payload\.title: /, /payload\.body: /]],
    ['another version', '{"lk":2,"payload":{"title":"a","body":"b"}}', [/payload\.title: /, /payload\.body: /]],
    [
      'an envelope wrong all over',
      '{"lk":1,"agent":"a b","key":"","parent":"x","state":1,"a\\n\\u001b[31mb":2}',
      [/data\.payload: /, /agent: /, /key: /, /parent: /, /data\.state: /, /data\."a\\n\\u001b\[31mb": /],
    ],
    [
      'an envelope of strangers',
      JSON.stringify({
        lk: 1,
        payload: POST,
        ...Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`f${n}`, n])),
      }),
      [/data\.f0: .*data\.f99: /],
    ],
  ];

  it('whose data cannot be used has it refused, with every reason, and the next job runs', async ({ world }) => {
    await knowForum(world);
    const pod = await world.pod([handle(publish, { run: () => 'posted' })]);
    const queue = world.queue(publish);
    const producer = await world.producer();
    const plain = plainQueue(world, publish);
    const ids: string[] = [];
    for (const [, text] of wrongData) {
      // Held back until its data is what we want: BullMQ itself would write only what JSON.stringify makes.
      const { id } = await plain.add('x', {}, { delay: 3_600_000 });
      await world.redis.hset(queue.jobKey(id as string), 'data', text);
      await queue.backend.promote(id as string);
      ids.push(id as string);
    }
    for (const [place, [what, , reasons]] of wrongData.entries()) {
      const letter = await untilState(queue, ids[place] as string, 'dead');
      expect({ what, class: letter.class, attempt: letter.attempt }).toEqual({ what, class: 'refused', attempt: 1 });
      for (const reason of reasons) expect(letter.reason, what).toMatch(reason);
      expect(letter.reason, what).not.toMatch(/\p{Cc}/u);
      expect(letter.reason?.length, what).toBeLessThan(20_000);
    }
    await untilState(queue, (await producer.add(publish, POST)).id, 'done');
    expect(pod.running).toBe(0);

    const looks = [
      ['jobs', 'publish', '--limit', '100'],
      ['jobs', 'publish', '--json', '--limit', '100'],
      ['dead', 'publish'],
      ['dead', 'publish', '--json'],
      ...[1, 12].flatMap((place) => [
        ['dead', 'publish', 'show', ids[place] as string],
        ['dead', 'publish', 'show', ids[place] as string, '--json'],
      ]),
    ];
    await expectReadable(world, looks);
  });

  const oddOptions: [string, JobsOptions, 'done' | 'scheduled'][] = [
    ['attempts -1', { attempts: -1 }, 'done'],
    ['attempts 1e9', { attempts: 1e9 }, 'done'],
    ['a backoff nobody knows', { attempts: 3, backoff: { type: 'none\u001b', delay: -5 } }, 'done'],
    ['a timestamp of -1e20', { timestamp: -1e20 }, 'done'],
    ['a timestamp of 1e20', { timestamp: 1e20 }, 'done'],
    ['the last priority', { priority: 2_097_151 }, 'done'],
    ['a delay of 1e20', { delay: 1e20 }, 'scheduled'],
    ['a delay of 8.64e15', { delay: 8.64e15 }, 'scheduled'],
    ['an id with a line break', { jobId: 'a\nb\u001b[31m\u009b' }, 'done'],
    ['an id of braces', { jobId: '{x}' }, 'done'],
    ['an id that climbs', { jobId: '../../x' }, 'done'],
    ['an id of 5 KB', { jobId: 'i'.repeat(5_000) }, 'done'],
    ['an id of a star', { jobId: '*' }, 'done'],
    ['a delayed id with a line break', { jobId: 'c\nd\u001b[31m\u009b', delay: 1e20 }, 'scheduled'],
  ];

  it('may say what it likes of attempts, times, ids and names: it is run, or waits harmlessly', async ({ world }) => {
    await knowForum(world);
    const pod = await world.pod([handle(publish, { run: () => 'posted' })]);
    const queue = world.queue(publish);
    const plain = plainQueue(world, publish);
    const ids: string[] = [];
    for (const [, options] of oddOptions) ids.push((await plain.add('n'.repeat(5_000), POST, options)).id as string);
    // BullMQ itself refuses some of these; what it lets through is run.
    for (const delay of [-5, Number.NaN]) {
      const job = await plain.add('\n\u001b', POST, { delay }).catch(() => undefined);
      if (job) await untilState(queue, job.id as string, 'done');
    }
    for (const [place, [what, , state]] of oddOptions.entries()) {
      const id = ids[place] as string;
      expect(await untilState(queue, id, state), what).toMatchObject({ id, payload: POST });
      expect(await explainJob(queue, publish, id, 1), what).toMatchObject({ state });
    }
    expect((await listJobs(queue, ['done', 'scheduled'], 100)).length).toBeGreaterThanOrEqual(oddOptions.length);
    expect(pod.running).toBe(0);
    const odd = ids[8] as string;
    const late = ids[13] as string;
    await expectReadable(world, [
      ['jobs', 'publish', '--limit', '100'],
      ['jobs', 'publish', '--limit', '100', '--json'],
      ...[odd, late, ids[6]].flatMap((id) => [
        ['why', 'publish', id as string],
        ['why', 'publish', id as string, '--json'],
      ]),
      ['cancel', 'publish', late],
    ]);
    await expect(showJob(queue, late)).rejects.toMatchObject({ code: 'LK_UNKNOWN' });
  });
});

describe('a job that died with controls in its payload, its reason and its id', () => {
  it('can be looked at and replayed', async ({ world }) => {
    await knowForum(world);
    const pod = await world.pod([
      handle(publish, {
        run: () =>
          Promise.reject(Object.assign(new Error('a\u009b31m\u001b[2J\nb'), { name: 'UpstreamError', class: 'auth' })),
      }),
    ]);
    const jobId = 'x\n\u001b]0;me\u0007';
    await plainQueue(world, publish).add('x', { ...POST, title: '\u009b31m\u007f\u001b[2J' }, { jobId });
    await untilState(world.queue(publish), jobId, 'dead');
    await expectReadable(world, [
      ['dead', 'publish'],
      ['dead', 'publish', '--json'],
      ['dead', 'publish', 'show', jobId],
      ['dead', 'publish', 'show', jobId, '--json'],
    ]);
    await pod.stop('enough', 0);
    await expectReadable(world, [['dead', 'publish', 'replay', jobId]]);
  });
});

/** An upstream of which nothing is known is left alone for 10 s first. */
async function knowForum({ redis, keys }: World): Promise<void> {
  await redis.hset(keys.limits('forum'), 'born', '1');
}

async function expectReadable(world: World, looks: string[][]): Promise<void> {
  for (const args of looks) {
    const { code, stdout, stderr } = await world.cli(args);
    expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
    expect(stdout.replaceAll('\n', ''), args.join(' ')).not.toMatch(/\p{Cc}/u);
    if (args.includes('--json')) expect(JSON.parse(stdout)).toBeTruthy();
    else expect(stdout).not.toMatch(/Invalid Date|NaN/);
  }
}
