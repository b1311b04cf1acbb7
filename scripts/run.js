// `npm test`, `npm run bench` and the like on a fresh clone: brings what is missing, then runs a tool of node_modules.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { prepare, ROOT } from './prepare.js';

prepare();
const [tool, ...args] = process.argv.slice(2);
const child = spawn(join(ROOT, 'node_modules', '.bin', tool), args, { cwd: ROOT, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal ? 1 : code));
