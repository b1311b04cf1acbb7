// Makes a typed command of a Lua file: `run(redis, { key: … }, { arg: … })`, named as its header names them, so that no call
// site counts positions. ioredis sends the text again when Redis has forgotten it.

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Redis } from './connect.ts';

export interface ScriptDefinition<K extends string, A extends string, R> {
  file: URL;
  /** In the order of KEYS[1…]; the header of the file says the same, and a test compares them. */
  keys: readonly K[];
  /** In the order of ARGV[1…]. */
  args: readonly A[];
  /** The one place that knows the form of the answer. */
  reply: (raw: unknown) => R;
}

export interface Script<K extends string, A extends string, R> extends ScriptDefinition<K, A, R> {
  (redis: Redis, keys: Record<K, string>, args: Record<A, string | number>): Promise<R>;
}

export function defineScript<const K extends string, const A extends string, R>(
  definition: ScriptDefinition<K, A, R>,
): Script<K, A, R> {
  const { file, keys, args, reply } = definition;
  const lua = readFileSync(file, 'utf8');
  const command = `lanekeeper:${basename(file.pathname, '.lua')}`;
  const known = new WeakSet<Redis>();
  const run = async (redis: Redis, key: Record<K, string>, arg: Record<A, string | number>): Promise<R> => {
    if (!known.has(redis)) redis.defineCommand(command, { numberOfKeys: keys.length, lua });
    known.add(redis);
    const commands = redis as unknown as Record<string, (...values: (string | number)[]) => Promise<unknown>>;
    const send = commands[command] as (...values: (string | number)[]) => Promise<unknown>;
    return reply(await send.call(redis, ...keys.map((name) => key[name]), ...args.map((name) => arg[name])));
  };
  return Object.assign(run, definition);
}
