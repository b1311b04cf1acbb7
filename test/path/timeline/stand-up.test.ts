// The stand-up form: one incident of several, first sign, what an order changed, only hypotheses that the journal supports.

import { describe, expect, it } from 'vitest';
import {
  limitLowered,
  MINUTE,
  podCrashLoop,
  quietDay,
  redisFull,
  Script,
  START,
  stormBesideCron,
} from './incidents.ts';
import { standUpOf, tellStandUp } from './telling.ts';

const DONE = { outcome: 'done' };
const failing = (name: string) => ({ outcome: 'retry', class: name, reason: `it said ${name}` });
const names = (script: Script) => standUpOf(script.done()).hypotheses.map(({ name }) => name);

describe('an incident', () => {
  it('begins with its first sign, and knows what was ordered shortly before', () => {
    const { firstSign, sinceAt, before, reach } = standUpOf(stormBesideCron());
    expect(firstSign).toMatchObject({ what: 'attempt.finished', text: expect.stringContaining('429') });
    expect(sinceAt).toBe(START + 21 * MINUTE + 1_000);
    expect(before).toMatchObject([
      { who: 'ann@desk', text: expect.stringContaining('displaced') },
      { who: 'ann@desk', text: expect.stringContaining('manual') },
    ]);
    expect(reach).toMatchObject({ jobs: { count: 380, isMore: false }, agents: { count: 32 } });
    expect(reach.lanes.map(({ lane, failed }) => [lane, failed])).toEqual([['publish', 380]]);
  });

  it('is none while an attempt fails now and then (twin)', () => {
    const script = new Script().attempts(0, 3_600, 600, 'publish', 'forum', DONE);
    for (let minute = 0; minute < 60; minute += 5)
      script.attempts(minute * 60, minute * 60 + 1, 1, 'publish', 'forum', failing('transient'));
    expect(standUpOf(script.done())).toMatchObject({ isIncident: false, hypotheses: [], recovered: [] });
    expect(standUpOf(quietDay())).toMatchObject({ isIncident: false });
  });

  it('after a calm quarter of an hour is another one', () => {
    const script = new Script().attempts(0, 60, 50, 'publish', 'forum', failing('timeout'));
    script.attempts(40 * 60, 41 * 60, 30, 'publish', 'forum', failing('auth'));
    const standUp = standUpOf(script.done());
    expect(standUp).toMatchObject({ sinceAt: START + 40 * MINUTE, earlierIncidents: 1 });
    expect(standUp.hypotheses.map(({ name }) => name)).toEqual(['locked-out']);
    expect(standUpOf(new Script().attempts(0, 41 * 60, 500, 'publish', 'forum', failing('auth')).done())).toMatchObject(
      { sinceAt: START, earlierIncidents: 0 },
    );
  });
});

describe('a term that is over', () => {
  const term = { lane: 'publish', lanes: ['publish'], as: 'manual', by: 'ann@desk', reason: 'backfill' };
  const ended = (isHold: boolean) =>
    new Script()
      .attempts(0, 20 * 60, 200, 'publish', 'forum', DONE)
      .at(600, 'forum', 'ann@desk', { what: 'lane.expired', ...term, isHold })
      .at(603, 'forum', 'cron@pod-1', { what: 'lane.taken', ...term, as: 'cron', by: 'cron@pod-1', reason: 'at 3' });
  const ASIDE = { what: 'jobs.displaced', lane: 'publish', count: 5 };

  it('is no sign of anything by itself', () => {
    expect(standUpOf(ended(false).done())).toMatchObject({ isIncident: false, firstSign: null });
  });

  it('is one when its holder died (twin)', () => {
    expect(standUpOf(ended(true).done())).toMatchObject({ firstSign: { what: 'lane.expired' } });
  });

  it('is one when jobs of that owner lie aside since, until somebody answers for them', () => {
    const script = ended(false).at(604, 'forum', 'pod-1', ASIDE);
    const standUp = standUpOf(script.done());
    expect(standUp).toMatchObject({ firstSign: { what: 'jobs.displaced' }, now: [{ what: 'jobs.displaced' }] });
    expect(standUp.reach.lanes.map(({ lane }) => lane)).toEqual(['publish']);
    expect(standUp.hypotheses.map(({ name }) => name)).toEqual(['left-behind']);
    expect(standUp.recovered).toMatchObject([{ isMet: false }, {}]);
    script.at(700, 'forum', 'ann@desk', { what: 'jobs.adopted', lane: 'publish', count: 5, reason: 'ours now' });
    const after = standUpOf(script.done());
    expect(after).toMatchObject({ now: [], hypotheses: [] });
    expect(after.recovered[0]).toMatchObject({ isMet: true });
  });

  it('is none where somebody displaced that owner by force: what lies aside was ordered (twin)', () => {
    const script = new Script()
      .at(600, 'forum', 'bob', { what: 'lane.displaced', ...term, to: 'cron', why: 'now', jobs: 0 })
      .at(604, 'forum', 'pod-1', ASIDE);
    expect(standUpOf(script.done())).toMatchObject({ isIncident: false, now: [{ what: 'jobs.displaced' }] });
  });
});

