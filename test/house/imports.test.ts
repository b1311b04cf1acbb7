// Folders are layers and imports go one way: words <- store <- policies <- path <- engine <- doors <- main. Types count too.

import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { importsOf, readSources, type SourceFile } from './sources.ts';

/** What a layer may import besides itself. A file of it may import its own layer, but for `policies`: each asks one question. */
const MAY_IMPORT: Record<string, string[]> = {
  words: [],
  store: ['words'],
  policies: ['words'],
  path: ['words', 'store', 'policies'],
  engine: ['words', 'store', 'policies', 'path'],
  simulator: ['words'],
  doors: ['words', 'store', 'policies', 'path', 'engine', 'simulator'],
  'main.ts': ['words', 'store', 'policies', 'path', 'engine', 'doors'],
  'index.ts': ['words', 'path'],
};
const SECLUDED = ['policies'];
const PACKAGES_OF_DEFINITIONS = ['lanekeeper', 'zod'];

/** What is wrong with the imports of one file, one line each. */
function wrongImports({ path, text }: SourceFile): string[] {
  return importsOf(text).flatMap((name) => {
    const complaint = path.startsWith('src/') ? ofEngine(path, name) : ofDefinitions(path, name);
    return complaint ? [`${path} imports ${name}: ${complaint}`] : [];
  });
}

function ofEngine(path: string, name: string): string | undefined {
  if (!name.startsWith('.'))
    return name === 'lanekeeper' ? 'the engine does not go through its own front door' : undefined;
  const target = posix.join(posix.dirname(path), name);
  if (!target.startsWith('src/')) return 'that is not part of the engine';
  const layer = layerOf(path);
  const other = layerOf(target);
  const allowed = MAY_IMPORT[layer];
  if (!allowed) return `the layer ${layer} is not in the table`;
  if (other === layer) return SECLUDED.includes(layer) ? `one of ${layer} never imports another` : undefined;
  return allowed.includes(other) ? undefined : `${layer} may import ${['itself', ...allowed].join(', ')}`;
}

function ofDefinitions(path: string, name: string): string | undefined {
  if (!name.startsWith('.')) {
    const isKnown = PACKAGES_OF_DEFINITIONS.includes(name) || name.startsWith('node:') || builtinModules.includes(name);
    return isKnown ? undefined : `definitions import ${PACKAGES_OF_DEFINITIONS.join(', ')} and Node alone`;
  }
  const [folder] = posix.join(posix.dirname(path), name).split('/');
  if (folder === 'queues' || (folder === 'workers' && path.startsWith('workers/'))) return undefined;
  return 'definitions import each other and the front door alone';
}

/** `src/path/lane.ts` -> path; a file right in src is a layer of its own. */
function layerOf(path: string): string {
  return path.split('/')[1] as string;
}

describe('the imports', () => {
  it('of the engine, the sample lanes and their workers go one way', async () => {
    const files = await readSources('src', 'queues', 'workers');
    expect(files.length).toBeGreaterThan(50);
    expect(files.flatMap(wrongImports)).toEqual([]);
  });

  it('make no circle', async () => {
    const files = await readSources('src');
    const graph = new Map(
      files.map(({ path, text }) => {
        const relative = importsOf(text).filter((name) => name.startsWith('.'));
        return [path, relative.map((name) => posix.join(posix.dirname(path), name))];
      }),
    );
    expect(circlesIn(graph)).toEqual([]);
  });

  it('of a name that is no file are found by the compiler; here each of ours is one', async () => {
    const files = await readSources('src', 'queues', 'workers');
    const known = new Set(files.map(({ path }) => path));
    const lost = files.flatMap(({ path, text }) =>
      importsOf(text)
        .filter((name) => name.startsWith('.') && !known.has(posix.join(posix.dirname(path), name)))
        .map((name) => `${path} -> ${name}`),
    );
    expect(lost).toEqual([]);
  });
});

describe('a wrong import (twin)', () => {
  it.each([
    ['src/words/a.ts', "import { b } from '../store/b.ts';"],
    ['src/words/a.ts', "import type { B } from '../path/b.ts';"],
    ['src/words/a.ts', "export { b } from '../policies/b.ts';"],
    ['src/words/a.ts', "export * from '../path/b.ts';"],
    ['src/words/a.ts', "const b = await import('../store/b.ts');"],
    ['src/words/a.ts', "let b: import('../store/b.ts').B;"],
    ['src/words/a.ts', "import {\n  b,\n  type C,\n} from '../store/b.ts';"],
    ['src/store/a.ts', "import '../policies/b.ts';"],
    ['src/policies/a.ts', "import { b } from './b.ts';"],
    ['src/policies/a.ts', "import { b } from '../store/b.ts';"],
    ['src/path/a.ts', "import { b } from '../engine/b.ts';"],
    ['src/engine/a.ts', "import { b } from '../doors/cli/b.ts';"],
    ['src/engine/a.ts', "import { b } from '../simulator/b.ts';"],
    ['src/simulator/a.ts', "import { b } from '../store/b.ts';"],
    ['src/doors/cli/a.ts', "import { b } from '../../main.ts';"],
    ['src/doors/cli/a.ts', "import { b } from '../../index.ts';"],
    ['src/index.ts', "export { b } from './engine/b.ts';"],
    ['src/path/a.ts', "import { b } from 'lanekeeper';"],
    ['src/path/a.ts', "import { b } from '../../scripts/b.js';"],
    ['src/helpers/a.ts', "import { b } from '../words/b.ts';"],
    ['queues/a.ts', "import { Redis } from 'ioredis';"],
    ['queues/a.ts', "import { b } from '../src/index.ts';"],
    ['queues/a.ts', "import { b } from '../workers/b.ts';"],
    ['workers/a.ts', "import { Queue } from 'bullmq';"],
  ])('in %s is seen: %j', (path, text) => {
    expect(wrongImports({ path, text })).toHaveLength(1);
  });

  it.each([
    [
      'src/path/a.ts',
      "import { b } from '../words/b.ts';\nimport { c } from './c.ts';\nimport { Queue } from 'bullmq';",
    ],
    ['src/doors/cli/a.ts', "import { b } from '../../simulator/b.ts';\nimport { c } from '../api/c.ts';"],
    ['src/words/a.ts', "// import { b } from '../store/b.ts';\n/* import '../store/b.ts'; */"],
    [
      'workers/a.ts',
      "import { b } from '../queues/b.ts';\nimport { z } from 'zod';\nimport { join } from 'node:path';",
    ],
  ])('is not seen where there is none: in %s', (path, text) => {
    expect(wrongImports({ path, text })).toEqual([]);
  });

  it('in a circle is seen', () => {
    const graph = new Map([
      ['a', ['b']],
      ['b', ['c']],
      ['c', ['a']],
      ['d', ['a']],
    ]);
    expect(circlesIn(graph)).toEqual(['a -> b -> c -> a']);
  });
});

function circlesIn(graph: ReadonlyMap<string, string[]>): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const walk = (node: string, way: string[]): void => {
    if (way.includes(node)) circles.push([...way.slice(way.indexOf(node)), node].join(' -> '));
    if (way.includes(node) || done.has(node)) return;
    for (const next of graph.get(node) ?? []) walk(next, [...way, node]);
    done.add(node);
  };
  for (const node of graph.keys()) walk(node, []);
  return circles;
}
