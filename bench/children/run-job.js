// What a job does in both variants, chosen by BENCH_MODE: nothing; keep one step; tell the parent when it started; take a second; or
// send one request. Also answers the parent's question for this process's memory, after a forced collection.

/** Loopback round trips and timers are tens of microseconds: milliseconds would round them away. */
const nowUs = () => Number(process.hrtime.bigint()) / 1_000;

const MODES = {
  noop: async () => {},
  step: (ctx) => ctx.step('work', () => ({ found: 3 })),
  latency: async () => {
    process.send(nowUs());
  },
  slow: () => new Promise((resolve) => setTimeout(resolve, 1_000)),
  request: async (ctx) => {
    await (await ctx.fetch('/work')).text();
  },
};

export const runJob = MODES[process.env.BENCH_MODE ?? 'noop'];

process.on('message', (question) => {
  if (question !== 'memory') return;
  // Twice: what the first one finalizes, the second one frees.
  globalThis.gc();
  globalThis.gc();
  const { rss, heapUsed } = process.memoryUsage();
  process.send({ rss, heapUsed });
});
