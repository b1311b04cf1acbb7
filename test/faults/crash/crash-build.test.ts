// The switch that kills is in the crash build and nowhere else: what is published has an empty function in its place.

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { ROOT } from '../../../scripts/prepare.js';
import { makeCrashBuild } from './crash-build.ts';

const SWITCH = /FAULTS_|crash.*SIGKILL/i;

function filesWithSwitch(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'));
  expect(files.length).toBeGreaterThan(50);
  return files.filter((name) => SWITCH.test(readFileSync(join(folder, name), 'utf8')));
}

/** Passes before-settle twice, told to die at the second. */
function passTwice(module: string, record: string) {
  const code = `const { crashPoint } = await import(${JSON.stringify(pathToFileURL(module).href)});
    crashPoint('before-settle'); crashPoint('before-bury'); console.log('once');
    crashPoint('before-settle'); console.log('twice');`;
  return spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
    env: { ...process.env, FAULTS_CRASH_AT: 'before-settle', FAULTS_CRASH_PASS: '2', FAULTS_CRASH_RECORD: record },
  });
}

it('is not in dist/, and is in the crash build (twin)', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lanekeeper-crash-'));
  const build = makeCrashBuild();
  try {
    const record = join(folder, 'record');
    const inDist = join(ROOT, 'dist', 'words', 'crash-point.js');
    const inCrash = join(build.folder, 'src', 'words', 'crash-point.js');

    expect(filesWithSwitch(join(ROOT, 'dist'))).toEqual([]);
    expect(filesWithSwitch(join(build.folder, 'src'))).toEqual([join('words', 'crash-point.js')]);
    expect(await readFile(inDist, 'utf8')).toContain('export function crashPoint(_name) { }');

    expect(passTwice(inDist, record)).toMatchObject({ status: 0, stdout: 'once\ntwice\n' });
    expect(passTwice(inCrash, record)).toMatchObject({ status: null, signal: 'SIGKILL', stdout: 'once\n' });
    expect(JSON.parse(await readFile(record, 'utf8'))).toMatchObject({ what: 'crash', at: 'before-settle' });
  } finally {
    build.remove();
    await rm(folder, { recursive: true });
  }
});
