// What may not run is buried before its handler sees it, with every reason; the first gate that speaks decides.

import type { StandardSchemaV1 } from '@standard-schema/spec';
import { describe, expect, vi } from 'vitest';
import { z } from 'zod';
import { defineLane, handle, type Job } from '../../src/index.ts';
import { createAdmission, stalledGate, type Verdict } from '../../src/path/admission.ts';
import type { Attempt } from '../../src/path/attempt.ts';
import { it } from '../support/world.ts';
import { BY_ANN, gate, RETRYING, untilState } from './looking.ts';

const payload = z.object({ title: z.string().min(1), body: z.string(), tags: z.array(z.string()) });

describe('a payload that does not pass at the pod', () => {
  it('is dead as refused with every reason, unseen by the handler, and with no attempt spent on it again', async ({
    world,
  }) => {
    const lane = defineLane({ name: 'strict', payload, retry: { attempts: 5, backoff: [0] } });
    const seen: Job[] = [];
    const pod = await world.pod([handle(lane, { run: (job) => void seen.push(job) })]);
    const events = world.record(pod);
    const queue = world.queue(lane);
    const bad = await queue.queue.add('plain', { title: '', tags: ['a', 5] });
    const good = await queue.queue.add('plain', { title: 'a', body: 'b', tags: [] });
    const letter = await untilState(queue, bad.id as string, 'dead');
    expect(letter).toMatchObject({ class: 'refused', attempt: 1, payload: { title: '', tags: ['a', 5] } });
    for (const field of ['payload.title: ', 'payload.body: ', 'payload.tags.1: '])
      expect(letter.reason).toContain(field);
    await untilState(queue, good.id as string, 'done');
    expect(seen.map(({ id }) => id)).toEqual([good.id]);
    const decided = events.filter(({ name }) => name === 'admission.decided').map(({ data }) => data);
    expect(decided).toMatchObject([{ lane: 'strict', job: bad.id, verdict: 'refuse', gate: null }]);
  });

  it('is refused by a schema that has to wait, too', async ({ world }) => {
    const slow = z.object({ n: z.number() }).refine(async ({ n }) => n > 5, 'too small');
    const lane = defineLane({ name: 'slow', payload: slow });
    await world.pod([handle(lane, { run: ({ payload: { n } }) => n })]);
    const queue = world.queue(lane);
    const [bad, good] = [await queue.queue.add('p', { n: 1 }), await queue.queue.add('p', { n: 7 })];
    expect(await untilState(queue, bad.id as string, 'dead')).toMatchObject({
      class: 'refused',
      reason: 'payload: too small',
    });
    expect(await untilState(queue, good.id as string, 'done')).toMatchObject({ result: 7 });
  });

  it('because its schema broke is tried again as any failure is: the payload may be good', async ({ world }) => {
    let isBroken = true;
    const validate = (value: unknown) => {
      if (!isBroken) return { value: value as number };
      isBroken = false;
      throw new Error('schema broke');
    };
    const flaky: StandardSchemaV1<unknown, number> = { '~standard': { version: 1, vendor: 'test', validate } };
    const lane = defineLane({ name: 'flaky', payload: flaky, retry: { attempts: 2, backoff: [0] } });
    await world.pod([handle(lane, { run: ({ payload: n }) => n })]);
    const { id } = await world.queue(lane).queue.add('p', 7);
    expect(await untilState(world.queue(lane), id as string, 'done')).toMatchObject({ result: 7, attempt: 2 });
  });
});

describe('a job whose pods died under it too often', () => {
  it('is buried as stalled by whoever fetches it, and a replay runs it', async ({ world }) => {
    const lane = defineLane({ name: 'stalls' });
    const queue = world.queue(lane);
    const { id } = await (await world.producer()).add(lane, null);
    // As BullMQ's sweep leaves it after the last loss.
    await world.redis.hset(queue.jobKey(id), { defa: 'job stalled more than allowable limit', stc: '6' });
    const pod = await world.pod([handle(lane, { run: () => 'ran' })]);
    expect(await untilState(queue, id, 'dead')).toMatchObject({
      class: 'stalled',
      reason: expect.stringContaining('6 times'),
    });
    await pod.stop('over');
    const { replayDead } = await import('../../src/path/dead-letters.ts');
    await replayDead(queue, id, BY_ANN);
    await world.pod([handle(lane, { run: () => 'ran' })]);
    expect(await untilState(queue, id, 'done')).toMatchObject({ result: 'ran' });
  });
});

describe('a pod that leaves while a job is being admitted', () => {
  it('gives it back without its handler having run', async ({ world }) => {
    const held = gate();
    const asked = gate();
    const waits = z.unknown().refine(async () => {
      asked.open();
      await held.opened;
      return true;
    });
    const lane = defineLane({ name: 'leaving', payload: waits });
    const run = vi.fn();
    const pod = await world.pod([handle(lane, { run })]);
    const { id } = await world.queue(lane).queue.add('p', 1);
    await asked.opened;
    const stopped = pod.stop('leaving', 0);
    held.open();
    await stopped;
    expect(run).not.toHaveBeenCalled();
    await untilState(world.queue(lane), id as string, 'waiting');
  });
});

describe('the gates', () => {
  const attempt = { lane: defineLane({ name: 'a' }), input: 5, raw: {} } as unknown as Attempt;
  const parked: Verdict = { kind: 'park', gate: 'cooldown', untilAt: 5, reason: 'r' };

  it('answer in order: the first that speaks decides, and none behind it is asked', async () => {
    const behind = vi.fn();
    const admit = createAdmission([() => undefined, async () => parked, behind]);
    expect(await admit(attempt)).toEqual(parked);
    expect(behind).not.toHaveBeenCalled();
  });

  it('that all stay silent admit the payload', async () => {
    expect(await createAdmission([stalledGate, () => undefined])(attempt)).toEqual({ kind: 'admit', payload: 5 });
  });

  it('come before the payload is parsed', async () => {
    const validate = vi.fn(() => ({ value: 1 }));
    const lane = defineLane({ name: 'a', payload: { '~standard': { version: 1, vendor: 't', validate } } });
    await createAdmission([() => parked])({ ...attempt, lane } as unknown as Attempt);
    expect(validate).not.toHaveBeenCalled();
    await vi.waitFor(() => expect(validate).not.toHaveBeenCalled(), RETRYING);
  });
});
