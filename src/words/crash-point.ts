// The places at which a pod or a producer may die between two writes, by name. Here they do nothing: V8 inlines an empty call.
// `npm run faults` builds a second dist/ in which this file is another one, that kills the process (scripts/build.js).

/** In the order in which one job passes them. */
export type JobPoint =
  | 'before-add'
  | 'after-add' // written, and the caller has not heard so
  | 'after-fetch'
  | 'before-handler'
  | 'in-handler' // called by the handlers of the faults alone: after an effect that no step keeps
  | 'in-step' // called by them too: after an effect, before its step returns
  | 'before-step-write'
  | 'after-step-write' // kept, and the handler has not heard so
  | 'before-hand-over'
  | 'after-hand-over' // the next job is in, and the step that says so is not written
  | 'after-handler'
  | 'before-settle'
  | 'after-settle' // settled, and not in the journal
  | 'before-bury'
  | 'after-bury';

/** In the order in which an order passes them whose change is BullMQ's (path/audited). */
export type OrderPoint =
  | 'before-intent' // nothing is written
  | 'after-intent' // it is on the record, and nothing has changed
  | 'after-change' // and the journal does not say so
  | 'after-result';

/** Those around the change of an owner. */
export type OwnerPoint =
  | 'before-take'
  | 'after-take' // granted, and the caller has not heard so
  | 'before-aside' // between two pages of what a displaced owner fed
  | 'after-aside'
  | 'before-park' // a job that was fetched for an owner who was displaced meanwhile
  | 'after-park';

export type CrashPoint = JobPoint | OrderPoint | OwnerPoint;

export function crashPoint(_name: CrashPoint): void {}
