// Loading a folder: TypeScript or JavaScript, whichever copy of the package made it, and a refusal by name for what does not fit.

import { execFile } from 'node:child_process';
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';
import { it, type World } from '../support/world.ts';

const run = promisify(execFile);

interface Loaded {
  error?: { code?: string; message: string };
  upstreams?: string[];
  lanes?: string[];
  handlers?: string[];
  unbuilt?: { where: string; option: string }[];
}

/** Loads with dist/, in a process of its own as every command does: here the test runner would do the importing. */
const LOADER = `
const { loadDefinitions } = await import(${JSON.stringify(pathToFileURL(join(ROOT, 'dist/engine/definitions.js')).href)});
const [dir, wanted] = process.argv.slice(1);
const names = (map) => [...map.keys()];
try {
  const { upstreams, lanes, handlers, unbuilt } = await loadDefinitions(dir, wanted);
  console.log(JSON.stringify({ upstreams: names(upstreams), lanes: names(lanes), handlers: names(handlers), unbuilt }));
} catch ({ code, message }) { console.log(JSON.stringify({ error: { code, message } })); }`;

/** A folder outside the repository with these files in it. */
async function folderOf(world: World, files: Record<string, string>): Promise<string> {
  const dir = await world.folder();
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), text);
  }
  return dir;
}

async function loadFrom(dir: string, wanted = 'definitions and handlers'): Promise<Loaded> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', LOADER, dir, wanted], { cwd: dir });
  return JSON.parse(stdout) as Loaded;
}

const load = async (world: World, files: Record<string, string>, wanted?: string) =>
  loadFrom(await folderOf(world, files), wanted);

const LANE = `import { defineLane, defineUpstream } from 'lanekeeper';
export const api = defineUpstream({ name: 'api' });
export const a = defineLane({ name: 'a', upstream: api });\n`;
const WORKER = (file: string) => `import { handle } from 'lanekeeper';
import { a } from '../queues/${file}';
export const worker = handle(a, { run: () => null });\n`;

describe('a folder outside the repository', () => {
  it.for([
    ['TypeScript', 'a.ts', 'type T = string; const _t: T = "";\n'],
    ['JavaScript', 'a.js', ''],
    ['modules', 'a.mjs', ''],
  ] as const)("of %s is loaded, and finds 'lanekeeper' and what we depend on", async ([, file, extra], { world }) => {
    const files = {
      'package.json': '{ "type": "module" }',
      [`queues/${file}`]: `import { z } from 'zod';\nz.string();\n${LANE}${extra}`,
      [`workers/${file}`]: WORKER(file),
      'queues/notes.md': '# no definition',
      'queues/a.d.ts': 'export {};',
    };
    expect(await load(world, files)).toEqual({ upstreams: ['api'], lanes: ['a'], handlers: ['a'], unbuilt: [] });
  });

  it.for([undefined, '{}', '{ "type": "commonjs" }'])(
    'of TypeScript is loaded whatever its package.json says (%s): definitions are modules',
    async (manifest, { world }) => {
      const files = { 'queues/a.ts': LANE, 'workers/a.ts': WORKER('a.ts') };
      const given: Record<string, string> = manifest === undefined ? files : { ...files, 'package.json': manifest };
      expect(await load(world, given)).toEqual({ upstreams: ['api'], lanes: ['a'], handlers: ['a'], unbuilt: [] });
    },
  );

  it('imports files of its own as TypeScript may name them, JSON and CommonJS among them', async ({ world }) => {
    const files = {
      'queues/a.ts': `import { suffix } from '../lib/one.js';
import two from '../lib/two';
import { three } from '../lib';
import four from '../lib/four.json';
import five from '../lib/five.cjs';
import { enumerated } from '../lib/six.mjs';
import { defineLane } from 'lanekeeper';
if (suffix + two + three + four.value + five.value + enumerated.X !== '123456') throw new Error('not what they hold');
export const a = defineLane({ name: 'a' });\n`,
      'workers/a.ts': WORKER('a.ts'),
      'lib/one.ts': "import { z } from 'zod';\nexport const suffix: string = z.string().parse('1');",
      'lib/two.ts': "export default '2' as string;",
      'lib/index.ts': "export const three = '3' satisfies string;",
      'lib/four.json': '{ "value": "4" }',
      'lib/five.cjs': "module.exports = { value: '5' };",
      'lib/six.mts': "export enum enumerated { X = '6' }",
    };
    expect(await load(world, files)).toMatchObject({ lanes: ['a'], handlers: ['a'] });
  });

  it('of which only the definitions are wanted runs no worker file', async ({ world }) => {
    const files = { 'queues/a.mjs': LANE, 'workers/a.mjs': 'throw new Error("was run");' };
    expect(await load(world, files, 'definitions')).toMatchObject({ lanes: ['a'], handlers: [] });
  });

  it('with a copy of the package of its own is understood all the same', async ({ world }) => {
    const dir = await folderOf(world, { 'queues/a.mjs': LANE, 'workers/a.mjs': WORKER('a.mjs') });
    const copy = join(dir, 'node_modules/lanekeeper');
    await cp(join(ROOT, 'dist'), join(copy, 'dist'), { recursive: true });
    await cp(join(ROOT, 'package.json'), join(copy, 'package.json'));
    await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    // The copy says where it is, so that the test knows that it was the copy.
    await writeFile(
      join(dir, 'queues/which.mjs'),
      `if (!import.meta.resolve('lanekeeper').includes('/node_modules/lanekeeper/')) throw new Error('ours');`,
    );
    expect(await loadFrom(dir)).toEqual({ upstreams: ['api'], lanes: ['a'], handlers: ['a'], unbuilt: [] });
  });

  it('names every option whose part is not built yet, once, with where it stands', async ({ world }) => {
    const files = {
      'queues/a.mjs': `import { defineLane, defineUpstream } from 'lanekeeper';
export const api = defineUpstream({ name: 'api', breaker: {} });
export const a = defineLane({ name: 'a', upstream: api, pods: 'one' });
export const b = defineLane({ name: 'b', upstream: api });`,
      'workers/a.mjs': `import { handle, probe } from 'lanekeeper';
import { a, b, api } from '../queues/a.mjs';
export const one = handle(a, { run() {}, verify() {} });
export const two = handle(b, { run() {} });
export const alive = probe(api, { every: '1m', run() {} });`,
    };
    expect((await load(world, files)).unbuilt).toEqual([
      { where: 'upstream "api"', option: 'breaker' },
      { where: 'handler "a"', option: 'verify' },
      { where: 'upstream "api"', option: 'probe' },
    ]);
  });
});

