// Every key is ours, lies on the shard of what shares its limits, and can be taken for none of BullMQ's.

import { QueueKeys } from 'bullmq';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createKeys, JOB_FIELDS } from '../../src/words/keys.ts';

const name = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,62}$/);
const anyPrefix = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/);
/** By function, because a new key must be put here by whoever adds it. */
const make = {
  queuePrefix: (keys: ReturnType<typeof createKeys>, tag: string, other: string) =>
    keys.queuePrefix({ name: other, tag }),
  reservation: (keys: ReturnType<typeof createKeys>, tag: string, other: string) =>
    keys.reservation({ name: other, tag }, 'hash'),
  journal: (keys: ReturnType<typeof createKeys>, tag: string) => keys.journal(tag),
  intents: (keys: ReturnType<typeof createKeys>, tag: string) => keys.intents(tag),
  intentTags: (keys: ReturnType<typeof createKeys>) => keys.intentTags(),
  fleetJournal: (keys: ReturnType<typeof createKeys>) => keys.fleetJournal(),
  pods: (keys: ReturnType<typeof createKeys>) => keys.pods(),
  beat: (keys: ReturnType<typeof createKeys>, _: string, other: string) => keys.beat('impostors', other),
  orphans: (keys: ReturnType<typeof createKeys>, tag: string, other: string) => keys.orphans({ name: other, tag }),
  pause: (keys: ReturnType<typeof createKeys>, tag: string, other: string) => keys.pause({ name: other, tag }),
  cancels: (keys: ReturnType<typeof createKeys>) => keys.cancels(),
  alarms: (keys: ReturnType<typeof createKeys>) => keys.alarms(),
  full: (keys: ReturnType<typeof createKeys>) => keys.full(),
  retention: (keys: ReturnType<typeof createKeys>, tag: string, other: string) => keys.retention({ name: other, tag }),
  ring: (keys: ReturnType<typeof createKeys>, _: string, other: string) => keys.ring(other),
  limits: (keys: ReturnType<typeof createKeys>, tag: string) => keys.limits(tag),
  limitDefinitions: (keys: ReturnType<typeof createKeys>, tag: string) => keys.limitDefinitions(tag),
  limitUses: (keys: ReturnType<typeof createKeys>, tag: string, other: string) =>
    keys.limitUses(tag, `per-1m-by-agent:${other}`),
  limitAmounts: (keys: ReturnType<typeof createKeys>, tag: string, other: string) =>
    keys.limitAmounts(tag, 'per-1m-by-agent', other),
  limitAgents: (keys: ReturnType<typeof createKeys>, tag: string) => keys.limitAgents(tag),
  limitWaiting: (keys: ReturnType<typeof createKeys>, tag: string) => keys.limitWaiting(tag),
  limitNotice: (keys: ReturnType<typeof createKeys>, tag: string) => keys.limitNotice(tag),
  upstream: (keys: ReturnType<typeof createKeys>, tag: string) => keys.upstream(tag),
  lanes: (keys: ReturnType<typeof createKeys>, tag: string) => keys.lanes(tag),
  agents: (keys: ReturnType<typeof createKeys>, tag: string) => keys.agents(tag),
  agent: (keys: ReturnType<typeof createKeys>, tag: string, other: string) => keys.agent(tag, other),
  windows: (keys: ReturnType<typeof createKeys>, tag: string) => keys.windows(tag),
  line: (keys: ReturnType<typeof createKeys>, tag: string, other: string) => keys.line({ name: other, tag }),
  agentNotice: (keys: ReturnType<typeof createKeys>, tag: string) => keys.agentNotice(tag),
  owner: (keys: ReturnType<typeof createKeys>, tag: string, other: string) => keys.owner({ tag, name: other }),
  ownerLanes: (keys: ReturnType<typeof createKeys>, tag: string) => keys.ownerLanes({ tag, name: null }),
  ownerChanges: (keys: ReturnType<typeof createKeys>, tag: string) => keys.ownerChanges({ tag, name: null }),
  ownerNotice: (keys: ReturnType<typeof createKeys>, tag: string) => keys.ownerNotice(tag),
  run: (keys: ReturnType<typeof createKeys>, tag: string, other: string) => keys.run({ name: other, tag }),
  role: (keys: ReturnType<typeof createKeys>, _: string, other: string) => keys.role(other),
  lockBorn: (keys: ReturnType<typeof createKeys>) => keys.lockBorn(),
  aside: (keys: ReturnType<typeof createKeys>, tag: string, other: string) => keys.aside({ name: other, tag }),
  parked: (keys: ReturnType<typeof createKeys>, tag: string, other: string) =>
    keys.parked({ name: other, tag }, 'limit'),
  lined: (keys: ReturnType<typeof createKeys>, tag: string, other: string) => keys.lined({ name: other, tag }),
  asideDone: (keys: ReturnType<typeof createKeys>, tag: string, other: string) => keys.asideDone({ name: other, tag }),
  bottleneck: (keys: ReturnType<typeof createKeys>, tag: string) => keys.bottleneck(tag, 'slots'),
  bottleneckHolders: (keys: ReturnType<typeof createKeys>, tag: string) => keys.bottleneckHolders(tag),
};
const ofUpstream = [
  'queuePrefix',
  'reservation',
  'journal',
  'intents',
  'orphans',
  'pause',
  'retention',
  'limits',
  'limitDefinitions',
  'limitUses',
  'limitAmounts',
  'limitAgents',
  'limitWaiting',
  'limitNotice',
  'aside',
  'asideDone',
  'parked',
  'lined',
  'upstream',
  'lanes',
  'agents',
  'agent',
  'windows',
  'line',
  'agentNotice',
  'owner',
  'ownerLanes',
  'ownerChanges',
  'ownerNotice',
  'run',
  'bottleneck',
  'bottleneckHolders',
] as const;

