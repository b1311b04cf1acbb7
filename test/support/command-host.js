// A process that has loaded dist/ and runs one command line after another, each with its own settings and input, and tells what
// it wrote: the same code as `lanekeeper …`, without the half second that each process of its own needs to load it.

import { Readable } from 'node:stream';
import { runCommandLine } from '../../dist/doors/cli/command-line.js';

const tell = process.send.bind(process);
process.send = undefined; // it is nobody's child: that is what a command asks this for

const ENTRY = new URL('../../dist/main.js', import.meta.url).pathname;

async function run({ args, env, input }) {
  const said = { stdout: '', stderr: '' };
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env);
  process.exitCode = undefined;
  Object.defineProperty(process, 'stdin', {
    value: Readable.from([Buffer.from(input, 'base64')], { objectMode: false }),
    configurable: true,
  });
  for (const name of ['stdout', 'stderr']) {
    process[name].write = (chunk, ...more) => {
      said[name] += chunk;
      if (typeof more.at(-1) === 'function') more.at(-1)();
      return true;
    };
  }
  const refused = await runCommandLine(args, { entry: ENTRY, version: '0.0.0' });
  const code = refused || Number(process.exitCode ?? 0);
  process.exitCode = undefined;
  return { code, ...said };
}

let last = Promise.resolve();
process.on('message', (call) => {
  last = last.then(async () => tell({ id: call.id, ...(await run(call)) }));
});
process.on('disconnect', () => process.exit());
