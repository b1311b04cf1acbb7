// Loads what a folder defines: every exported upstream, lane, handler and probe of queues/ and workers/, TypeScript or
// JavaScript, and refuses by name what does not fit together. Definitions of another copy of the package are known by brand.

import { readdir } from 'node:fs/promises';
import { register } from 'node:module';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { definitionKind } from '../path/definition.ts';
import { listMixedAgents } from '../path/group.ts';
import type { Handler, Probe } from '../path/handler.ts';
import type { Lane } from '../path/lane.ts';
import type { Upstream } from '../path/upstream.ts';
import { LanekeeperError, quote, toError } from '../words/errors.ts';

export interface Definitions {
  readonly dir: string;
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly lanes: ReadonlyMap<string, Lane>;
  /** By lane. Empty when only definitions were asked for. */
  readonly handlers: ReadonlyMap<string, Handler>;
  /** Options that are accepted but not acted upon yet, each once. */
  readonly unbuilt: readonly { where: string; option: string }[];
}

export type Wanted = 'definitions' | 'definitions and handlers';

interface Found<T> {
  value: T;
  file: string;
}

export async function loadDefinitions(dir: string, wanted: Wanted): Promise<Definitions> {
  const folders = wanted === 'definitions' ? ['queues'] : ['queues', 'workers'];
  const files = (await Promise.all(folders.map((folder) => listFiles(dir, folder)))).flat();
  if (files.length === 0) {
    throw new LanekeeperError(
      'LK_DEFINITION',
      `${dir}: expected ${folders.map((folder) => `${folder}/*.ts, .js or .mjs`).join(' and ')}, got no such file; name another folder with --dir`,
    );
  }
  prepareImports();
  const found = { upstream: [], lane: [], handler: [], probe: [] } as {
    upstream: Found<Upstream>[];
    lane: Found<Lane>[];
    handler: Found<Handler>[];
    probe: Found<Probe>[];
  };
  for (const file of files) {
    for (const value of await readExports(dir, file)) {
      const kind = definitionKind(value);
      if (kind) (found[kind] as Found<unknown>[]).push({ value, file: relative(dir, file) });
    }
  }
  for (const { value } of found.lane) {
    if (value.upstream) found.upstream.push({ value: value.upstream, file: `lane ${quote(value.name)}` });
  }
  const upstreams = byName('upstream', found.upstream, (upstream) => upstream.name);
  const lanes = byName('lane', found.lane, (lane) => lane.name);
  const handlers = byName('handler of lane', found.handler, (handler) => handler.lane.name);
  const mixed = listMixedAgents(lanes.values());
  if (mixed.length > 0) throw new LanekeeperError('LK_DEFINITION', mixed.join('; '));
  if (wanted === 'definitions and handlers') expectPairs(lanes, handlers);
  return Object.freeze({
    dir,
    upstreams,
    lanes,
    handlers,
    unbuilt: listUnbuilt(upstreams, lanes, handlers, found.probe),
  });
}

async function listFiles(dir: string, folder: string): Promise<string[]> {
  const names = await readdir(join(dir, folder)).catch(() => [] as string[]);
  return names
    .filter((name) => /\.(ts|js|mjs)$/.test(name) && !name.endsWith('.d.ts'))
    .sort()
    .map((name) => join(dir, folder, name));
}

let isPrepared = false;

/**
 * TypeScript by the compiler of tsx, and by rules of ours instead of its hooks, which cost every command 0.2 s: definitions are
 * modules, whatever a package.json beside them says or does not say; an import names a file as TypeScript may (`./x.js` or `./x`
 * for `x.ts`); and a folder without packages of its own finds ours, so that `import 'lanekeeper'` works anywhere.
 */
function prepareImports(): void {
  if (isPrepared) return;
  isPrepared = true;
  register(`data:text/javascript,${encodeURIComponent(IMPORT_RULES)}`, { data: import.meta.url });
}

// A text, because Node runs it in a thread of its own, where no TypeScript can be loaded yet.
const IMPORT_RULES = `
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
let ours, esbuild;
export function initialize(url) {
  ours = url;
}
export async function resolve(specifier, context, next) {
  const tries = /^[./]|^file:/.test(specifier)
    ? asTypeScript(specifier).map((name) => [name, context])
    : /^[a-z]+:/.test(specifier) ? [] : [[specifier, { ...context, parentURL: ours }]];
  return next(specifier, context).catch(async (error) => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' && error.code !== 'ERR_UNSUPPORTED_DIR_IMPORT') throw error;
    for (const [name, where] of tries) {
      const found = await next(name, where).catch(() => {});
      if (found) return found;
    }
    throw error;
  });
}
function asTypeScript(name) {
  if (/\\.[cm]?jsx?$/.test(name)) return [name.replace(/js(x?)$/, 'ts$1'), name.replace(/jsx?$/, 'tsx')];
  return ['.ts', '.tsx', '.js', '.mjs', '.json', '/index.ts', '/index.js'].map((ending) => name.replace(/[/]$/, '') + ending);
}
export async function load(url, context, next) {
  const [, file, ending] = /^(file:[^?]*\\.([cm]?[tj]sx?|json))(\\?|$)/.exec(url) ?? [];
  const isTheirs = file && !file.includes('/node_modules/') && !file.startsWith(new URL('../', ours).href);
  // Beside their definitions they may have CommonJS of their own; TypeScript is never that.
  const isScript = ending === 'cjs' || (ending === 'js' && !/\\/(queues|workers)\\/[^/]+$/.test(file));
  if (!isTheirs || isScript) return next(url, context);
  const sourcefile = fileURLToPath(file);
  const text = await readFile(sourcefile, 'utf8');
  if (ending === 'json') return { format: 'module', source: 'export default ' + text, shortCircuit: true };
  esbuild ??= createRequire(createRequire(ours).resolve('tsx/package.json'))('esbuild');
  const options = { loader: ending.replace(/^[cm]/, ''), format: 'esm', target: 'node20', sourcemap: 'inline', sourcefile };
  const { code } = await esbuild.transform(text, options);
  return { format: 'module', source: code, shortCircuit: true };
}`;

async function readExports(dir: string, file: string): Promise<unknown[]> {
  try {
    return Object.values((await import(pathToFileURL(file).href)) as Record<string, unknown>);
  } catch (thrown) {
    const error = toError(thrown);
    const said = error instanceof LanekeeperError ? error.message : `${error.name}: ${error.message.split('\n')[0]}`;
    throw new LanekeeperError('LK_DEFINITION', `${relative(dir, file)}: ${said}`, { cause: error });
  }
}

/** One definition may be exported from two files; two definitions may not have one name. */
function byName<T>(what: string, found: Found<T>[], nameOf: (value: T) => string): Map<string, T> {
  const named = new Map<string, Found<T>>();
  for (const item of found) {
    const name = nameOf(item.value);
    const other = named.get(name);
    if (other && other.value !== item.value) {
      throw new LanekeeperError(
        'LK_DEFINITION',
        `two definitions of ${what} ${quote(name)}: in ${other.file} and in ${item.file}`,
      );
    }
    if (!other) named.set(name, item);
  }
  return new Map([...named].map(([name, { value }]) => [name, value]));
}

function expectPairs(lanes: Map<string, Lane>, handlers: Map<string, Handler>): void {
  const problems = [
    ...[...lanes.keys()]
      .filter((name) => !handlers.has(name))
      .map((name) => `lane ${quote(name)} has no handler: export handle(${name}, { run }) from a file in workers/`),
    ...[...handlers.keys()]
      .filter((name) => !lanes.has(name))
      .map((name) => `the handler of ${quote(name)} has no lane: export its defineLane from a file in queues/`),
  ];
  if (problems.length > 0) throw new LanekeeperError('LK_DEFINITION', problems.join('; '));
}

function listUnbuilt(
  upstreams: Map<string, Upstream>,
  lanes: Map<string, Lane>,
  handlers: Map<string, Handler>,
  probes: Found<Probe>[],
): Definitions['unbuilt'] {
  const of = (kind: string, name: string, options: readonly string[]) =>
    options.map((option) => ({ where: `${kind} ${quote(name)}`, option }));
  return [
    ...[...upstreams].flatMap(([name, { unbuilt }]) => of('upstream', name, unbuilt)),
    ...[...lanes].flatMap(([name, { unbuilt }]) => of('lane', name, unbuilt)),
    ...[...handlers].flatMap(([name, { unbuilt }]) => of('handler', name, unbuilt)),
    ...probes.map(({ value }) => ({ where: `upstream ${quote(value.upstream.name)}`, option: 'probe' })),
  ];
}
