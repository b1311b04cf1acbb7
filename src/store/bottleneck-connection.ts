// A Redis connection for Bottleneck 2.19.5 on which it survives Redis 7 and a pod's wrong clock. Three changes to its private
// parts, each checked while opening, so that another version cannot come in unseen:
// - its scripts read Redis's clock; with each pod's own, one that is a minute ahead lets 15 run where 4 may
// - an error's prefix 'ERR ', new in Redis 7, is taken off; with it, lost state or a pause of 10 s ends a pod's limiter for good
// - its keys lie under our prefix instead of 'b_'

import Bottleneck from 'bottleneck';
import { Redis } from 'ioredis';
import { toError } from '../words/errors.ts';
import { openRedis } from './connect.ts';

const VERSION = '2.19.5';
const SCRIPTS = 15;
const POD_CLOCK = 'local now = tonumber(ARGV[1])';
/** Whole milliseconds: Bottleneck puts `now` into commands as text with 14 digits. */
const REDIS_CLOCK = `local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)`;

/** Left out by tests alone, to show what each is for. `recovery` is left out wherever it is: a stuck limiter is not built anew either. */
export type Patch = 'clock' | 'recovery' | 'rejection';

export interface BottleneckConnection {
  readonly bottleneck: Bottleneck.IORedisConnection;
  readonly commands: Redis;
  readonly subscriber: Redis;
  /** When both connections are open for the first time. */
  readonly ready: Promise<unknown>;
  close(): Promise<void>;
}

type Reply = (error: Error | null, reply?: unknown) => void;
type ScriptArgs = (name: string, id: string, args: unknown[], reply: Reply) => unknown[];

type FlushQueue = (error: Error, options: { offlineQueue: boolean }) => void;

/** The private parts of Bottleneck's connection that we change. */
interface Inside {
  ready: Promise<{ client: Redis; subscriber: Redis }>;
  subscriber: Redis;
  _loadScripts(): void;
  __scriptArgs__: ScriptArgs;
}

export function openBottleneckConnection(
  redisUrl: string,
  onError: (error: Error) => void,
  without?: Patch,
): BottleneckConnection {
  const { version } = Bottleneck as unknown as { version: string };
  if (version !== VERSION) throw patchMissed(`version ${VERSION}`, version);
  const commands = openRedis(redisUrl, 'pod', onError);
  // Sent again, a `register` that Redis had carried out would count its slot twice until the lease ends.
  commands.options.autoResendUnfulfilledCommands = false;
  if (without !== 'rejection') rejectWhenCut(commands);
  try {
    // Its type asks for no `Redis`; without one it looks for an ioredis beside itself.
    const options = { client: commands, Redis } as Bottleneck.IORedisConnectionOptions;
    const bottleneck = new Bottleneck.IORedisConnection(options);
    bottleneck.on('error', (error) => onError(toError(error)));
    const inside = bottleneck as unknown as Inside;
    // A copy of `commands`, but to subscribe twice does no harm.
    inside.subscriber.options.autoResendUnfulfilledCommands = true;
    loadScripts(inside, commands, without !== 'clock');
    patchScriptArgs(inside, without !== 'recovery');
    return {
      bottleneck,
      commands,
      subscriber: inside.subscriber,
      ready: inside.ready,
      close: () => bottleneck.disconnect(false),
    };
  } catch (error) {
    commands.disconnect();
    throw error;
  }
}

/**
 * What a cut connection had in flight fails: ioredis, told not to send it again, forgets it, and who waits for it waits for
 * ever. A slot that was registered unheard ends with its lease, a ticket is burnt.
 */
function rejectWhenCut(commands: Redis): void {
  const { flushQueue } = commands as unknown as { flushQueue?: FlushQueue };
  if (!flushQueue) throw new Error('expected flushQueue of ioredis, got none: install ioredis 6.0.0 exactly');
  commands.on('close', () => {
    const error = new Error(
      'the connection to Redis was cut before it answered: whether it did what was asked is unknown',
    );
    flushQueue.call(commands, error, { offlineQueue: false });
  });
}

/** At once, though Bottleneck does so when it is connected: what cannot be changed is to be known now. */
function loadScripts(inside: Inside, commands: Redis, withRedisClock: boolean): void {
  const define = commands.defineCommand;
  let count = 0;
  commands.defineCommand = (name, definition) => {
    const lua = definition.lua.replace(POD_CLOCK, REDIS_CLOCK);
    if (lua === definition.lua) throw patchMissed(`'${POD_CLOCK}' in its script ${name}`, 'none');
    count++;
    define.call(commands, name, withRedisClock ? { ...definition, lua } : definition);
  };
  inside._loadScripts();
  commands.defineCommand = define;
  inside._loadScripts = () => {};
  if (count !== SCRIPTS) throw patchMissed(`${SCRIPTS} scripts`, String(count));
}

function patchScriptArgs(inside: Inside, withRecovery: boolean): void {
  const scriptArgs = inside.__scriptArgs__;
  inside.__scriptArgs__ = (name, id, args, reply) =>
    scriptArgs
      .call(inside, name, id, args, (error, answer) => reply(withRecovery ? withoutPrefix(error) : error, answer))
      .map((arg) => (typeof arg === 'string' && arg.startsWith(`b_${id}_`) ? arg.slice(2) : arg));
  let seen: Error | null = null;
  const args = inside.__scriptArgs__('check', 'id', [], (error) => {
    seen = error;
  });
  (args.at(-1) as Reply)(new Error('ERR UNKNOWN_CLIENT'));
  const message = (seen as Error | null)?.message;
  if (withRecovery && message !== 'UNKNOWN_CLIENT') throw patchMissed("errors without 'ERR '", String(message));
  if (args[1] !== 'id_settings') throw patchMissed('the key id_settings', String(args[1]));
}

function withoutPrefix(error: Error | null): Error | null {
  if (error?.message.startsWith('ERR ')) error.message = error.message.slice(4);
  return error;
}

function patchMissed(expected: string, got: string): Error {
  return new Error(`expected ${expected} of bottleneck, got ${got}: install bottleneck ${VERSION} exactly`);
}
