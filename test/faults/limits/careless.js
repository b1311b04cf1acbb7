// Loaded into a pod before it starts (--import), makes it careless in the ways that LIMITS_CARELESS names: each takes one
// protection away, from outside. A test that still passes with it proves nothing.

import { register } from 'node:module';
import { Redis } from 'ioredis';
import { HeldPermit } from '../../../dist/path/held-permit.js';
import { askPermits } from '../../../dist/store/scripts/ask-permits.js';
import { registerLimits } from '../../../dist/store/scripts/register-limits.js';
import { settleOwnLimits } from '../../../dist/store/scripts/settle-own-limits.js';
import { takeOwnLimits } from '../../../dist/store/scripts/take-own-limits.js';
import { sleepy } from '../harness/sleepy.js';

const HOUR_MS = 3_600_000;

/** What becomes of the driver. */
const DRIVERS = {
  /** Sends on tickets whose time is over. */
  late: (driver) => ({
    async ask(ask) {
      const granted = await driver.ask(ask);
      if (granted.tickets) granted.tickets.forMs = HOUR_MS;
      return granted;
    },
  }),
  /** Holds no slot for longer because a request is on the wire. */
  unextended: () => ({ extend: async () => true }),
  /** Gives nothing back while it has work of its own, whoever waits. */
  greedy: (driver) => ({
    ask: async (ask) => ({ ...(await driver.ask(ask)), isContended: false }),
    onNotice: (listener) => driver.onNotice((notice) => notice.kind === 'wanted' || listener(notice)),
  }),
  /** Takes all lanes for equals. */
  weightless: (driver) => ({ ask: (ask) => driver.ask({ ...ask, weight: 1 }) }),
  /** Keeps to itself that the upstream said stop. */
  unheld: () => ({ hold: async () => true }),
};

/** What becomes of everything else. */
const OTHERS = {
  sleepy,
  /** Slots that outlive their pod. */
  unexpiring() {
    const { run } = askPermits;
    askPermits.run = (redis, keys, args) =>
      run(redis, keys, { ...args, ask: JSON.stringify({ ...JSON.parse(args.ask), slotMs: HOUR_MS }) });
  },
  /** Takes lost state for an unused allowance. */
  unclosed() {
    const { run } = registerLimits;
    registerLimits.run = (redis, keys, args) => run(redis, keys, { ...args, closedMs: 0 });
  },
  /** As the driver of that name, of what only a job decides. */
  unextended: () => changeSettles((change) => (change.isWired ? [] : [change])),
  /** Lets go of what a job used when that is over, as if it had used nothing. */
  forgetful: () => changeSettles((change) => [change.what === 'settle' ? { ...change, what: 'drop' } : change]),
  /** What it takes for a job counts for a moment only: as long as that runs, nobody knows of it. */
  fleeting() {
    const { run } = takeOwnLimits;
    const shorten = (take) => ({ ...take, forMs: 1 - take.perMs });
    takeOwnLimits.run = (redis, keys, args) =>
      run(redis, keys, { ...args, takes: JSON.stringify(JSON.parse(args.takes).map(shorten)) });
    changeSettles((change) => (change.what === 'settle' ? [change] : []));
  },
  /** Holds the upstream's slots while it waits for an agent. */
  unyielding() {
    HeldPermit.prototype.stepAside = () => {};
  },
  /** Goes by its own clock, an hour ahead, instead of Redis's. */
  'own-clock'() {
    const { defineCommand } = Redis.prototype;
    const own = "(function() local t = redis.call('TIME') t[1] = t[1] + 3600 return t end)()";
    Redis.prototype.defineCommand = function (name, { lua, ...rest }) {
      return defineCommand.call(this, name, { ...rest, lua: lua.replaceAll("redis.call('TIME')", own) });
    };
  },
};

function changeSettles(toChanges) {
  const { run } = settleOwnLimits;
  settleOwnLimits.run = (redis, keys, args) =>
    run(redis, keys, { ...args, changes: JSON.stringify(JSON.parse(args.changes).flatMap(toChanges)) });
}

const ways = (process.env.LIMITS_CARELESS ?? '').split(',').filter((way) => way !== '');
for (const way of ways) OTHERS[way]?.();

export function makeCareless(driver) {
  return ways.reduce((made, way) => (DRIVERS[way] ? change(made, DRIVERS[way](made)) : made), driver);
}

/** What is not changed is asked of the driver itself, which may be of a class with private parts. */
function change(driver, changed) {
  return new Proxy(driver, {
    get(target, name) {
      if (name in changed) return changed[name];
      const own = Reflect.get(target, name, target);
      return typeof own === 'function' ? own.bind(target) : own;
    },
  });
}

register('./careless-loader.js', import.meta.url);
