// `doctor`: a preflight. One line per check, with what to do; non-zero if any fails.

import type { Command } from 'commander';
import { loadDefinitions } from '../../engine/definitions.ts';
import { readPods, redisNow } from '../../engine/presence.ts';
import { connectRedis, type Redis } from '../../store/connect.ts';
import { systemClock } from '../../words/clock.ts';
import { withoutPassword } from '../../words/config.ts';
import { formatDuration } from '../../words/duration.ts';
import { toError } from '../../words/errors.ts';
import { createKeys } from '../../words/keys.ts';
import { dirCommand } from './options.ts';
import { paint, type Style, say, sayJson, toOneLine } from './print.ts';
import { findRedisUrl, readSettings } from './session.ts';

export interface Finding {
  check: string;
  status: 'ok' | 'warn' | 'fail';
  says: string;
}

/** A pod decides nothing by its own wall clock, but instants that people read come from it. */
const MAX_SKEW_MS = 1_000;

export function addDoctorCommand(program: Command): void {
  dirCommand(program, 'doctor', 'check the settings, the definitions and Redis; non-zero if anything fails').action(
    async (options: { dir: string; json?: boolean }) => {
      const findings: Finding[] = [];
      for await (const finding of examine(options)) findings.push(finding);
      if (options.json) sayJson(findings);
      else for (const finding of findings) sayFinding(finding);
      if (findings.some(({ status }) => status === 'fail')) process.exitCode = 1;
    },
  );
}

async function* examine(options: { dir: string }): AsyncGenerator<Finding> {
  yield { check: 'node', status: 'ok', says: process.version };
  let config: ReturnType<typeof readSettings>;
  try {
    config = readSettings(options);
    yield { check: 'settings', status: 'ok', says: `prefix ${config.prefix}, data in ${config.dataDir}` };
  } catch (error) {
    yield { check: 'settings', status: 'fail', says: toError(error).message };
    return;
  }
  try {
    const { lanes, handlers, unbuilt } = await loadDefinitions(config.dir, 'definitions and handlers');
    yield {
      check: 'definitions',
      status: 'ok',
      says: `${lanes.size} lanes, ${handlers.size} handlers in ${config.dir}`,
    };
    for (const { where, option } of unbuilt) {
      yield { check: 'option', status: 'warn', says: `${where}: ${option} is not built yet: it is ignored` };
    }
  } catch (error) {
    yield { check: 'definitions', status: 'fail', says: toError(error).message };
  }
  let redis: Redis;
  try {
    const url = await findRedisUrl(config);
    redis = await connectRedis(url, 'producer');
    yield { check: 'redis', status: 'ok', says: `answers at ${withoutPassword(url)}` };
  } catch (error) {
    yield { check: 'redis', status: 'fail', says: toError(error).message };
    return;
  }
  try {
    yield* examineRedis(redis, config.prefix);
  } finally {
    redis.disconnect();
  }
}

async function* examineRedis(redis: Redis, prefix: string): AsyncGenerator<Finding> {
  const askedAt = systemClock.now();
  const skewMs = (await redisNow(redis)) - askedAt;
  const info = new Map(
    (await redis.info()).split('\r\n').flatMap((line) => {
      const [key, value] = line.split(':', 2);
      return key && value !== undefined ? [[key, value] as const] : [];
    }),
  );
  const [major = 0, minor = 0] = (info.get('redis_version') ?? '0').split('.').map(Number);
  const isOld = major < 6 || (major === 6 && minor < 2);
  yield {
    check: 'redis version',
    status: isOld ? 'fail' : 'ok',
    says: `${info.get('redis_version')}${isOld ? ': expected 6.2 or newer' : ''}`,
  };
  yield info.get('aof_enabled') === '1'
    ? { check: 'persistence', status: 'ok', says: 'appendonly' }
    : {
        check: 'persistence',
        status: 'warn',
        says: 'appendonly is off: a restart of Redis loses accepted jobs; set appendonly yes',
      };
  const policy = info.get('maxmemory_policy');
  yield policy === 'noeviction'
    ? { check: 'eviction', status: 'ok', says: policy }
    : {
        check: 'eviction',
        status: 'fail',
        says: `${policy}: Redis may drop jobs when it is full; set maxmemory-policy noeviction`,
      };
  yield Math.abs(skewMs) <= MAX_SKEW_MS
    ? { check: 'clock', status: 'ok', says: `${formatDuration(Math.abs(skewMs))} from the clock of Redis` }
    : {
        check: 'clock',
        status: 'warn',
        says: `${formatDuration(Math.abs(skewMs))} from the clock of Redis: run NTP on both`,
      };
  const pods = (await readPods(redis, createKeys(prefix))).filter(({ isAlive }) => isAlive);
  yield pods.length > 0
    ? { check: 'pods', status: 'ok', says: `${pods.length} run: ${pods.map(({ pod }) => pod).join(', ')}` }
    : { check: 'pods', status: 'warn', says: "none runs: start one with 'lanekeeper worker'" };
}

function sayFinding({ check, status, says }: Finding): void {
  const styles: Record<Finding['status'], Style> = { ok: 'green', warn: 'yellow', fail: 'red' };
  say(`${paint(styles[status], status.padEnd(4))}  ${check.padEnd(14)}  ${toOneLine(says)}`);
}
