// `doctor`: a preflight. One line per check, with what to do; non-zero if any fails.

import { join } from 'node:path';
import type { Command } from 'commander';
import { type Definitions, loadDefinitions } from '../../../engine/definitions.ts';
import { fingerprint } from '../../../engine/fingerprint.ts';
import { readPods } from '../../../engine/presence.ts';
import { lookAtLimits } from '../../../path/limit-look.ts';
import { surveyOwners } from '../../../path/owner-survey.ts';
import { connectRedis, type Redis } from '../../../store/connect.ts';
import { chooseLocks } from '../../../store/ownership/choose-locks.ts';
import { readInfo } from '../../../store/redis-info.ts';
import { redisNow } from '../../../store/redis-now.ts';
import { systemClock } from '../../../words/clock.ts';
import { withoutPassword } from '../../../words/config.ts';
import { toError } from '../../../words/errors.ts';
import { createKeys } from '../../../words/keys.ts';
import { dirCommand } from '../options.ts';
import { sayJson } from '../print.ts';
import { findRedisUrl, readSettings } from '../session.ts';
import { type Finding, fail, ok, sayFinding, warn } from './finding.ts';
import { checkLimits } from './limits.ts';
import { checkCommand, checkFiles, checkNode, checkServer, readFileLimit } from './machine.ts';
import { checkOwners } from './owners.ts';
import { checkClock, checkPods } from './pods.ts';
import { checkConnections, checkEviction, checkMemory, checkPersistence, checkVersion } from './redis.ts';
import { checkReplicas, SENTINEL_CHANNEL } from './replicas.ts';

/** What `worker` runs at once unless told otherwise; lanes may ask for less. */
const POD_CONCURRENCY = 64;

export function addDoctorCommand(program: Command): void {
  dirCommand(
    program,
    'doctor',
    'check settings, definitions, machine, Redis, pods, limits and owners; non-zero if any fails',
  ).action(async (options: { dir: string; json?: boolean }) => {
    const findings: Finding[] = [];
    for await (const finding of examine(options)) {
      findings.push(finding);
      if (!options.json) sayFinding(finding);
    }
    if (options.json) sayJson(findings);
    if (findings.some(({ status }) => status === 'fail')) process.exitCode = 1;
  });
}

async function* examine(options: { dir: string }): AsyncGenerator<Finding> {
  yield checkNode(process.version);
  let config: ReturnType<typeof readSettings>;
  try {
    config = readSettings(options);
    yield ok('settings', `prefix ${config.prefix}, data in ${config.dataDir}`);
  } catch (error) {
    yield fail('settings', toError(error).message, 'set it right; nothing else was checked');
    return;
  }
  let definitions: Definitions | undefined;
  try {
    definitions = await loadDefinitions(config.dir, 'definitions and handlers');
    yield ok('definitions', `${definitions.lanes.size} lanes, ${definitions.handlers.size} handlers in ${config.dir}`);
    for (const { where, option } of definitions.unbuilt) {
      yield warn('option', `${where}: ${option} is not built yet: it is ignored`, 'do not rely on it');
    }
  } catch (error) {
    yield fail('definitions', toError(error).message, 'no pod starts on this folder before that is right');
  }
  const lanes = [...(definitions?.lanes.values() ?? [])];
  const attempts = Math.min(
    POD_CONCURRENCY,
    lanes.reduce((sum, lane) => sum + lane.concurrency, 0),
  );
  yield checkFiles(readFileLimit(), attempts);
  yield await checkServer(config.redisUrl !== undefined, join(config.dataDir, 'server'));
  yield await checkCommand(process.env.PATH ?? '');
  let redis: Redis;
  try {
    const url = await findRedisUrl(config);
    redis = await connectRedis(url, 'producer');
    yield ok('redis', `answers at ${withoutPassword(url)}`);
  } catch (error) {
    yield fail('redis', toError(error).message, 'Redis and pods were not checked');
    return;
  }
  try {
    yield* examineRedis(redis);
    const keys = createKeys(config.prefix);
    const pods = (await readPods(redis, keys)).filter(({ isAlive }) => isAlive);
    yield* checkPods(pods, new Map(lanes.map((lane) => [lane.name, fingerprint(lane)])));
    const upstreams = [...(definitions?.upstreams.values() ?? [])];
    const limits = await Promise.all(upstreams.map((upstream) => lookAtLimits(redis, keys, upstream)));
    yield* checkLimits(limits, lanes);
    const locks = chooseLocks(redis, keys, config.lockUrls);
    try {
      yield* checkOwners(await surveyOwners(redis, keys, locks, lanes));
    } finally {
      locks.close();
    }
  } catch (error) {
    yield fail('redis', toError(error).message, 'give this user the right to ask, or look again when it answers');
  } finally {
    redis.disconnect();
  }
}

async function* examineRedis(redis: Redis): AsyncGenerator<Finding> {
  const [askedAt, askedMonoAt] = [systemClock.now(), systemClock.mono()];
  const redisAt = await redisNow(redis);
  const skewMs = askedAt + (systemClock.mono() - askedMonoAt) / 2 - redisAt;
  const info = await readInfo(redis);
  yield checkVersion(info);
  // Managed ones let nobody ask for their configuration.
  const setting = async (name: string) => ((await redis.config('GET', name).catch(() => [])) as string[])[1];
  const appendfsync = await setting('appendfsync');
  yield checkPersistence(info, appendfsync);
  yield checkEviction(info);
  yield checkMemory(info);
  yield checkConnections(info);
  const sentinels = ((await redis.pubsub('NUMSUB', SENTINEL_CHANNEL).catch(() => [])) as unknown[])[1];
  yield* checkReplicas(info, Number(sentinels ?? 0) > 0, {
    toWrite: await setting('min-replicas-to-write'),
    maxLag: await setting('min-replicas-max-lag'),
  });
  yield checkClock('clock', [{ who: 'this machine', skewMs }]);
}