describe('what does not fit', () => {
  it.for([
    [
      'an exclusive lane that shares its agents with an open one',
      {
        'queues/a.mjs': `import { defineLane, defineUpstream } from 'lanekeeper';
const api = defineUpstream({ name: 'api', agents: ['a01'] });
export const a = defineLane({ name: 'a', upstream: api, agent: { cooldown: '1h' }, ownership: 'exclusive' });
export const b = defineLane({ name: 'b', upstream: api, agent: { cooldown: '1h' } });
export const c = defineLane({ name: 'c', upstream: api });`,
        'workers/a.mjs': '',
      },
      /^lanes "a" \(exclusive\) and "b" \(open\) act as the same agents, of upstream "api": expected all of them to be exclusive, or none; [^\n]*$/,
    ],
    [
      'a lane without a handler',
      { 'queues/a.mjs': LANE, 'workers/b.mjs': '' },
      /lane "a" has no handler: export handle\(a, \{ run \}\) from a file in workers\//,
    ],
    [
      'a handler without a lane',
      {
        'queues/b.mjs': '',
        'workers/a.mjs': `import { defineLane, handle } from 'lanekeeper';\nexport const h = handle(defineLane({ name: 'x' }), { run() {} });`,
      },
      /the handler of "x" has no lane/,
    ],
    [
      'two lanes of one name',
      { 'queues/a.mjs': LANE, 'queues/b.mjs': LANE },
      /two definitions of \w+ "\w+": in queues\/a\.mjs and in queues\/b\.mjs/,
    ],
    [
      'two handlers of one lane',
      { 'queues/a.mjs': LANE, 'workers/a.mjs': WORKER('a.mjs'), 'workers/b.mjs': WORKER('a.mjs') },
      /two definitions of handler of lane "a": in workers\/a\.mjs and in workers\/b\.mjs/,
    ],
    [
      'a file that throws',
      { 'queues/a.mjs': 'throw new TypeError("broke\\nhere");' },
      /^queues\/a\.mjs: TypeError: broke$/,
    ],
    ['a file that throws no Error', { 'queues/a.mjs': 'throw null;' }, /^queues\/a\.mjs: /],
    ['a file that does not parse', { 'queues/a.ts': 'export const = 5;' }, /^queues\/a\.ts: /],
    [
      'a package that is nowhere',
      { 'queues/a.mjs': "import 'no-such-package-of-anybody';" },
      /^queues\/a\.mjs: .*no-such-package-of-anybody/,
    ],
    [
      'a wrong definition',
      { 'queues/a.mjs': "import { defineLane } from 'lanekeeper';\ndefineLane({ name: 'A' });" },
      /^queues\/a\.mjs: lane "A": name: expected .+, got "A"$/,
    ],
    [
      'an empty folder',
      {},
      /expected queues\/\*\.ts, \.js or \.mjs and workers\/.*, got no such file; name another folder with --dir$/,
    ],
  ] as [string, Record<string, string>, RegExp][])(
    '(%s) is refused by name, in one line',
    async ([, files, said], { world }) => {
      const { error } = await load(world, files);
      expect(error).toMatchObject({ code: 'LK_DEFINITION', message: expect.stringMatching(said) });
      expect(error?.message).not.toContain('\n');
    },
  );

  it('is a folder that is not there', async ({ world }) => {
    const missing = join(await folderOf(world, {}), 'missing');
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', LOADER, missing, 'definitions']);
    const { error } = JSON.parse(stdout) as Loaded;
    expect(error).toMatchObject({ code: 'LK_DEFINITION', message: expect.stringContaining(missing) });
  });

  it('is no lane that is exported from two files: it is one definition', async ({ world }) => {
    const files = {
      'queues/a.mjs': LANE,
      'queues/all.mjs': "export * from './a.mjs';",
      'workers/a.mjs': WORKER('a.mjs'),
    };
    expect(await load(world, files)).toMatchObject({ lanes: ['a'], upstreams: ['api'] });
  });
});
