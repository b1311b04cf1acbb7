// The twin: a worker of plain BullMQ with its default options. It takes a job, says so to the upstream, and holds it.

import { Worker } from 'bullmq';

const { REDIS_URL, FAULTS_BARE_URL, FAULTS_POD } = process.env;

const worker = new Worker(
  'raw',
  async (job) => {
    await fetch(`${FAULTS_BARE_URL}/raw/1?pod=${FAULTS_POD}&attempt=1&start=${job.attemptsStarted}`, {
      headers: { 'x-job-id': `raw-${job.id}`, 'x-fence-token': String(job.attemptsStarted) },
    });
    if (job.attemptsStarted === 1) await new Promise((resolve) => setTimeout(resolve, 120_000));
  },
  { connection: { url: REDIS_URL } },
);
worker.on('error', () => {});
await worker.waitUntilReady();
process.send?.({ pod: FAULTS_POD });
process.on('disconnect', () => process.exit(0));
