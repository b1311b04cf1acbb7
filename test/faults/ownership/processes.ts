// Holders in processes of their own, that can be stopped and killed, and what they said.

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../../../scripts/prepare.js';
import type { World } from '../../support/world.ts';
import { until } from '../harness/until.ts';

export interface Holder {
  readonly child: ChildProcess;
  /** What it believed, and when it said so. */
  readonly said: { isHeld: boolean; at: number }[];
}

/** Resolves once it says that it has it. */
export async function startHolder(world: World, kind: 'hold' | 'run', isCareless = false): Promise<Holder> {
  const given = JSON.stringify({ redisUrl: world.redisUrl, prefix: world.prefix, kind, isCareless });
  const file = join(ROOT, 'test', 'faults', 'ownership', 'holder.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', file, given], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  world.defer(() => {
    child.kill('SIGKILL');
    return gone;
  });
  const said: Holder['said'] = [];
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => said.push(JSON.parse(line)));
  await until('it has it', 30_000, async () => said.some(({ isHeld }) => isHeld));
  return { child, said };
}
