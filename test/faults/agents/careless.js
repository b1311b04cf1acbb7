// Loaded into a pod before it starts (--import), makes it careless in the ways that AGENTS_CARELESS names: each takes one
// protection away, from outside. A test that still passes with it proves nothing.

import { Redis } from 'ioredis';
import { Calendar } from '../../../dist/store/calendar/calendar.js';
import { sleepy } from '../harness/sleepy.js';

const ways = (process.env.AGENTS_CARELESS ?? '').split(',').filter((way) => way !== '');

/** What stands in a script, and what instead. */
const SCRIPTS = {
  /** Goes by its own clock, an hour ahead, instead of Redis's. */
  'own-clock': ["call('TIME')", "(function() local t = redis.call('TIME') t[1] = t[1] + 3600 return t end)()"],
  /** Waits for the dead. */
  patient: ['text(now - deadMs)', 'text(now - 3600000)'],
  /** Takes what a dead pod held for unused. */
  forgiving: ['now + (cooldowns[lane] or longest)', 'now'],
};

const OTHERS = {
  sleepy,
  /** A script that Redis does not know is not sent again. */
  unscripted() {
    const { sendCommand } = Redis.prototype;
    Redis.prototype.sendCommand = function (command, ...more) {
      const { reject } = command;
      if (command.name === 'evalsha') {
        command.reject = (error) =>
          reject.call(command, /NOSCRIPT/.test(error.message) ? new Error('it is gone') : error);
      }
      return sendCommand.call(this, command, ...more);
    };
  },
  /** Takes back at once that something is about to go out. */
  unsaid() {
    const { sent } = Calendar.prototype;
    Calendar.prototype.sent = async function (agent, token, yields) {
      const told = await sent.call(this, agent, token, yields);
      await this.unsent(agent, token);
      return told;
    };
  },
  /** After a loss it says nothing of what it knows, as if it had just started. */
  untold() {
    const { register } = Calendar.prototype;
    Calendar.prototype.register = function (agents, lanes) {
      return register.call(this, agents, lanes, false, {}, []);
    };
  },
};

const { defineCommand } = Redis.prototype;
Redis.prototype.defineCommand = function (name, { lua, ...rest }) {
  const careless = ways.reduce((text, way) => (SCRIPTS[way] ? text.replaceAll(...SCRIPTS[way]) : text), lua);
  return defineCommand.call(this, name, { ...rest, lua: careless });
};
for (const way of ways) OTHERS[way]?.();
