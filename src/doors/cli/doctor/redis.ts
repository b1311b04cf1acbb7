// What doctor checks of Redis, from what it says of itself: version, persistence, eviction, memory, connections.

import { FULL_RATIO, type RedisInfo, sayMemory, toMemory } from '../../../store/redis-info.ts';
import { isNewEnough, MIN_VERSION } from '../../../store/redis-server-program.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** The first release of each supported line with the mend for CVE-2025-49844: any client that may run Lua could run code. */
const MENDED = {
  Redis: { '6.2': 20, '7.2': 11, '7.4': 6, '8.0': 4, '8.2': 2 } as Record<string, number>,
  Valkey: { '7.2': 11, '8.0': 6, '8.1': 4 } as Record<string, number>,
};
const CVE = 'CVE-2025-49844';

export function checkVersion(info: RedisInfo): Finding {
  const valkey = info.get('valkey_version');
  const name = valkey ? 'Valkey' : 'Redis';
  const version = valkey ?? info.get('redis_version') ?? 'unknown';
  const says = `${name} ${version}`;
  if (!isNewEnough(version)) return fail('redis version', says, `install ${MIN_VERSION} or newer`);
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const lines = MENDED[name];
  const mendedAt = lines[`${major}.${minor}`];
  const isNewer = Object.keys(lines).every((line) => {
    const [lineMajor = 0, lineMinor = 0] = line.split('.').map(Number);
    return major > lineMajor || (major === lineMajor && minor > lineMinor);
  });
  if (mendedAt !== undefined) {
    return patch < mendedAt
      ? warn('redis version', `${says} has ${CVE}`, `install ${major}.${minor}.${mendedAt} or newer`)
      : ok('redis version', says);
  }
  if (isNewer) return ok('redis version', says);
  const mended = Object.entries(lines).map(([line, from]) => `${line}.${from}`);
  return warn(
    'redis version',
    `${says} is past its support`,
    `install one of ${mended.join(', ')} or newer, unless your distribution still mends it`,
  );
}

/** `appendfsync` is undefined where CONFIG may not be asked. */
export function checkPersistence(info: RedisInfo, appendfsync: string | undefined): Finding {
  if (info.get('loading') === '1')
    return fail('persistence', 'Redis is still loading its data', 'wait, then ask again');
  if (info.get('aof_enabled') !== '1') {
    const todo = 'set appendonly yes';
    return warn('persistence', 'appendonly is off: a restart of Redis loses accepted jobs', todo);
  }
  const broken = [
    ['aof_last_write_status', 'the last write to the AOF failed: every add and settle is refused'],
    ['rdb_last_bgsave_status', 'the last save failed: with stop-writes-on-bgsave-error every write is refused'],
    ['aof_last_bgrewrite_status', 'the last rewrite of the AOF failed: it grows until the disk is full'],
  ].find(([field]) => (info.get(field as string) ?? 'ok') !== 'ok');
  const space = 'make room on its disk and look at its log';
  if (broken) return fail('persistence', broken[1] as string, space);
  if (appendfsync === 'always') {
    const todo = 'set appendfsync everysec, which waits and recovers, or watch the disk';
    return warn('persistence', 'appendfsync always: a full disk ends Redis', todo);
  }
  if (appendfsync === 'no') {
    return warn(
      'persistence',
      'appendfsync no: a crash of the machine loses half a minute',
      'set appendfsync everysec',
    );
  }
  return ok('persistence', `appendonly${appendfsync === undefined ? '' : `, appendfsync ${appendfsync}`}`);
}

export function checkEviction(info: RedisInfo): Finding {
  const policy = info.get('maxmemory_policy');
  return policy === 'noeviction'
    ? ok('eviction', policy)
    : fail('eviction', `${policy}: Redis may drop jobs when it is full`, 'set maxmemory-policy noeviction');
}

/** Where adds begin to be refused there is no time left: told a little before. */
const NEAR_RATIO = 0.6;

export function checkMemory(info: RedisInfo): Finding {
  const memory = toMemory(info);
  if (!memory) return warn('memory', 'Redis does not say how much it may use', 'watch it from outside');
  const says = `${sayMemory(memory)}${memory.isLimited ? '' : " of the machine's memory"}`;
  const less = 'let pods drain it, keep less (done.keep, dead.keep), or give it more';
  if (memory.ratio >= FULL_RATIO) return fail('memory', `${says}: adds are refused`, less);
  if (!memory.isLimited) {
    const isAbove = Number(info.get('maxmemory') ?? 0) > 0;
    return warn(
      'memory',
      `${says}; maxmemory is ${isAbove ? 'more than the machine has' : 'not set'}: the system may kill Redis`,
      'set maxmemory to half of what its machine or container has',
    );
  }
  if (memory.ratio >= NEAR_RATIO) return warn('memory', `${says}: from ${FULL_RATIO * 100} % adds are refused`, less);
  return ok('memory', says);
}

export function checkConnections(info: RedisInfo): Finding {
  const [connected, most] = [Number(info.get('connected_clients')), Number(info.get('maxclients') ?? 0)];
  if (!most) return ok('connections', `${connected}; Redis does not say how many it takes`);
  const says = `${connected} of ${most}`;
  const todo = 'raise maxclients, or look for who leaks them: CLIENT LIST';
  if (connected >= most * 0.95) return fail('connections', says, todo);
  return connected >= most * 0.8 ? warn('connections', says, todo) : ok('connections', says);
}
