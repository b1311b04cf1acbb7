// The Lua scripts and their typed wrappers: each header names what the wrapper passes, and the build brings them to dist/.

import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';

const STORE = join(ROOT, 'src', 'store');
const files = (
  await Promise.all(
    ['scripts', 'ownership'].map(async (folder) => {
      const names = await readdir(join(STORE, folder));
      // Without a wrapper of its own it is put before others.
      return names
        .filter((name) => name.endsWith('.lua') && names.includes(name.replace('.lua', '.ts')))
        .map((name) => join(folder, name));
    }),
  )
).flat();

function header(lua: string, kind: 'KEYS' | 'ARGV'): string[] {
  const lines = [...lua.matchAll(new RegExp(`^-- ${kind}\\[(\\d+)\\] (\\S+)`, 'gm'))];
  expect(lines.map(([, index]) => Number(index))).toEqual(lines.map((_, index) => index + 1));
  return lines.map(([, , name]) => name as string);
}

describe.each(files)('%s', (file) => {
  it('opens with a header that names what its wrapper passes', async () => {
    const lua = await readFile(join(STORE, file), 'utf8');
    const wrapper = (await import(join(STORE, file.replace('.lua', '.ts')))) as Record<string, unknown>;
    const script = Object.values(wrapper).find((value) => typeof value === 'object') as {
      keys: string[];
      args: string[];
    };
    expect(header(lua, 'KEYS')).toEqual(script.keys);
    expect(header(lua, 'ARGV')).toEqual(script.args);
    expect(lua.startsWith('-- ')).toBe(true);
  });

  it('lies beside its wrapper in dist/', () => {
    expect(existsSync(join(ROOT, 'dist', 'store', file))).toBe(true);
  });
});
