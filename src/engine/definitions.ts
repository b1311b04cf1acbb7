// Loads what a folder defines: every exported upstream, lane, handler and probe of queues/ and workers/, TypeScript or
// JavaScript, and refuses by name what does not fit together. Definitions of another copy of the package are known by brand.

import { readdir } from 'node:fs/promises';
import { register } from 'node:module';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { definitionKind } from '../path/definition.ts';
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
  await prepareImports(files);
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
 * TypeScript through tsx. Behind it two rules of ours: definitions are modules, whatever a package.json beside them says or
 * does not say; and a folder without packages of its own finds ours, so that `import 'lanekeeper'` works anywhere.
 */
async function prepareImports(files: string[]): Promise<void> {
  if (isPrepared) return;
  isPrepared = true;
  if (files.some((file) => file.endsWith('.ts'))) {
    const tsx = await import('tsx/esm/api');
    // Their tsconfig is for their editor: a path alias in it must not swap the package under a running pod.
    tsx.register({ tsconfig: false });
  }
  register(`data:text/javascript,${encodeURIComponent(IMPORT_RULES)}`, { data: import.meta.url });
}

// A text, because Node runs it in a thread of its own, where no TypeScript can be loaded yet. tsx alone goes by the nearest
// package.json and makes CommonJS of a folder that has none; its compiler is asked directly instead.
const IMPORT_RULES = `
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
let ours, esbuild;
export function initialize(url) {
  ours = url;
  esbuild = createRequire(createRequire(url).resolve('tsx/package.json'))('esbuild');
}
export async function resolve(specifier, context, next) {
  return next(specifier, context).catch((error) => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^[a-z]+:/.test(specifier)) throw error;
    return next(specifier, { ...context, parentURL: ours }).catch(() => { throw error; });
  });
}
export async function load(url, context, next) {
  const [, file, ending] = /^(file:[^?]*\\.([tj]s))(\\?|$)/.exec(url) ?? [];
  const isTheirs = file && !file.includes('/node_modules/') && !file.startsWith(new URL('../', ours).href);
  // Beside their definitions they may have CommonJS of their own; TypeScript is never that.
  if (!isTheirs || (ending === 'js' && !/\\/(queues|workers)\\/[^/]+$/.test(file))) return next(url, context);
  const sourcefile = fileURLToPath(file);
  const options = { loader: ending, format: 'esm', target: 'node20', sourcemap: 'inline', sourcefile };
  const { code } = await esbuild.transform(await readFile(sourcefile, 'utf8'), options);
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
