// The habits of the house that a reader cannot see at a glance and a linter does not know.

import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';
import { codeOnly, readSources, type SourceFile, withoutComments } from './sources.ts';

const HOME = ['src', 'queues', 'workers'];
const EVERYWHERE = [...HOME, 'test', 'bench', 'scripts'];

/** Complaints about files, by rule: each is a line that names file and line. */
function findIn(files: SourceFile[], forbidden: RegExp, clean: (text: string) => string = codeOnly): string[] {
  return files.flatMap(({ path, text }) =>
    clean(text)
      .split('\n')
      .flatMap((line) => (forbidden.test(line) ? [`${path}: ${line.trim()}`] : [])),
  );
}

describe('the clock', () => {
  const READS_A_CLOCK = /\bDate\.now\b|\bnew Date\(\s*\)|\bDate\(\)|\bperformance\.now\b|\bprocess\.hrtime\b/;
  /** Files that may read a clock by themselves, and why. */
  const ALLOWED: Record<string, string> = {
    'src/words/clock.ts': 'it is the clock',
    'src/engine/watchdog.ts': 'its thread is a text without imports, and stamps its last words',
  };

  it('is read in words/clock.ts alone', async () => {
    const files = (await readSources(...HOME)).filter(({ path }) => !(path in ALLOWED));
    expect(findIn(files, READS_A_CLOCK, withoutComments)).toEqual([]);
  });

  it('is read where the list says so, or the list is too long', async () => {
    const files = await readSources('src');
    for (const path of Object.keys(ALLOWED)) {
      expect(
        findIn(
          files.filter((file) => file.path === path),
          READS_A_CLOCK,
          withoutComments,
        ),
        path,
      ).not.toEqual([]);
    }
  });

  it.each(['Date.now()', 'const now = Date.now;', 'new Date()', 'performance.now()', 'process.hrtime.bigint()'])(
    'that is read by %s is seen (twin)',
    (text) => {
      expect(findIn([{ path: 'a.ts', text }], READS_A_CLOCK, withoutComments)).toHaveLength(1);
      expect(findIn([{ path: 'a.ts', text: `// ${text}` }], READS_A_CLOCK, withoutComments)).toEqual([]);
    },
  );

  it('that turns an instant into text is no reading (twin)', () => {
    expect(findIn([{ path: 'a.ts', text: 'new Date(at).toISOString()' }], READS_A_CLOCK, withoutComments)).toEqual([]);
  });
});

describe('a source file', () => {
  it('opens with a comment that says its one job', async () => {
    const files = await readSources('src', 'test', 'bench', 'scripts', 'queues');
    const silent = files.filter(({ path, text }) => !path.endsWith('.d.ts') && !opensWithComment(text));
    expect(silent.map(({ path }) => path)).toEqual([]);
  });

  it('has at most 400 lines', async () => {
    const files = await readSources(...EVERYWHERE);
    const long = files.filter(({ text }) => text.split('\n').length > 400);
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  it('lies in no drawer: its name and its folders say what is in them', async () => {
    const files = await readSources(...EVERYWHERE);
    const drawers = files.filter(({ path }) => isDrawer(path));
    expect(drawers.map(({ path }) => path)).toEqual([]);
  });

  it('has a name in small letters and dashes', async () => {
    const files = await readSources(...EVERYWHERE);
    const odd = files.filter(
      ({ path }) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9-]+)*\.(ts|js|mjs)$/.test(basename(path)),
    );
    expect(odd.map(({ path }) => path)).toEqual([]);
  });

  it('is judged by rules that see (twin)', () => {
    expect(opensWithComment('// One job.\nimport a;')).toBe(true);
    expect(opensWithComment('#!/usr/bin/env node\n// One job.')).toBe(true);
    expect(opensWithComment("import a from 'a';\n// late")).toBe(false);
    expect(
      ['src/utils/a.ts', 'src/path/helpers.ts', 'test/common/b.ts', 'src/types.ts', 'src/path/lane-utils.ts'].every(
        isDrawer,
      ),
    ).toBe(true);
    expect(isDrawer('src/path/lane.ts')).toBe(false);
  });
});

describe('the types', () => {
  const WEAK = /(?:[:<|&,]|\bas|=>)\s*any(?:\[\])*\s*(?:[)\]>,;|&={}]|$)/;
  const SILENCED = /@ts-(ignore|nocheck|expect-error)/;
  /** Where `any` is the only way to say it, and why. */
  const ALLOWED = ['src/path/options.ts: export type OptionRules = Record<string, OptionRule<any>>;'];

  it('of the sources are known: no any, and no error silenced', async () => {
    const files = await readSources(...HOME);
    expect(findIn(files, WEAK).filter((line) => !ALLOWED.includes(line))).toEqual([]);
    expect(findIn(files, SILENCED, (text) => text)).toEqual([]);
  });

  it.each(['let a: any;', 'f(a as any)', 'Map<string, any>', 'a: any[]', 'OptionRule<any>', 'x: any,'])(
    'that are given up by %j are seen (twin)',
    (text) => {
      expect(findIn([{ path: 'a.ts', text }], WEAK)).toHaveLength(1);
    },
  );

  it('are not confused by the word in a text or a name (twin)', () => {
    for (const text of [
      "say('any other')",
      '`0, any free one`',
      'AbortSignal.any([a])',
      'onAny(x)',
      '// any',
      'const many = 1;',
    ]) {
      expect(findIn([{ path: 'a.ts', text }], WEAK)).toEqual([]);
    }
  });
});

describe('a test', () => {
  const NARROWED = /\b(it|test|describe)(\.\w+)*\.(only|skip|todo|fails|skipIf|runIf)\b|\bx(it|describe)\(/;
  const SLEEPS = /\bsetTimeout\b\s*\(?\s*\(?(resolve|r|done|ok)\b|timers\/promises|\bsleep\(|\bdelay\(\d/;

  it('is run: none is left out, none runs alone', async () => {
    expect(findIn(await readSources('test'), NARROWED)).toEqual([]);
  });

  it.each(['it.only(', 'describe.skip(', 'it.concurrent.only(', 'test.todo(', 'xit('])(
    'that says %s is seen (twin)',
    (text) => {
      expect(findIn([{ path: 'a.ts', text }], NARROWED)).toHaveLength(1);
    },
  );

  it('of words, policies, path, engine and house waits by asking again, never by sleeping', async () => {
    const files = await readSources('test/words', 'test/policies', 'test/path', 'test/engine', 'test/house');
    expect(
      findIn(
        files.filter(({ path }) => !path.endsWith('habits.test.ts')),
        SLEEPS,
        withoutComments,
      ),
    ).toEqual([]);
  });
});

describe('the lock file', () => {
  const hosts = (text: string) => [...text.matchAll(/"resolved":\s*"([^"]*)"/g)].map(([, url]) => url);

  it('names no host: whoever installs uses their own registry', async () => {
    expect(hosts(await readFile(join(ROOT, 'package-lock.json'), 'utf8'))).toEqual([]);
  });

  it('that named one would be seen (twin)', () => {
    expect(hosts('{ "resolved": "https://registry.example/a.tgz" }')).toHaveLength(1);
  });
});

function opensWithComment(text: string): boolean {
  return /^(#!.*\n)?\s*(\/\/|\/\*)/.test(text);
}

function isDrawer(path: string): boolean {
  return path.split('/').some((part) => /(^|-)(utils?|helpers?|common|types|misc|lib)(\.|$)/.test(part));
}
