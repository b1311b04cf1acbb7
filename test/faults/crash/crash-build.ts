// The crash build, made once for a run of the suite in a folder of its own under .lanekeeper/, from where it finds the packages.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../../scripts/prepare.js';

export interface CrashBuild {
  /** Where its src/ and its test/ lie. */
  readonly folder: string;
  /** The program in process.ts. */
  readonly program: string;
  remove(): void;
}

export function makeCrashBuild(): CrashBuild {
  const home = join(ROOT, '.lanekeeper');
  mkdirSync(home, { recursive: true });
  const folder = mkdtempSync(join(home, 'crash-build-'));
  const argv = [join(ROOT, 'scripts', 'build.js'), '--crash-points', folder];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
  const remove = () => rmSync(folder, { recursive: true, force: true });
  if (status !== 0) {
    remove();
    throw new Error(`the crash build failed: ${stdout}${stderr}`);
  }
  return { folder, program: join(folder, 'test', 'faults', 'crash', 'process.js'), remove };
}
