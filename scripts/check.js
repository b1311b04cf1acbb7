// `npm run check`: format and lint, types, then the tests (import directions are one of them). Stops at the first that fails.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { prepare, ROOT } from './prepare.js';

prepare();
const steps = [
  ['format and lint', 'biome', 'ci', '.'],
  ['types', 'tsc', '--noEmit', '-p', 'tsconfig.json'],
  ['tests', 'vitest', 'run', '--project', 'unit', ...process.argv.slice(2)],
];
for (const [what, tool, ...args] of steps) {
  console.error(`\n== ${what}: ${tool} ${args.join(' ')}`);
  const { status } = spawnSync(join(ROOT, 'node_modules', '.bin', tool), args, { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