describe('a pod that fell silent', () => {
  const GONE = { what: 'pod.silent', pod: 'pod-1', silentMs: 8_000, lanes: ['draft'] };
  const silentAt = (second: number) => new Script().at(second, null, 'api', GONE);
  const started = (lanes: string[]) => ({ what: 'pod.started', lanes, concurrency: 8 });

  it.each([
    ['before that was told', 55],
    ['after it', 70],
  ])('is no open wound when another started in its place %s', (_, second) => {
    const standUp = standUpOf(
      silentAt(60)
        .at(second, null, 'pod-2', started(['collect', 'draft']))
        .done(),
    );
    expect(standUp).toMatchObject({ firstSign: { what: 'pod.silent' }, now: [] });
    expect(standUp.recovered[0]).toMatchObject({ isMet: true });
  });

  it.each([
    ['runs other lanes', 55, ['collect']],
    ['was there before', 40, ['draft']],
  ])('is one while whoever started %s (twin)', (_, second, lanes) => {
    const standUp = standUpOf(silentAt(60).at(second, null, 'pod-2', started(lanes)).done());
    expect(standUp.now).toMatchObject([{ what: 'pod.silent' }]);
    expect(standUp.recovered[0]).toMatchObject({ isMet: false });
  });

  it('for good makes no incident of tomorrow a part of this one', () => {
    const script = silentAt(60).attempts(3_600, 3_660, 30, 'publish', 'forum', failing('auth'));
    expect(standUpOf(script.done())).toMatchObject({ sinceAt: START + 60 * MINUTE, earlierIncidents: 1 });
  });
});

describe('what was tried', () => {
  const storm = (fromS: number, untilS: number) =>
    new Script().attempts(fromS, untilS, (untilS - fromS) / 2, 'publish', 'forum', failing('timeout'));
  const order = {
    what: 'limit.set',
    upstream: 'forum',
    limit: 'concurrent',
    reason: 'less',
    before: 8,
    after: 2,
    defined: 8,
    untilAt: null,
  };

  it.each([
    ['better', storm(0, 600)],
    ['no change', storm(0, 1_200)],
    ['worse', storm(590, 1_200)],
  ])('is %s by what failed before and after', (verdict, script) => {
    script.at(600, 'forum', 'ann', order);
    expect(standUpOf(script.done(), [], START + 20 * MINUTE).tried.filter(({ at }) => at >= START)).toMatchObject([
      { who: 'ann', verdict },
    ]);
  });

  it('is no worse because the work ran out', () => {
    const script = storm(0, 600).attempts(0, 600, 200, 'think', 'model', DONE);
    script.at(600, 'model', 'ann', { ...order, upstream: 'model' });
    const [tried] = standUpOf(script.done(), [], START + 20 * MINUTE).tried;
    expect(tried).toMatchObject({ before: { bad: 0 }, after: { done: 0 }, verdict: 'no change' });
    expect(tried?.before.done).toBeGreaterThan(50);
  });

  it('a moment ago is too early to tell', () => {
    const script = storm(0, 600).at(590, 'forum', 'ann', order);
    expect(standUpOf(script.done(), [], START + 10 * MINUTE).tried).toMatchObject([{ verdict: 'too early' }]);
  });

  it('on another upstream is judged by that one', () => {
    const script = storm(0, 600).at(600, 'model', 'ann', { ...order, upstream: 'model' });
    expect(standUpOf(script.done(), [], START + 20 * MINUTE).tried).toMatchObject([
      { before: { bad: 0 }, verdict: 'no change' },
    ]);
  });

  it('and noted is told in its own words', () => {
    const script = storm(0, 600).at(300, 'forum', 'ann', {
      what: 'lane.noted',
      lane: 'publish',
      text: 'tried X: no change',
    });
    expect(standUpOf(script.done()).tried).toMatchObject([
      { text: 'note on publish: tried X: no change', verdict: null },
    ]);
  });
});

