// One real Redis for the whole run, as `up` would start it, and a dist/ that is what the sources say.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { build, ROOT } from '../../scripts/prepare.js';
import { startEmbeddedRedis } from '../../src/store/embedded-redis.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    redisUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  build();
  const dataDir = await mkdtemp(join(tmpdir(), 'lanekeeper-test-'));
  const redis = await startEmbeddedRedis({
    dataDir,
    cacheDir: join(ROOT, '.lanekeeper', 'server'),
    say: (line) => console.error(line),
  });
  project.provide('redisUrl', redis.url);
  return async () => {
    await redis.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
}
