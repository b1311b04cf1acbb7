// Loaded into a measured worker (--import): counts the commands that it sends to Redis, over all its connections, and tells when
// asked. INFO commandstats cannot say it, because it counts what scripts call within Redis as well.

import { Redis } from 'ioredis';

let commands = 0;
const { sendCommand } = Redis.prototype;
Redis.prototype.sendCommand = function (...given) {
  commands++;
  return sendCommand.apply(this, given);
};

process.on('message', (question) => {
  if (question === 'commands') process.send({ commands });
});
