// A Lua script with named keys and arguments. Its .lua lies beside its wrapper and opens with a header that names both; a test
// holds the two lists against each other. ioredis loads it on first use and again when Redis has forgotten it.

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Redis } from '../connect.ts';

export interface ScriptSpec<K extends string, A extends string, R> {
  file: URL;
  /** What is put before it: what several scripts share. */
  preludes?: readonly URL[];
  keys: readonly K[];
  args: readonly A[];
  /** Decodes the reply, once. */
  reply: (raw: unknown) => R;
}

export interface Script<K extends string, A extends string, R> extends ScriptSpec<K, A, R> {
  run(redis: Redis, keys: Record<K, string>, args: Record<A, string | number>): Promise<R>;
}

type Command = (...given: (string | number)[]) => Promise<unknown>;

export function defineScript<const K extends string, const A extends string, R>(
  spec: ScriptSpec<K, A, R>,
): Script<K, A, R> {
  const path = fileURLToPath(spec.file);
  const lua = [...(spec.preludes ?? []), spec.file].map((file) => readFileSync(fileURLToPath(file), 'utf8')).join('\n');
  const command = `lk:${basename(path, '.lua')}`;
  return {
    ...spec,
    async run(redis, keys, args) {
      const commands = redis as unknown as Record<string, Command | undefined>;
      if (!commands[command]) redis.defineCommand(command, { numberOfKeys: spec.keys.length, lua });
      const given: (string | number)[] = [];
      for (const name of spec.keys) given.push(keys[name]);
      for (const name of spec.args) given.push(args[name]);
      return spec.reply(await (commands[command] as Command).call(redis, ...given));
    },
  };
}
