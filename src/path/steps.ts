// ctx.step: what a job has done stays done. Each result is a field of the job's own hash, written by a script that checks the
// job's lock, so a pod that lost the job writes nothing; a later start reads them and goes on behind the last.
//
// A step is known by its place and its name. After a deploy that renames or reorders them nobody can tell what was done: such
// a job is refused, with all it did kept, until the old order is back.

import type { LaneQueue } from '../store/lane-queue.ts';
import { writeStep } from '../store/scripts/write-step.ts';
import { crashPoint } from '../words/crash-point.ts';
import { LanekeeperError, quote, toError, wrongOption } from '../words/errors.ts';
import { STEP_FIELD } from '../words/keys.ts';
import type { Attempt } from './attempt.ts';
import { attemptOver, refuseIfOver } from './request.ts';

/** Results lie in Redis and travel with each later start: what is larger belongs elsewhere, its address in the step. */
const MAX_STEP_BYTES = 64 * 1024;
const MAX_JOB_BYTES = 256 * 1024;
/** Above this, a done job gives its results back at once instead of keeping them as its history. */
const MAX_HISTORY_BYTES = 1024;
/** A Redis that refuses writes (full) is asked again for as long as the attempt lives: what was done would be done twice. */
const REFUSED_PAUSE_MS = 1_000;

interface Done {
  name: string;
  result: unknown;
}

export class Steps {
  readonly #attempt: Attempt;
  readonly #laneQueue: LaneQueue;
  readonly #called = new Map<string, number>();
  #earlier: Promise<Map<number, Done>> | undefined = undefined;
  #bytes = 0;

  constructor(attempt: Attempt, laneQueue: LaneQueue) {
    this.#attempt = attempt;
    this.#laneQueue = laneQueue;
    attempt.afterDone = () => {
      // What cannot be given back now goes with the job.
      if (this.#bytes > MAX_HISTORY_BYTES) void this.#forget().catch(() => {});
    };
  }

  /** The result as JSON keeps it, on the first start as on any later one: what a retry would see is seen at once. */
  async run<T>(name: string, work: () => Promise<T> | T): Promise<T> {
    const attempt = this.#attempt;
    refuseIfOver(attempt, 'step', name);
    const place = this.#call(name);
    // A first start has nothing to read: it pays for no round trip.
    if (attempt.start > 1) {
      const done = findDone(await this.#readEarlier(), name, place);
      if (done) return done.result as T;
    }
    const result = await work();
    refuseIfOver(attempt, 'the end of step', name);
    const text = toText(name, result);
    crashPoint('before-step-write');
    await this.#write(place, name, text);
    attempt.hasKept = true;
    crashPoint('after-step-write');
    return (JSON.parse(text) as [string, T])[1];
  }

  #call(name: string): number {
    if (typeof name !== 'string' || !/^[^\p{Cc}]{1,100}$/u.test(name)) {
      throw wrongOption('LK_STEPS', 'name of a step', 'a text of 1 to 100 characters on one line', name);
    }
    if (this.#called.has(name)) {
      throw new LanekeeperError('LK_STEPS', `step ${quote(name)}: expected each name once in an attempt, got it twice`);
    }
    const place = this.#called.size;
    this.#called.set(name, place);
    return place;
  }

  #readEarlier(): Promise<Map<number, Done>> {
    this.#earlier ??= this.#read();
    return this.#earlier;
  }

  async #read(): Promise<Map<number, Done>> {
    const { redis, jobKey } = this.#laneQueue;
    const all = await redis.hgetall(jobKey(this.#attempt.id));
    const steps = Object.entries(all).filter(([field]) => field.startsWith(STEP_FIELD));
    for (const [, text] of steps) this.#bytes += Buffer.byteLength(text);
    return new Map(
      steps.map(([field, text]) => {
        const [name, result] = JSON.parse(text) as [string, unknown];
        return [Number(field.slice(STEP_FIELD.length)), { name, result }];
      }),
    );
  }

  async #write(place: number, name: string, text: string): Promise<void> {
    const attempt = this.#attempt;
    const bytes = Buffer.byteLength(text);
    if (bytes > MAX_STEP_BYTES) throw tooLarge(`step ${quote(name)}`, MAX_STEP_BYTES, bytes);
    if (this.#bytes + bytes > MAX_JOB_BYTES)
      throw tooLarge(`all steps with ${quote(name)}`, MAX_JOB_BYTES, this.#bytes + bytes);
    this.#bytes += bytes;
    const { redis, jobKey } = this.#laneQueue;
    const job = jobKey(attempt.id);
    const keys = { job, lock: `${job}:lock` };
    const args = { token: attempt.token, field: STEP_FIELD + place, text };
    for (;;) {
      try {
        if (await writeStep.run(redis, keys, args)) return;
        attempt.end('lost', attemptOver(attempt, 'another pod may have its job'));
      } catch (error) {
        if (toError(error).name !== 'ReplyError') throw error;
        await new Promise((resolve) => setTimeout(resolve, REFUSED_PAUSE_MS));
      }
      refuseIfOver(attempt, 'the end of step', name);
    }
  }

  async #forget(): Promise<void> {
    const { redis, jobKey } = this.#laneQueue;
    const fields = [...this.#called.values()].map((place) => STEP_FIELD + place);
    await redis.hdel(jobKey(this.#attempt.id), ...fields);
  }
}

function toText(name: string, result: unknown): string {
  try {
    return JSON.stringify(result === undefined ? [name] : [name, result]);
  } catch (thrown) {
    throw new LanekeeperError(
      'LK_STEPS',
      `step ${quote(name)}: expected a result JSON can hold: ${toError(thrown).message}`,
    );
  }
}

function findDone(earlier: Map<number, Done>, name: string, place: number): Done | undefined {
  const here = earlier.get(place);
  if (here?.name === name) return here;
  const elsewhere = [...earlier].find(([, done]) => done.name === name)?.[0];
  if (!here && elsewhere === undefined) return undefined;
  const was = here ? `${quote(here.name)} stood at place ${place + 1}` : `it stood at place ${(elsewhere ?? 0) + 1}`;
  throw new LanekeeperError(
    'LK_STEPS',
    `step ${quote(name)} at place ${place + 1}: ${was} when this job last ran: bring the old steps back and replay it, or add it anew`,
  );
}

function tooLarge(what: string, limit: number, bytes: number): LanekeeperError {
  return new LanekeeperError(
    'LK_STEPS',
    `${what}: expected at most ${limit} bytes of JSON, got ${bytes}: keep it elsewhere and return where`,
  );
}
