// The environment, read once, checked, frozen. Nothing else in the engine reads process.env.

import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { wrongOption } from './errors.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Config {
  readonly redisUrl: string | undefined;
  readonly prefix: string;
  /** Where HTTP listens. Loopback unless said otherwise: what answers there asks for no key yet. */
  readonly host: string;
  readonly port: Port;
  readonly metricsPort: Port;
  readonly dataDir: string;
  readonly logLevel: LogLevel;
  /** The lock servers that decide by majority who owns a lane: 3 or 5. Empty: the Redis of the jobs decides alone. */
  readonly lockUrls: readonly string[];
  /** Names of settings that are given but whose part is not built yet. */
  readonly unbuilt: readonly string[];
}

export interface Port {
  readonly setting: string;
  readonly number: number;
  /** Named by somebody: if it is taken, that is an error. The default gives way to the next free one. */
  readonly isGiven: boolean;
}

/** Settings a later part reads. Given, they are accepted and named in one warning line. */
export const UNBUILT_SETTINGS = ['LANEKEEPER_KEYS'] as const;

export function readConfig(env: NodeJS.ProcessEnv, baseDir: string): Config {
  return Object.freeze({
    redisUrl: toRedisUrl(env.REDIS_URL),
    prefix: toPrefix(env.LANEKEEPER_PREFIX ?? 'lk'),
    host: toHost(env.LANEKEEPER_HOST || '127.0.0.1'),
    port: toPort('LANEKEEPER_PORT', env.LANEKEEPER_PORT, 8080),
    metricsPort: toPort('LANEKEEPER_METRICS_PORT', env.LANEKEEPER_METRICS_PORT, 9464),
    dataDir: resolve(baseDir, env.LANEKEEPER_DATA || '.lanekeeper'),
    logLevel: toLogLevel(env.LOG_LEVEL || 'info'),
    lockUrls: toLockUrls(env.LANEKEEPER_LOCK_URLS, env.REDIS_URL),
    unbuilt: UNBUILT_SETTINGS.filter((name) => env[name]),
  });
}

function toRedisUrl(text: string | undefined): string | undefined {
  if (!text) return undefined;
  if (!isRedisUrl(text)) {
    throw wrongOption('LK_CONFIG', 'REDIS_URL', "an address such as 'redis://127.0.0.1:6379'", withoutPassword(text));
  }
  return text;
}

function isRedisUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && ['redis:', 'rediss:'].includes(url.protocol) && url.hostname !== '';
}

const LOCK_URLS_FORM =
  "3 or 5 addresses of different Redis servers with commas between, such as 'redis://a,redis://b,redis://c'";

/** An even number has no more majorities than one less, and one server named twice would vote twice. */
function toLockUrls(text: string | undefined, redisUrl: string | undefined): readonly string[] {
  if (!text?.trim()) return Object.freeze([]);
  const urls = text.split(',').map((url) => url.trim());
  const servers = new Set(urls.map((url) => (isRedisUrl(url) ? new URL(url).host : url)));
  const isGood = [3, 5].includes(urls.length) && servers.size === urls.length && urls.every(isRedisUrl);
  if (!isGood) {
    const got = urls.map(withoutPassword).join(',');
    throw wrongOption('LK_CONFIG', 'LANEKEEPER_LOCK_URLS', LOCK_URLS_FORM, got);
  }
  if (redisUrl && servers.has(new URL(redisUrl).host)) {
    const expected = 'servers of their own: the one of REDIS_URL keeps the record, and its vote would fall with it';
    throw wrongOption('LK_CONFIG', 'LANEKEEPER_LOCK_URLS', expected, withoutPassword(redisUrl));
  }
  return Object.freeze(urls);
}

/** Addresses appear in errors and logs; passwords never do. */
export function withoutPassword(url: string): string {
  // Up to the last @: what people mistype is most often a password with an @ or / in it.
  return url.replace(/^([a-z]+:\/\/)?([^:@/]*)(:.*)?@/is, (_all, scheme = '', user, password) => {
    return `${scheme}${user}${password ? ':***' : ''}@`;
  });
}

function toPrefix(text: string): string {
  // Braces would move every key to one shard, colons would let one prefix reach into another's keys.
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(text)) {
    throw wrongOption('LK_CONFIG', 'LANEKEEPER_PREFIX', '1 to 64 letters, digits, dots, dashes or underscores', text);
  }
  return text;
}

function toHost(text: string): string {
  if (isIP(text) === 0 && text !== 'localhost')
    throw wrongOption('LK_CONFIG', 'LANEKEEPER_HOST', "an address such as '0.0.0.0'", text);
  return text;
}

function toPort(setting: string, text: string | undefined, preset: number): Port {
  if (text === undefined || text === '') return Object.freeze({ setting, number: preset, isGiven: false });
  const number = Number(text);
  if (!/^\d+$/.test(text) || number > 65_535) {
    throw wrongOption('LK_CONFIG', setting, 'a port from 1 to 65535, or 0 for any free one', text);
  }
  return Object.freeze({ setting, number, isGiven: true });
}

function toLogLevel(text: string): LogLevel {
  if (!(LOG_LEVELS as readonly string[]).includes(text)) {
    throw wrongOption('LK_CONFIG', 'LOG_LEVEL', `one of ${LOG_LEVELS.join(', ')}`, text);
  }
  return text as LogLevel;
}
