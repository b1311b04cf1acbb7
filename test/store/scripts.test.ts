// Each Lua file and its typed wrapper say the same; a script works after Redis has forgotten it, and leaves its keys' shard to the
// caller. What each does is shown where it is used.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';
import type { Script } from '../../src/store/define-script.ts';
import { dropLetter } from '../../src/store/scripts/drop-letter.ts';
import { pageLetters } from '../../src/store/scripts/page-letters.ts';
import { readyLetter } from '../../src/store/scripts/ready-letter.ts';
import { it } from '../support/world.ts';

const FOLDER = join(ROOT, 'src', 'store', 'scripts');
const ALL: Record<string, Script<string, string, unknown>> = {
  'drop-letter': dropLetter,
  'page-letters': pageLetters,
  'ready-letter': readyLetter,
};

/** The names a header gives, in the order of their numbers. */
function named(lua: string, kind: 'KEYS' | 'ARGV'): string[] {
  const found = [...lua.matchAll(new RegExp(`^-- ${kind}\\[(\\d+)\\] (\\w+)`, 'gm'))];
  expect(found.map(([, number]) => Number(number))).toEqual(found.map((_, index) => index + 1));
  return found.map(([, , name]) => name as string);
}

describe('a script', () => {
  it('lies beside its wrapper, and this test knows it', async () => {
    const files = (await readdir(FOLDER)).sort();
    expect(files).toEqual(Object.keys(ALL).flatMap((name) => [`${name}.lua`, `${name}.ts`]));
  });

  it('has a header that names its keys and arguments as the wrapper does, and uses no other', async () => {
    for (const [name, script] of Object.entries(ALL)) {
      const path = join(FOLDER, `${name}.lua`);
      const lua = await readFile(path, 'utf8');
      expect(script.file.href).toBe(pathToFileURL(path).href);
      expect(named(lua, 'KEYS'), name).toEqual(script.keys);
      expect(named(lua, 'ARGV'), name).toEqual(script.args);
      expect(lua.split('\n').length, name).toBeLessThanOrEqual(60);
      const code = lua.replace(/^--.*$/gm, '');
      for (const [kind, names] of [['KEYS', script.keys] as const, ['ARGV', script.args] as const]) {
        const used = new Set([...code.matchAll(new RegExp(`${kind}\\[(\\d+)\\]`, 'g'))].map(([, n]) => Number(n)));
        expect(
          [...used].sort((a, b) => a - b),
          `${name} ${kind}`,
        ).toEqual(names.map((_, index) => index + 1));
      }
    }
  });

  it('works when Redis has forgotten it', async ({ world }) => {
    const failed = `${world.prefix}:forgotten`;
    await world.redis.zadd(failed, 5, 'a', 5, 'b', 6, 'c');
    const page = (afterAt: number | '-inf', afterId: string) =>
      pageLetters(world.redis, { failed }, { afterAt, afterId, untilAt: 5, count: 10 });
    expect(await page('-inf', '')).toEqual([
      { id: 'a', diedAt: 5 },
      { id: 'b', diedAt: 5 },
    ]);
    await world.redis.script('FLUSH');
    expect(await page(5, 'a')).toEqual([{ id: 'b', diedAt: 5 }]);
  });
});

describe('the order of a page', () => {
  it('is that of the set: by bytes, a shorter id before a longer one', async ({ world }) => {
    const failed = `${world.prefix}:ordered`;
    const ids = ['a', 'B', 'aa', 'ä', 'z', 'Z', 'a-', '', '日本'];
    for (const id of ids) await world.redis.zadd(failed, 7, id);
    const order = await world.redis.zrange(failed, 0, '-1');
    for (const [index, afterId] of order.entries()) {
      const page = await pageLetters(world.redis, { failed }, { afterAt: 7, afterId, untilAt: 9, count: 100 });
      expect(page.map(({ id }) => id)).toEqual(order.slice(index + 1));
    }
  });
});