describe('a hypothesis', () => {
  it.each([
    ['two-hands', stormBesideCron()],
    ['pod-killer', podCrashLoop()],
    ['redis-full', redisFull()],
    ['limit-lowered', limitLowered()],
  ])('%s is the first where the journal speaks for it, with its evidence', (name, lines) => {
    const [first] = standUpOf(lines).hypotheses;
    expect(first?.name).toBe(name);
    expect(first?.evidence.length).toBeGreaterThan(1);
  });

  it.each([
    [
      'upstream-stricter',
      new Script().attempts(0, 60, 50, 'publish', 'forum', { outcome: 'park', class: 'rate-limit', gate: 'limit' }),
    ],
    ['upstream-down', new Script().attempts(0, 60, 50, 'publish', 'forum', failing('timeout'))],
    [
      'rollout',
      new Script()
        .attempts(0, 60, 50, 'publish', 'forum', failing('schema-drift'))
        .attempts(0, 60, 50, 'publish', 'forum', DONE),
    ],
    ['locked-out', new Script().attempts(0, 60, 50, 'publish', 'forum', failing('auth'))],
    [
      'no-pods',
      new Script().at(0, 'forum', 'pod-1', { what: 'lane.unattended', lane: 'publish', job: '1', ageMs: 9_000 }),
    ],
    [
      'redis-away',
      new Script()
        .at(0, null, 'pod-1', { what: 'redis.back', awayMs: 9_000 })
        .at(9, 'forum', 'pod-1', { what: 'job.stalled', lane: 'publish', job: '1' }),
    ],
    [
      'still-paused',
      new Script()
        .at(0, 'forum', 'ann', { what: 'lane.paused', lane: 'publish', reason: 'a' })
        .at(900, 'forum', 'pod-1', { what: 'lane.overdue', lane: 'publish', job: '1', ageMs: 9_000, dueMs: 5_000 }),
    ],
    [
      'too-much-work',
      new Script()
        .at(0, 'forum', 'pod-1', { what: 'lane.overdue', lane: 'publish', job: '1', ageMs: 9_000, dueMs: 5_000 })
        .attempts(1, 60, 500, 'publish', 'forum', DONE),
    ],
  ])('%s is found', (name, script) => {
    expect(names(script)).toContain(name);
  });

  it('without evidence is none, and that is said', () => {
    const script = new Script().attempts(0, 60, 50, 'publish', 'forum', failing('fatal'));
    expect(names(script)).toEqual([]);
    expect(tellStandUp(script.done())).toContain('none that the journal supports');
  });
});

describe('recovered', () => {
  const storm = new Script()
    .attempts(0, 600, 300, 'publish', 'forum', DONE)
    .attempts(600, 660, 50, 'publish', 'forum', failing('timeout'))
    .done();
  const now = (waiting: number, oldestWaitingMs: number | null) => [
    { lane: 'publish', waiting, oldestWaitingMs, dueMs: 60_000 },
  ];
  const met = (untilMinutes: number, lanes = now(0, null)) =>
    standUpOf(storm, lanes, START + untilMinutes * MINUTE).recovered.map(({ isMet }) => isMet);

  it('is met by the last failure, the backlog and the oldest that waits, each for itself', () => {
    expect(met(30)).toEqual([true, true, true]);
    expect(met(15)).toEqual([false, true, true]);
    expect(met(30, now(151, 1_000))).toEqual([true, false, true]);
    expect(met(30, now(150, 61_000))).toEqual([true, true, false]);
  });

  it('of lanes that nobody looked at is not known', () => {
    expect(met(30, [])).toEqual([true, null]);
  });
});
