// The folding itself: the same whatever comes in pieces or late, flat in memory, and saying only what the lines carry.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IncidentFold } from '../../../src/path/incident.ts';
import { type Section, TimelineFold, type ToldEvent, type ToldLane } from '../../../src/path/timeline-fold.ts';
import type { TimelineLine } from '../../../src/path/timeline-line.ts';
import { causesFirst } from '../../../src/path/timeline-order.ts';
import { PHRASES } from '../../../src/path/timeline-phrases.ts';
import { EVENT_CATALOGUE } from '../../../src/words/events.ts';
import { MINUTE, Script, SECOND, START, stormBesideCron } from './incidents.ts';
import { fold, tellText } from './telling.ts';

const DONE = { outcome: 'done' };
const PARKED = { outcome: 'park', class: 'rate-limit', gate: 'limit' };

const eventsOf = (sections: Section[]): ToldEvent[] =>
  sections.flatMap((one) => (one.kind === 'minute' ? one.events : []));
const lanesOf = (sections: Section[]): ToldLane[] => sections.flatMap(({ lanes }) => lanes);
const told = (sections: Section[], what: string) => eventsOf(sections).find((event) => event.what === what);

describe('every event that is journalled', () => {
  const journalled = Object.entries(EVENT_CATALOGUE).flatMap(([name, { journal }]) => (journal ? [name] : []));

  it.each([...journalled, 'journal.gap', 'lane.taken', 'lane.released', 'lane.expired', 'lane.displaced'])(
    '%s has its sentence, or is counted',
    (what) => {
      expect(PHRASES).toHaveProperty([what]);
    },
  );

  it.each(Object.keys(PHRASES))('%s is said also when nothing but its name was written', (what) => {
    for (const count of [1, 2]) {
      const lines = Array.from({ length: count }, () => ({ at: START, what, tag: null }));
      const text = tellText(lines);
      expect(text).not.toMatch(/undefined|NaN|null|\[object/);
      expect(text.split('\n').length).toBeGreaterThan(4);
    }
  });

  it('that nobody knows is told by its name and fields', () => {
    const [event] = eventsOf(fold([{ at: START, what: 'moon.eclipsed', tag: 'forum', who: 'eve', depth: 3 }]));
    expect(event).toMatchObject({ what: 'moon.eclipsed', text: 'moon.eclipsed {"depth":3}' });
  });
});

describe('a storm', () => {
  it('is one line per lane: how many, how they ended, when, and an example', () => {
    const script = new Script()
      .attempts(0, 59, 4_300, 'publish', 'forum', DONE)
      .attempts(1, 58, 12, 'publish', 'forum', PARKED);
    const [lane] = lanesOf(fold(script.done()));
    expect(lane).toMatchObject({ lane: 'publish', count: 4_312, firstAt: START, jump: null });
    expect(lane?.ends).toMatchObject([
      { end: 'done', count: 4_300 },
      { end: 'park:rate-limit', count: 12, isBad: true, example: 'p1-0' },
    ]);
    expect(tellText(script.done())).toContain(
      'publish: 4,312 attempts: 4,300 done, 12 parked by rate-limit (such as p1-0)',
    );
  });

  it('whose rate jumps says by how much; the same rate going on does not (twin)', () => {
    const usual = () => new Script().attempts(0, 600, 100, 'publish', 'forum', DONE);
    expect(tellText(usual().attempts(600, 660, 400, 'publish', 'forum', DONE).done())).toContain(
      '×40 of the 10 minutes before',
    );
    expect(tellText(usual().attempts(600, 660, 10, 'publish', 'forum', DONE).done())).not.toContain('×');
  });

  it('at the very beginning is no jump: nobody knows what was before', () => {
    expect(tellText(new Script().attempts(0, 59, 5_000, 'publish', 'forum', DONE).done())).not.toContain('before');
  });

  it('of a cron that adds many every five minutes is usual', () => {
    const script = new Script();
    for (let minute = 0; minute < 60; minute += 5)
      script.attempts(minute * 60, minute * 60 + 5, 50, 'collect', 'feed', DONE);
    const jumps = fold(script.done()).filter(({ lanes }) => lanes.some(({ jump }) => jump !== null));
    // Until it has come twice nobody knows that it is usual.
    expect(jumps.length).toBeLessThanOrEqual(1);
  });

  it('of one kind of entry is one line with its count; orders by others, or for another reason, are not lost in it', () => {
    const script = new Script();
    for (let index = 0; index < 2_000; index++)
      script.at(index / 100, 'forum', 'pod-1', { what: 'job.stalled', lane: 'publish', job: `j${index}` });
    script.at(5, 'forum', 'ann', { what: 'lane.noted', lane: 'publish', text: 'one' });
    script.at(6, 'forum', 'ann', { what: 'lane.noted', lane: 'publish', text: 'two' });
    const events = eventsOf(fold(script.done()));
    expect(events.map(({ what, count }) => [what, count])).toEqual([
      ['job.stalled', 2_000],
      ['lane.noted', 1],
      ['lane.noted', 1],
    ]);
    expect(events[0]?.text).toContain('(j0, j1, j2, …)');
  });
});

describe('a cause', () => {
  const hold = { what: 'limit.held', upstream: 'forum', forMs: 30_000, reason: '429' };

  it('is beside its effect where the rule holds: same upstream, in its time', () => {
    const sections = fold(
      new Script().at(10, 'forum', 'pod-1', hold).attempts(11, 20, 9, 'publish', 'forum', PARKED).done(),
    );
    expect(lanesOf(sections)[0]?.ends[0]?.because).toMatchObject({
      how: 'because of',
      what: 'limit.held',
      at: START + 10 * SECOND,
    });
  });

  it.each([
    ['of another upstream', 'model', 11, null],
    ['that began long before it', 'forum', -60, null],
    ['that came after its time', 'forum', 70, 'after'],
    ['that came much later', 'forum', 700, null],
  ] as const)('is not said of an effect %s (twin)', (_, tag, fromS, how) => {
    const script = new Script()
      .at(10, 'forum', 'pod-1', hold)
      .attempts(fromS, Math.max(fromS + 5, 20), 50, 'publish', tag, PARKED);
    const parked = lanesOf(fold(script.done())).flatMap(({ ends }) => ends);
    expect(parked.at(-1)?.because?.how ?? null).toBe(how);
  });

  it('that somebody ended explains nothing any more', () => {
    const script = new Script()
      .at(0, 'forum', 'bob', { what: 'lane.paused', lane: 'publish', reason: 'a' })
      .at(60, 'forum', 'bob', { what: 'lane.resumed', lane: 'publish', reason: 'b' })
      .at(90, 'forum', 'pod-1', { what: 'lane.overdue', lane: 'publish', job: '1', ageMs: 1, dueMs: 1 });
    expect(told(fold(script.done()), 'lane.overdue')?.because).toBeNull();
    const without = script.lines.filter(({ what }) => what !== 'lane.resumed');
    expect(told(fold(without), 'lane.overdue')?.because?.what).toBe('lane.paused');
  });

  it('may be told after its effect: a pod is called silent when its jobs have stalled', () => {
    const script = new Script()
      .at(22, 'model', 'pod-2', { what: 'job.stalled', lane: 'draft', job: '1' })
      .at(30, null, 'pod-2', { what: 'pod.silent', pod: 'pod-3', silentMs: 29_000, lanes: ['draft'] });
    expect(told(fold(script.done()), 'job.stalled')?.because).toMatchObject({ how: 'because of', what: 'pod.silent' });
  });

  it('that the entries carry is their job: an order to cancel', () => {
    const script = new Script()
      .at(1, 'forum', 'ann', { what: 'cancel.ordered', lane: 'publish', job: '7', reason: 'wrong' })
      .at(3, 'forum', 'pod-1', { what: 'job.cancelled', lane: 'publish', job: '7', reason: 'wrong', before: 'active' })
      .at(4, 'forum', 'pod-1', { what: 'job.cancelled', lane: 'publish', job: '8', reason: 'other', before: 'active' });
    const cancelled = eventsOf(fold(script.done())).filter(({ what }) => what === 'job.cancelled');
    expect(cancelled.map(({ because }) => because?.what ?? null)).toEqual(['cancel.ordered', null]);
  });
});

describe('a cause that was written a moment after its effect', () => {
  const SIGN = { what: 'job.stalled', lane: 'draft', job: '1' };
  const GONE = { what: 'pod.silent', pod: 'pod-3', silentMs: 29_000, lanes: ['draft'] };
  const order = (...lines: [number, string | null, object & { what: string }][]) => {
    const script = new Script();
    for (const [second, tag, fields] of lines) script.at(second, tag, 'pod-2', { ...fields });
    return eventsOf(fold(script.done())).map(({ what, at }) => [what, (at - START) / SECOND]);
  };

  it('is told before it, and each keeps its instant', () => {
    expect(order([22, 'model', SIGN], [23.5, null, GONE])).toEqual([
      ['pod.silent', 23.5],
      ['job.stalled', 22],
    ]);
  });

  it('is told where it was when it came later than a moment, or explains nothing (twin)', () => {
    expect(order([22, 'model', SIGN], [24.5, null, GONE]).map(([what]) => what)).toEqual(['job.stalled', 'pod.silent']);
    const other = { ...GONE, lanes: ['publish'] };
    expect(order([22, 'model', SIGN], [22.5, null, other]).map(([what]) => what)).toEqual([
      'job.stalled',
      'pod.silent',
    ]);
  });

  it('is told before all that came of it in turn', () => {
    const taken = { what: 'lane.taken', lane: 'draft', as: 'manual', by: 'ann', reason: 'r', isForced: true };
    const displaced = { what: 'lane.displaced', lane: 'draft', as: 'cron', by: 'c', to: 'manual of ann', jobs: 1 };
    const fenced = { what: 'attempt.fenced', lane: 'draft', job: '1', reason: 'r' };
    expect(order([5, 'model', fenced], [5.4, 'model', displaced], [5.4, 'model', taken]).map(([what]) => what)).toEqual(
      ['lane.taken', 'lane.displaced', 'attempt.fenced'],
    );
  });

  it('and is its effect as well is told once', () => {
    const event = (at: number) => ({ at });
    const told = [
      { event: event(1), key: 'a', causeKey: 'b' },
      { event: event(2), key: 'b', causeKey: 'a' },
      { event: event(0), key: 'c', causeKey: 'c' },
    ];
    expect(causesFirst(told).map(({ at }) => at)).toEqual([0, 2, 1]);
  });
});

describe('what somebody was about to do', () => {
  const begun = { what: 'order.begun', lane: 'publish', order: 'lane.paused', reason: 'r', intent: 'i1' };
  const paused = { what: 'lane.paused', lane: 'publish', reason: 'r' };
  const kinds = (intent: string) => {
    const script = new Script().at(1, 'forum', 'ann', begun).at(2, 'forum', 'ann', { ...paused, intent });
    return eventsOf(fold(script.done())).map(({ what }) => what);
  };

  it('is told by its result alone; without one it stands as begun (twin)', () => {
    expect(kinds('i1')).toEqual(['lane.paused']);
    expect(kinds('i2')).toEqual(['order.begun', 'lane.paused']);
  });
});

describe('the end of a term', () => {
  const expired = { what: 'lane.expired', lane: 'publish', lanes: ['publish'], as: 'manual', by: 'ann', reason: 'r' };

  it('is no trouble when it ran its time; that its holder died is (twin)', () => {
    const kindOf = (isHold: boolean) =>
      told(fold(new Script().at(1, 'forum', 'ann', { ...expired, isHold }).done()), 'lane.expired')?.kind;
    expect([kindOf(false), kindOf(true)]).toEqual(['news', 'trouble']);
  });
});

describe('the folding', () => {
  const lines = stormBesideCron();
  const whole = fold(lines);

  it('is the same however the lines are dealt out in pages', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(lines.length), { maxLength: 20 }), (cuts) => {
        const timeline = new TimelineFold({ fromAt: lines[0]?.at });
        const sections: Section[] = [];
        let from = 0;
        for (const to of [...cuts.sort((a, b) => a - b), lines.length]) {
          for (const line of lines.slice(from, to)) sections.push(...timeline.add(line));
          from = to;
        }
        sections.push(...timeline.end((lines.at(-1) as TimelineLine).at));
        expect(sections.filter(({ kind }) => kind === 'minute').slice(0, -1)).toEqual(
          whole.filter(({ kind }) => kind === 'minute').slice(0, -1),
        );
      }),
      { numRuns: 20 },
    );
  });

  it('counts every attempt exactly once, late ones too', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 40 * 60 }), { minLength: 1, maxLength: 300 }), (seconds) => {
        const script = new Script();
        for (const at of seconds) script.attempts(at, at + 1, 1, 'publish', 'forum', DONE);
        const sum = lanesOf(fold(script.lines, START + 41 * MINUTE)).reduce((total, { count }) => total + count, 0);
        expect(sum).toBe(seconds.length);
      }),
      { numRuns: 50 },
    );
  });

  it('puts what was written late where it happened, as long as that minute is not told', () => {
    const script = new Script().at(0, null, 'pod-1', { what: 'pod.started', lanes: ['publish'] });
    script.at(6 * 60, null, 'pod-1', { what: 'redis.back', awayMs: 240_000 });
    script.at(2 * 60, null, 'pod-2', { what: 'pod.late', lateMs: 9_000, running: 'publish 1' });
    const minutes = fold(script.lines).flatMap((one) => (one.kind === 'minute' ? [one.at - START] : []));
    expect(minutes).toEqual([0, 2 * MINUTE, 6 * MINUTE]);
  });

  it('names late entries of minutes that were told', () => {
    const script = new Script().at(0, null, 'pod-1', { what: 'pod.started', lanes: [] });
    script.at(40 * 60, null, 'pod-1', { what: 'pod.started', lanes: [] });
    script.at(5 * 60, null, 'pod-2', { what: 'pod.late', lateMs: 9_000, running: 'publish 1' });
    const late = fold(script.lines).filter((one) => one.kind === 'minute' && one.late === 1);
    expect(late).toHaveLength(1);
    expect(tellText(script.lines)).toContain('1 entry of an earlier minute came late');
  });

  it('of nothing says that it was quiet', () => {
    const timeline = new TimelineFold({ fromAt: START });
    expect([...timeline.end(START + 5 * MINUTE)]).toMatchObject([
      { kind: 'quiet', lanes: [], untilAt: START + 5 * MINUTE },
    ]);
  });

  it('takes whatever stands in a line, and shows no control character of it', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.constantFrom(...Object.keys(PHRASES)),
        (fields, what) => {
          const text = tellText([{ ...fields, at: START, what, tag: null, who: 'eve\u001b[2J' }]);
          expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('of 200,000 lines holds no more than of 2,000; who kept them would (twin)', () => {
    const heapAfter = (count: number) => {
      const timeline = new TimelineFold({ fromAt: START });
      const incident = new IncidentFold();
      let sections = 0;
      for (let index = 0; index < count; index++) {
        const line = lineOf(index);
        incident.add(line);
        for (const _ of timeline.add(line)) sections++;
      }
      collectGarbage();
      const used = process.memoryUsage().heapUsed;
      expect([...timeline.end(START + count * 40)].length + sections).toBeGreaterThan(1);
      expect(incident.end(START + count * 40).lanes).toHaveLength(50);
      return used;
    };
    heapAfter(2_000);
    const small = heapAfter(2_000);
    expect(heapAfter(200_000) - small).toBeLessThan(8_000_000);
    const kept = Array.from({ length: 200_000 }, (_, index) => lineOf(index));
    collectGarbage();
    expect(process.memoryUsage().heapUsed - small).toBeGreaterThan(16_000_000);
    expect(kept).toHaveLength(200_000);
  });
});

/** 25 a second, on 50 lanes: a hundredth stalls, a tenth is refused. */
function lineOf(index: number): TimelineLine {
  const common = { at: START + index * 40, tag: 'forum', lane: `lane-${index % 50}`, job: `job-number-${index}` };
  if (index % 100 === 0) return { ...common, what: 'job.stalled', who: `pod-${index % 7}` };
  return { ...common, what: 'attempt.finished', who: 'pod-1', durationMs: 12, ...(index % 10 ? DONE : PARKED) };
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
