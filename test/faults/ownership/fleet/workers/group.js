// Posts once as it should, and once more by a client of its own, late: one that listens to no signal and asks nobody, as many do, but
// shows the fence. What must not take effect any more is the upstream's to refuse.

import { setTimeout as wait } from 'node:timers/promises';
import { handle } from 'lanekeeper';
import { publish, reply } from '../queues/group.js';

const { FIGHT_URL, FAULTS_POD } = process.env;
const LATEST_MS = 1_500;

async function run(job, ctx) {
  const { fence } = ctx;
  const headers = { 'content-type': 'application/json', 'x-job-id': job.id };
  const body = JSON.stringify({ title: job.payload.as, body: FAULTS_POD });
  const answer = await ctx.fetch('/posts', { method: 'POST', headers, body });
  await answer.text();
  await wait(Math.random() * LATEST_MS);
  const shown = { 'x-fence-token': fence, 'x-fence-scope': 'group:forum' };
  const late = await fetch(`${FIGHT_URL}/notes`, { method: 'POST', headers: { ...headers, ...shown }, body });
  await late.text();
}

export const publishHandler = handle(publish, { run });
export const replyHandler = handle(reply, { run });
