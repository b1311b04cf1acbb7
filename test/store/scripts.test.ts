// The Lua scripts and their typed wrappers: each header names what the wrapper passes, and the build brings them to dist/.

import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';

const FOLDER = join(ROOT, 'src', 'store', 'scripts');
const files = (await readdir(FOLDER)).filter((name) => name.endsWith('.lua'));

function header(lua: string, kind: 'KEYS' | 'ARGV'): string[] {
  const lines = [...lua.matchAll(new RegExp(`^-- ${kind}\\[(\\d+)\\] (\\S+)`, 'gm'))];
  expect(lines.map(([, index]) => Number(index))).toEqual(lines.map((_, index) => index + 1));
  return lines.map(([, , name]) => name as string);
}

describe.each(files)('%s', (file) => {
  it('opens with a header that names what its wrapper passes', async () => {
    const lua = await readFile(join(FOLDER, file), 'utf8');
    const wrapper = (await import(join(FOLDER, `${basename(file, '.lua')}.ts`))) as Record<string, unknown>;
    const script = Object.values(wrapper).find((value) => typeof value === 'object') as {
      keys: string[];
      args: string[];
    };
    expect(header(lua, 'KEYS')).toEqual(script.keys);
    expect(header(lua, 'ARGV')).toEqual(script.args);
    expect(lua.startsWith('-- ')).toBe(true);
  });

  it('lies beside its wrapper in dist/', () => {
    expect(existsSync(join(ROOT, 'dist', 'store', 'scripts', file))).toBe(true);
  });
});
