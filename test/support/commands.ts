// Command lines, run to their end: each in a process of its own, or one after another in one that is warm (command-host.js).

import { type ChildProcess, fork, spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../scripts/prepare.js';

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export const MAIN = join(ROOT, 'dist', 'main.js');
const HOST = join(ROOT, 'test', 'support', 'command-host.js');

export function runToEnd(args: string[], env: NodeJS.ProcessEnv, input: string | Uint8Array = ''): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: ROOT, env });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.on('error', () => {}); // it may end before it has read all
    child.stdin.end(input);
  });
}

interface Host {
  child: ChildProcess;
  asked: Map<number, { resolve: (result: CliResult) => void; reject: (error: Error) => void }>;
}

/** One for all tests of a file. It ends when their process does. */
let host: Host | undefined;
let asks = 0;

function openHost(): Host {
  const child = fork(HOST, { cwd: ROOT, execArgv: [], stdio: 'ignore', serialization: 'advanced' });
  const asked: Host['asked'] = new Map();
  child.on('message', ({ id, ...result }: CliResult & { id: number }) => {
    asked.get(id)?.resolve(result);
    asked.delete(id);
  });
  child.on('exit', (code, signal) => {
    host = undefined;
    for (const { reject } of asked.values()) reject(new Error(`the host of commands ended (${code ?? signal})`));
  });
  // A test counts what it leaves open: this is not its own.
  child.unref();
  child.channel?.unref();
  return { child, asked };
}

export function runWarm(args: string[], env: NodeJS.ProcessEnv, input: string | Uint8Array = ''): Promise<CliResult> {
  host ??= openHost();
  const { child, asked } = host;
  const id = ++asks;
  return new Promise((resolve, reject) => {
    asked.set(id, { resolve, reject });
    child.send({ id, args, env, input: Buffer.from(input).toString('base64') });
  });
}
