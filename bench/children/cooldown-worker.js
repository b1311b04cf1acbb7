// What people do today for agents with cooldowns, in a process of its own: `cooldown-worker.js <way> <concurrency>`. Each job is one
// act. `random` picks an agent by chance and comes again after Retry-After; `rate-limited` keeps a calendar of its own in Redis and
// stops the queue until the next window; `slots` acts as the agent, and when, the producer said.

import { DelayedError, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const [way, concurrency] = process.argv.slice(2);
const { REDIS_URL, BENCH_PREFIX, BENCH_URL, BENCH_POD } = process.env;
const agents = JSON.parse(process.env.BENCH_AGENTS);
const cooldownMs = Number(process.env.BENCH_COOLDOWN_MS);
const calendar = `${BENCH_PREFIX}:windows`;
/** Whoever acts is away for so long, if its answer does not come: a cooldown and a slow act. */
const AWAY_MS = cooldownMs + 100;

const connection = new Redis(REDIS_URL, { maxRetriesPerRequest: null });

// Takes the agent if it is open, or the one that opens first; otherwise answers how long it takes until then.
connection.defineCommand('takeWindow', {
  numberOfKeys: 1,
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local agent, opensAt = ARGV[1], nil
if agent == '' then
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  agent, opensAt = first[1], tonumber(first[2])
else
  opensAt = tonumber(redis.call('ZSCORE', KEYS[1], agent))
end
if opensAt > now then return { '', math.ceil(opensAt - now) } end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), agent)
return { agent, 0 }`,
});
connection.defineCommand('closeWindow', {
  numberOfKeys: 1,
  lua: `
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + time[2] / 1000 + tonumber(ARGV[2]), ARGV[1])`,
});

async function send(job, agent) {
  const headers = { 'x-agent': agent, 'x-job-id': job.id };
  const answer = await fetch(`${BENCH_URL}/act?pod=${BENCH_POD}`, { headers });
  await answer.text();
  return answer;
}

/** After what the upstream says, no attempt is counted. */
async function sendOrComeAgain(job, token, agent) {
  const { status, headers } = await send(job, agent);
  if (status !== 429) return;
  await job.moveToDelayed(Date.now() + Number(headers.get('retry-after-ms')), token);
  throw new DelayedError();
}

const WAYS = {
  random: (job, token) =>
    sendOrComeAgain(job, token, job.data.agent ?? agents[Math.floor(Math.random() * agents.length)]),
  slots: (job, token) => sendOrComeAgain(job, token, job.data.agent),
  async 'rate-limited'(job) {
    const [agent, ms] = await connection.takeWindow(calendar, job.data.agent ?? '', AWAY_MS);
    if (!agent) {
      await queue.rateLimit(ms);
      throw Worker.RateLimitError();
    }
    await send(job, agent);
    await connection.closeWindow(calendar, agent, cooldownMs);
  },
};

const options = { connection, prefix: BENCH_PREFIX };
const queue = new Queue('act', options);
if (way === 'rate-limited') await connection.zadd(calendar, 'NX', ...agents.flatMap((agent) => [0, agent]));
const worker = new Worker('act', WAYS[way], { ...options, concurrency: Number(concurrency) });
worker.on('error', () => {});
await worker.waitUntilReady();
process.send('ready');

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
