// Which lanes have one owner together, and which may not stand side by side.

import { describe, expect, it } from 'vitest';
import { defineLane, defineUpstream } from '../../src/index.ts';
import { groupOf, listMixedAgents } from '../../src/path/group.ts';

const forum = defineUpstream({ name: 'forum', agents: ['a01'] });
const mail = defineUpstream({ name: 'mail' });
const agent = { cooldown: '2h' } as const;
const exclusive = { ownership: 'exclusive' } as const;
const publish = defineLane({ name: 'publish', upstream: forum, agent, ...exclusive });
const reply = defineLane({ name: 'reply', upstream: forum, agent, ...exclusive, displaced: 'drain' });
const audit = defineLane({ name: 'audit', upstream: forum, ...exclusive });
const letter = defineLane({ name: 'letter', upstream: mail, agent, ...exclusive });
const read = defineLane({ name: 'read', upstream: forum });
const alone = defineLane({ name: 'alone', ...exclusive });
const all = [publish, reply, audit, letter, read, alone];

describe('a group', () => {
  it.each([
    [publish, { tag: 'forum', name: null }, { publish: 'park', reply: 'drain' }],
    [reply, { tag: 'forum', name: null }, { publish: 'park', reply: 'drain' }],
    [audit, { tag: 'forum', name: 'audit' }, { audit: 'park' }],
    [letter, { tag: 'mail', name: null }, { letter: 'park' }],
    [alone, { tag: 'alone', name: 'alone' }, { alone: 'park' }],
  ])('of $name is all exclusive lanes that act as its agents, or it alone', (lane, address, lanes) => {
    expect(groupOf(lane, all)).toEqual({ address, lane: lane.name, lanes });
    expect(groupOf(lane, [])).toMatchObject({ address, lanes: { [lane.name]: lane.displaced } });
  });
});

describe('an open lane', () => {
  it('may not act as agents of which an exclusive one does', () => {
    const open = defineLane({ name: 'open', upstream: forum, agent });
    expect(listMixedAgents([...all, open])).toEqual([
      expect.stringMatching(
        /^lanes "publish", "reply" \(exclusive\) and "open" \(open\) act as the same agents, of upstream "forum": expected /,
      ),
    ]);
  });

  it('may stand beside it where it acts as nobody, or as others (twin)', () => {
    expect(listMixedAgents(all)).toEqual([]);
    const elsewhere = defineLane({ name: 'open', upstream: defineUpstream({ name: 'other' }), agent });
    expect(listMixedAgents([...all, elsewhere])).toEqual([]);
  });
});