describe('a key', () => {
  it('is known to this test, whichever function makes it', () => {
    const functions = Object.entries(createKeys('lk')).filter(([, value]) => typeof value === 'function');
    expect(functions.map(([key]) => key).sort()).toEqual(Object.keys(make).sort());
  });

  it('starts with the prefix and a colon, so that one prefix never reaches into another', () => {
    fc.assert(
      fc.property(anyPrefix, name, name, (prefix, tag, other) => {
        const keys = createKeys(prefix);
        for (const of of Object.values(make)) expect(of(keys, tag, other).startsWith(`${prefix}:`)).toBe(true);
      }),
    );
  });

  it('of an upstream carries its hash tag, exactly one', () => {
    fc.assert(
      fc.property(name, name, (tag, other) => {
        const keys = createKeys('lk');
        for (const kind of ofUpstream) expect(make[kind](keys, tag, other).match(/\{[^}]*\}/g)).toEqual([`{${tag}}`]);
      }),
    );
  });

  it('of ours equals none of BullMQ, whatever a lane and a job are called', () => {
    fc.assert(
      fc.property(name, name, fc.string(), (tag, lane, id) => {
        const keys = createKeys('lk');
        const bullKeys = new QueueKeys(keys.queuePrefix({ name: lane, tag }));
        const theirs = [
          ...Object.values(bullKeys.getKeys(lane)),
          bullKeys.toKey(lane, id),
          bullKeys.toKey(lane, `${id}:lock`),
        ];
        for (const [kind, of] of Object.entries(make)) {
          if (kind === 'queuePrefix') continue;
          const ours = of(keys, tag, lane);
          expect(theirs).not.toContain(ours);
          expect(ours.startsWith('lk:q:'), 'the queues have a name space of their own').toBe(false);
        }
      }),
    );
  });

  it('of the wire contract stays what other languages write to', () => {
    expect(createKeys('lk').queuePrefix({ name: 'publish', tag: 'forum' })).toBe('lk:q:{forum}');
    expect(createKeys('lk').journal('forum')).toBe('lk:u:{forum}:journal');
  });

  it('of two tags, pods or sweeps differs', () => {
    const keys = createKeys('lk');
    expect(keys.journal('a')).not.toBe(keys.journal('b'));
    expect(keys.ring('a')).not.toBe(keys.ring('b'));
    expect(keys.beat('sweep', 'a')).not.toBe(keys.beat('sweep', 'b'));
  });
});

it('a field of ours in a job cannot be one of BullMQ: none of its fields has a colon', () => {
  const fields = Object.values(JOB_FIELDS);
  expect(new Set(fields).size).toBe(fields.length);
  for (const field of fields) expect(field).toMatch(/^lk:[a-z]+$/);
});
