// Makes dist/: what tsc emits, plus the Lua scripts, which tsc does not copy. The command is left executable.
// `--crash-points FOLDER` makes a second build there, for the faults alone: its processes kill themselves where they are told to.

import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [option, folder] = process.argv.slice(2);

if (option === undefined) {
  const dist = join(root, 'dist');
  compile('tsconfig.build.json', dist, dist);
  chmodSync(join(dist, 'main.js'), 0o755);
} else if (option === '--crash-points' && folder) {
  const out = resolve(folder);
  const crash = join('test', 'faults', 'crash');
  compile(join(crash, 'tsconfig.json'), out, join(out, 'src'));
  renameSync(join(out, crash, 'crash-point.js'), join(out, 'src', 'words', 'crash-point.js'));
} else {
  console.error('error: expected no option, or --crash-points FOLDER');
  process.exit(2);
}

function compile(config, out, sources) {
  rmSync(out, { recursive: true, force: true });
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const argv = [tsc, '-p', config, '--outDir', out];
  const { status } = spawnSync(process.execPath, argv, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
  cpSync(join(root, 'src'), sources, { recursive: true, filter: (path) => !path.endsWith('.ts') });
}
