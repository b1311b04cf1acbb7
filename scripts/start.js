// `npm start`: the sample fleet at work. Brings what is missing, starts the stand-in upstream and `lanekeeper up`, and feeds the
// lanes a little work, so that there is something to see. Ctrl-C drains the pods first; the stand-in leaves last.

import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { prepare, ROOT } from './prepare.js';

prepare();

const main = join(ROOT, 'dist', 'main.js');
const dataDir = process.env.LANEKEEPER_DATA ?? join(ROOT, '.lanekeeper');
const helpers = [];
let isLeaving = false;

// In its own group and with a channel to us: Ctrl-C leaves it alone, our death ends it.
function startHelper(args, env) {
  const helper = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  helpers.push(helper);
  return helper;
}

const simulator = startHelper([main, 'simulate', '--port', '0', '--scenario', 'tight']);
const { url } = await new Promise((resolve) => simulator.once('message', resolve));
const upstreams = { FORUM_URL: url, MODEL_URL: url, FEED_URL: url };

const up = spawn(process.execPath, [main, 'up', '--dir', ROOT], {
  cwd: ROOT,
  env: { ...process.env, ...upstreams, LANEKEEPER_DATA: dataDir },
  stdio: ['inherit', 'pipe', 'inherit', 'ipc'],
});
createInterface({ input: up.stdout }).on('line', (line) => {
  console.log(line);
  if (/^ {2}data /.test(line)) void showWork();
});
up.on('exit', (code) => {
  for (const helper of helpers) helper.kill();
  process.exit(isLeaving ? 0 : (code ?? 1));
});

async function showWork() {
  console.log(`  upstream ${url} (the stand-in; its verdict: ${url}/_sim/verdict?format=text)`);
  console.log('\nIn a second terminal, in this folder:\n');
  console.log(`  npx lanekeeper add publish '{"title":"Hello","body":"from a second terminal"}' --agent a01`);
  console.log('  npx lanekeeper lanes\n');
  const redisUrl = process.env.REDIS_URL ?? JSON.parse(await readFile(join(dataDir, 'running.json'), 'utf8')).url;
  startHelper(['--import', 'tsx', join(ROOT, 'scripts', 'feed.ts')], { REDIS_URL: redisUrl });
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    isLeaving = true;
    helpers[1]?.kill();
    // Ctrl-C in a terminal reached `up` already: it is in our group.
    if (signal === 'SIGTERM') up.kill('SIGTERM');
  });
}
