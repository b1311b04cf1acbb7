// The environment is refused at start with the setting, what was expected and what came; passwords stay out of it.

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readConfig, UNBUILT_SETTINGS, withoutPassword } from '../../src/words/config.ts';

const read = (env: NodeJS.ProcessEnv) => readConfig(env, '/base');

describe('the environment', () => {
  it('is optional: every setting has a default', () => {
    expect(read({})).toEqual({
      redisUrl: undefined,
      prefix: 'lk',
      host: '127.0.0.1',
      port: { setting: 'LANEKEEPER_PORT', number: 8080, isGiven: false },
      metricsPort: { setting: 'LANEKEEPER_METRICS_PORT', number: 9464, isGiven: false },
      dataDir: join('/base', '.lanekeeper'),
      logLevel: 'info',
      lockUrls: [],
      unbuilt: [],
    });
  });

  it('is frozen once read', () => {
    expect(Object.isFrozen(read({}))).toBe(true);
  });

  it('takes an empty text for "not given", as shells and compose files write it', () => {
    const empty = {
      REDIS_URL: '',
      LANEKEEPER_PORT: '',
      LANEKEEPER_METRICS_PORT: '',
      LOG_LEVEL: '',
      LANEKEEPER_DATA: '',
      LANEKEEPER_LOCK_URLS: '',
    };
    expect(read(empty)).toEqual(read({}));
  });

  it.each([
    ['REDIS_URL', 'redis://127.0.0.1:6379/2', 'redisUrl', 'redis://127.0.0.1:6379/2'],
    ['REDIS_URL', 'rediss://u:p@h:1', 'redisUrl', 'rediss://u:p@h:1'],
    ['LANEKEEPER_PREFIX', 'team-a.lk_1', 'prefix', 'team-a.lk_1'],
    ['LANEKEEPER_PORT', '0', 'port', { setting: 'LANEKEEPER_PORT', number: 0, isGiven: true }],
    [
      'LANEKEEPER_METRICS_PORT',
      '65535',
      'metricsPort',
      { setting: 'LANEKEEPER_METRICS_PORT', number: 65_535, isGiven: true },
    ],
    ['LANEKEEPER_DATA', 'data', 'dataDir', join('/base', 'data')],
    ['LANEKEEPER_DATA', '/abs', 'dataDir', '/abs'],
    ['LOG_LEVEL', 'debug', 'logLevel', 'debug'],
    [
      'LANEKEEPER_LOCK_URLS',
      'redis://a, redis://b:1,rediss://u:p@c',
      'lockUrls',
      ['redis://a', 'redis://b:1', 'rediss://u:p@c'],
    ],
  ] as const)('%s=%s is taken', (name, text, field, value) => {
    expect(read({ [name]: text })[field]).toEqual(value);
  });

  it.each([
    ['REDIS_URL', '127.0.0.1:6379'],
    ['REDIS_URL', 'http://127.0.0.1'],
    ['REDIS_URL', 'redis://'],
    ['REDIS_URL', 'redis'],
    ['LANEKEEPER_PREFIX', 'a:b'],
    ['LANEKEEPER_PREFIX', '{a}'],
    ['LANEKEEPER_PREFIX', ''],
    ['LANEKEEPER_PREFIX', 'x'.repeat(65)],
    ['LANEKEEPER_PORT', '-1'],
    ['LANEKEEPER_PORT', '65536'],
    ['LANEKEEPER_PORT', '80.5'],
    ['LANEKEEPER_PORT', '1e3'],
    ['LANEKEEPER_PORT', '0x50'],
    ['LANEKEEPER_PORT', ' 80'],
    ['LANEKEEPER_METRICS_PORT', 'http'],
    ['LOG_LEVEL', 'loud'],
    ['LOG_LEVEL', 'INFO'],
    ['LANEKEEPER_LOCK_URLS', 'redis://a'],
    ['LANEKEEPER_LOCK_URLS', 'redis://a,redis://b'],
    ['LANEKEEPER_LOCK_URLS', 'redis://a,redis://b,redis://c,redis://d'],
    ['LANEKEEPER_LOCK_URLS', 'redis://a,redis://b,redis://a'],
    ['LANEKEEPER_LOCK_URLS', 'redis://a,redis://b,http://c'],
  ])('%s=%j is refused with the setting, what was expected and what came, in one line', (name, text) => {
    const refused = refusal({ [name]: text });
    expect(refused.code).toBe('LK_CONFIG');
    expect(refused.message).toMatch(new RegExp(`^${name}: expected .+, got .+$`));
    expect(refused.message).toContain(JSON.stringify(text).slice(0, 60));
    expect(refused.message).not.toContain('\n');
  });

  it.each([
    ['redis:///:hunter2@nowhere', 'hunter2'],
    ['http://user:hunter2@h', 'hunter2'],
    ['redis://:hunter2@', 'hunter2'],
    ['http://user:hun/ter2@h', 'ter2'],
    ['http://user:hun@ter2@h', 'ter2'],
    ['user:hunter2@h:6379', 'hunter2'],
  ])('a wrong %s never shows its password', (url, secret) => {
    expect(refusal({ REDIS_URL: url }).message).not.toContain(secret);
  });

  it.each([
    ['redis://user:secret@h:1/0', 'redis://user:***@h:1/0'],
    ['redis://:secret@h', 'redis://:***@h'],
    ['redis://user:sec@ret@h:1', 'redis://user:***@h:1'],
    ['redis://h:1', 'redis://h:1'],
  ])('%s is shown as %s', (url, shown) => {
    expect(withoutPassword(url)).toBe(shown);
  });

  it('keeps the lock servers apart from the one that keeps the record, and their passwords to itself', () => {
    const servers = 'redis://:hunter2@a:1,redis://:hunter2@b:1,redis://:hunter2@c:1';
    const { message } = refusal({ REDIS_URL: 'redis://:hunter2@b:1/3', LANEKEEPER_LOCK_URLS: servers });
    expect(message).toMatch(/^LANEKEEPER_LOCK_URLS: expected servers of their own.*, got "redis:\/\/:\*\*\*@b:1\/3"$/);
    expect(refusal({ LANEKEEPER_LOCK_URLS: `${servers},redis://d` }).message).not.toContain('hunter2');
  });

  it('names every setting of a part that is not built yet, and only those that are given', () => {
    for (const name of UNBUILT_SETTINGS) expect(read({ [name]: 'x' }).unbuilt).toEqual([name]);
    expect(read({ LANEKEEPER_KEYS: '' }).unbuilt).toEqual([]);
  });
});

function refusal(env: NodeJS.ProcessEnv): { code: string; message: string } {
  try {
    read(env);
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error(`${JSON.stringify(env)} was taken`);
}
