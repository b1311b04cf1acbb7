// Bad input at the command line: 1 for refused, 2 for wrong usage, one line on stderr that no terminal acts on, nothing on
// stdout, nothing written. The library's own doors have their tables in test/path.

import { describe, expect } from 'vitest';
import { publish } from '../../queues/publish.ts';
import { it, type World } from '../support/world.ts';

const POST = JSON.stringify({ title: 'Hello', body: 'World' });
const NASTY = 'a\n\u001b[31mb\u009b31m\u007f\r';
const LONG = 'x'.repeat(100_000);
const levels = (count: number) => `${'['.repeat(count)}${']'.repeat(count)}`;

/** What is typed, what is piped in, and what the one line says. */
type Case = [args: string[], says: string | RegExp, input?: string | Uint8Array];

const refused: Case[] = [
  [['add', '../publish', POST], 'no lane "../publish"'],
  [['add', '{publish}:x', POST], 'no lane "{publish}:x"'],
  [['jobs', NASTY], 'no lane "a\\n\\u001b[31mb\\u009b31m\\u007f\\r"'],
  [['dead', LONG], /no lane "x{76}\.\.\. in/],
  [['add', 'publish', `{"title":${NASTY}`], 'payload: expected JSON'],
  [['add', 'publish', '{"title":"a","body":"b","__proto__":{"x":1}}'], "no field called '__proto__'"],
  [['add', 'publish', '{"title":1e999,"body":[]}'], /payload\.title: .*; payload\.body: /],
  [['add', 'publish', 'null'], 'payload: '],
  [['add', 'publish', POST, '--at', NASTY], 'at: expected an instant'],
  [['add', 'publish', POST, '--priority', '999999999999999'], 'priority: expected a whole number from 0'],
  [['add', 'publish', POST, '--agent', NASTY], 'agent: expected'],
  [['add', 'publish', POST, '--key', LONG], 'key: expected a text of 1 to 256 characters'],
  [['why', 'publish', NASTY], 'has no job "a\\n\\u001b[31mb'],
  [['cancel', 'publish', LONG], 'has no job "xxx'],
  [['dead', 'publish', 'replay', 'publish:meta'], 'has no job'],
  [['dead', 'publish', 'show', ''], 'has no job ""'],
  [['jobs', 'publish', '--state', NASTY], '--state: expected one of'],
  [['lanes', '--dir', NASTY], 'expected'],
  [['simulate', '--scenario', NASTY], '--scenario: expected one of'],
  [['worker', '--drain', '-5s'], '--drain: expected a duration'],
  [['add', 'publish', '-'], 'payload: expected JSON', ''],
  [['add', 'publish', '-'], 'payload: expected JSON', `{"title": ${NASTY}}`],
  [['add', 'publish', '-'], 'standard input: expected UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22])],
  [['add', 'publish', '-'], 'standard input: expected at most 8388608 bytes', Buffer.alloc(9 * 2 ** 20, ' ')],
  [
    ['add', 'publish', '-'],
    'expected at most 1048576 bytes as JSON',
    JSON.stringify({ title: 'a', body: 'x'.repeat(2 ** 20) }),
  ],
  [['add', 'publish', '-'], /levels of nesting/, `{"title":"a","body":"b","more":${levels(200)}}`],
  [['add', 'publish', POST, '--priority', '-5'], 'priority: expected a whole number'],
  [['add', 'publish', POST, '--priority', 'NaN'], 'priority: expected a whole number'],
  [['add', 'publish', POST, '--priority', '1e9'], 'priority: expected a whole number'],
  [['jobs', 'publish', '--limit', `-1${NASTY}`], 'limit: expected a whole number'],
  [['jobs', 'publish', '--limit', '9'.repeat(400)], 'limit: expected a whole number'],
  [['cancel', 'publish', 'j_x', '--reason', NASTY], 'reason: expected 1 to 500 characters on one line'],
  [['pause', 'publish', '--reason', '  '], 'reason: expected 1 to 500 characters on one line'],
  [['dead', 'publish', 'replay', 'j_x', '--reason', LONG], 'reason: expected 1 to 500 characters on one line'],
  // An empty reason, whichever the order.
  ...[
    ['pause', 'publish'],
    ['resume', 'publish'],
    ['cancel', 'publish', 'j_x'],
    ['dead', 'publish', 'drop', 'j_x'],
    ['take', 'publish', '--as', 'manual'],
    ['release', 'publish', '--as', 'manual'],
    ['owner', 'publish', 'adopt', '--of', 'cron'],
    ['agents', 'forum', 'clear', 'a01'],
    ['limits', 'forum', 'reset'],
  ].map((order): Case => [[...order, '--reason', ''], 'reason: expected 1 to 500 characters on one line, got ""']),
  [['note', 'publish', ' '], 'text: expected 1 to 500 characters on one line'],
  [['timeline', '--since', 'yesterday'], 'since: expected'],
  [['add', 'publish', '-'], 'payload: ', levels(8_000)],
];

const wrongUsage: Case[] = [
  [['add', 'publish'], "missing required argument 'json'"],
  [['add', 'publish', POST, 'more'], 'too many arguments'],
  [['dead', 'publish', NASTY], 'Allowed choices are list, show, replay'],
  [[NASTY], 'unknown command'],
  [['take', 'publish', '--as', 'manual'], "required option '--reason <text>' not specified"],
  [['owner', 'publish', 'adopt', '--of', 'cron'], 'expected --reason <text>'],
  [['jbos', 'publish'], /unknown command 'jbos' \(Did you mean jobs\?\)/],
  [['why', `--x${NASTY}`], 'unknown option'],
];

describe('bad input', () => {
  it('that is well-formed is refused with 1', async ({ world }) => {
    await expectRefusals(world, refused, 1);
  });

  it('of no known form is wrong usage: 2', async ({ world }) => {
    await expectRefusals(world, wrongUsage, 2);
  });

  it('is not what has a byte order mark, blanks, or text beyond ASCII (twin)', async ({ world }) => {
    const odd = `\ufeff\n ${JSON.stringify({ title: 'é\u2028\ud83d\ude00', body: NASTY }, null, 2)}\n`;
    const { code, stdout, stderr } = await world.cliProcess(['add', 'publish', '-', '--key', 'é', '--json'], {}, odd);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { id } = JSON.parse(stdout) as { id: string };
    const data = JSON.parse((await world.redis.hget(world.queue(publish).jobKey(id), 'data')) as string) as unknown;
    expect(data).toMatchObject({ key: 'é', payload: { title: 'é\u2028\ud83d\ude00', body: NASTY } });
    expect(await standing(world)).not.toEqual({});
  });
});

async function expectRefusals(world: World, cases: readonly Case[], expected: number): Promise<void> {
  // One job is there, so that a command that changes what it should not has something to change.
  await (await world.producer()).add(publish, { title: 'there', body: 'before' });
  const before = await standing(world);
  for (const [place, [args, says, input]] of cases.entries()) {
    // The first as people type it: how a process ends is the same for all.
    const run = place === 0 ? world.cliProcess : world.cli;
    const { code, stdout, stderr } = await run(args, {}, input);
    const what = JSON.stringify(args).slice(0, 200);
    expect({ what, code, stdout, stderr }).toEqual({ what, code: expected, stdout: '', stderr: expect.any(String) });
    expect(stderr, what).toMatch(/^error: [^\n]+\n$/);
    expect(stderr.slice(0, -1), what).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]|\n {4}at /u);
    expect(stderr.length, what).toBeLessThan(1_500);
    if (typeof says === 'string') expect(stderr, what).toContain(says);
    else expect(stderr, what).toMatch(says);
  }
  expect(await standing(world)).toEqual(before);
}

/** Every key of the test's namespace, with what it holds. */
async function standing({ redis, prefix }: World): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for await (const found of redis.scanStream({ match: `${prefix}:*`, count: 1_000 })) {
    for (const key of found as string[])
      all[key] = ((await redis.dumpBuffer(key)) ?? Buffer.alloc(0)).toString('base64');
  }
  return all;
}
