// The names that a BullMQ queue keeps for itself, and the type of what lies under each. A job whose id is one of them lies where
// the queue's own list should: `add('n', data, { jobId: 'wait' })` stops a lane until somebody moves it away.

/**
 * `failed` first: it must be a sorted set again before anything is buried in it. Read in BullMQ's queue-keys and scripts. `de` is
 * no more than the start of other keys, so a job of that id harms nothing.
 */
export const TYPE_OF_RESERVED = {
  failed: 'zset',
  wait: 'list',
  paused: 'list',
  active: 'list',
  delayed: 'zset',
  prioritized: 'zset',
  completed: 'zset',
  'waiting-children': 'zset',
  stalled: 'set',
  'stalled-check': 'string',
  limiter: 'string',
  id: 'string',
  pc: 'string',
  marker: 'zset',
  events: 'stream',
  repeat: 'zset',
  'metrics:completed:data': 'list',
  'metrics:failed:data': 'list',
} as const;

export type ReservedName = keyof typeof TYPE_OF_RESERVED | 'meta';

export const RESERVED_NAMES = Object.keys(TYPE_OF_RESERVED) as (keyof typeof TYPE_OF_RESERVED)[];
