// A pod that heard no notice finds by itself that its attempts were cut loose; and notices that mean others harm nobody.

import { describe, expect, vi } from 'vitest';
import { createDisplacedWatch } from '../../src/engine/displaced.ts';
import { defineLane } from '../../src/index.ts';
import { Attempt } from '../../src/path/attempt.ts';
import type { FetchedJob } from '../../src/store/lane-queue.ts';
import type { Notices } from '../../src/store/notices.ts';
import { systemClock } from '../../src/words/clock.ts';
import { createEventHub } from '../../src/words/events.ts';
import { it, type World } from '../support/world.ts';

const lane = defineLane({ name: 'publish', ownership: 'exclusive' });
const open = defineLane({ name: 'open' });

async function watched(world: World) {
  const queues = new Map([lane, open].map((each) => [each.name, world.queue(each)]));
  const make = async (of: typeof lane, id: string) => {
    const raw = {
      id,
      data: '{}',
      opts: {},
      attemptsMade: 0,
      attemptsStarted: 1,
      timestamp: 0,
    } as unknown as FetchedJob;
    const attempt = new Attempt(of, raw, `lock-${id}`, systemClock.mono(), systemClock);
    await world.redis.set(`${queues.get(of.name)?.jobKey(id)}:lock`, attempt.token, 'PX', 20_000);
    return attempt;
  };
  const attempts = [await make(lane, 'a'), await make(lane, 'b'), await make(open, 'c')] as const;
  let tell: (text: string) => void = () => {};
  const notices: Notices = {
    on(_, listener) {
      tell = listener;
    },
    stop() {},
  };
  const watch = createDisplacedWatch({
    attempts: new Set(attempts),
    lanes: [{ lane, laneQueue: world.queue(lane) }],
    notices,
    keys: world.keys,
    events: createEventHub(),
  });
  return { attempts, watch, tell: (told: object) => tell(JSON.stringify(told)), queues };
}

describe('the watch', () => {
  it('ends what lost its lock, and looks at exclusive lanes alone', async ({ world }) => {
    const { attempts, watch, queues } = await watched(world);
    await watch.once();
    expect(attempts.map(({ ended }) => ended)).toEqual([undefined, undefined, undefined]);
    await world.redis.del(`${queues.get('publish')?.jobKey('b')}:lock`, `${queues.get('open')?.jobKey('c')}:lock`);
    await watch.once();
    expect(attempts.map(({ ended }) => ended)).toEqual([undefined, 'fenced', undefined]);
  });

  it('ends what a notice names by its lock, and nothing else', async ({ world }) => {
    const { attempts, tell } = await watched(world);
    const told = { kind: 'taken', as: 'manual', by: 'ann@desk' };
    tell({ ...told, kind: 'released', jobs: [['publish', 'a', 'lock-a']] });
    tell(told);
    tell({ ...told, jobs: [['publish', 'a', 'an older lock']] });
    tell({ ...told, jobs: [['open', 'a', 'lock-a']] });
    expect(attempts.map(({ ended }) => ended)).toEqual([undefined, undefined, undefined]);
    tell({ ...told, jobs: [['publish', 'a', 'lock-a']] });
    expect(attempts.map(({ ended, cause }) => [ended, cause?.message])).toEqual([
      ['fenced', expect.stringContaining('manual of ann@desk took its lane')],
      [undefined, undefined],
      [undefined, undefined],
    ]);
  });

  it('looks at once where a notice says that there are too many to name', async ({ world }) => {
    const { attempts, tell, queues } = await watched(world);
    await world.redis.del(`${queues.get('publish')?.jobKey('b')}:lock`);
    tell({ kind: 'taken', as: 'manual', by: 'ann@desk', isMany: true });
    await vi.waitFor(() => expect(attempts[1].ended).toBe('fenced'), { timeout: 500, interval: 5 });
    expect(attempts.map(({ ended }) => ended)).toEqual([undefined, 'fenced', undefined]);
  });
});
