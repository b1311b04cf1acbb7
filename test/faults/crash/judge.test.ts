// The judge of the crash runs is tried: made-up runs that are in order, and the same with one thing wrong each.

import { describe, expect, it } from 'vitest';
import { type Case, judge } from './judge.ts';
import type { Line } from './record.ts';
import type { StoredJob } from './snapshot.ts';

const VICTIM = 1;
const HOST = 2;
const stored = (id: string, more: Partial<StoredJob> = {}): StoredJob => ({
  lane: 'work',
  id,
  n: 0,
  index: null,
  key: null,
  parent: null,
  places: ['completed'],
  deathClass: null,
  hasTrace: false,
  ...more,
});
const failed = { places: ['failed'], deathClass: 'transient', hasTrace: true };

function start(id: string, n: number, fence: number, pid: number, attempt = 1, lane = 'work') {
  const ref = { id, fence, pid };
  return {
    begin: { what: 'begin', lane, n, attempt, ...ref } as Line,
    effect: (step: string | null = null): Line => ({ what: 'effect', step, ...ref }),
    kept: (step: string): Line => ({ what: 'kept', step, ...ref }),
    end: (how: 'done' | 'thrown' | 'parked' = 'done'): Line => ({ what: 'end', how, ...ref }),
  };
}

/**
 * The pod died in step `two` of job 0, before its record; the rest goes as it should: a keyed job hands over to two, one fails
 * twice. Made anew for each test, which then spoils it.
 */
function inOrder() {
  const first = start('s', 0, 1, VICTIM);
  const second = start('s', 0, 2, HOST);
  const fails = [start('f', 2, 1, HOST, 1), start('f', 2, 2, HOST, 2)] as const;
  const simple = (id: string, n: number, lane = 'work') => {
    const only = start(id, n, 1, HOST, 1, lane);
    return [only.begin, only.effect(), only.end()];
  };
  const crash: Line = { what: 'crash', at: 'before-step-write', pid: VICTIM };
  const lines: Line[] = [
    ...['s', 'h', 'f'].map((id, n): Line => ({ what: 'accepted', n, id, pid: HOST })),
    ...[first.begin, first.effect('one'), first.kept('one'), first.effect('two'), crash],
    ...[second.begin, second.kept('one'), second.effect('two'), second.kept('two'), second.effect(), second.end()],
    ...[...simple('h', 1), ...simple('a', 1, 'next'), ...simple('b', 1, 'next')],
    ...[fails[0].begin, fails[0].effect('one'), fails[0].kept('one'), fails[0].effect(), fails[0].end('thrown')],
    ...[fails[1].begin, fails[1].kept('one'), fails[1].effect(), fails[1].end('thrown')],
  ];
  const handed = (id: string, index: number) => stored(id, { lane: 'next', n: 1, index, key: id, parent: 'work/h' });
  const jobs = [
    stored('s'),
    stored('h', { n: 1, key: 'k' }),
    stored('f', { n: 2, ...failed }),
    handed('a', 0),
    handed('b', 1),
  ];
  const run = {
    plan: { at: 'before-step-write', victim: 'pod', concurrency: 1 } as Case['plan'],
    jobs: [
      { n: 0, kind: 'steps', lane: 'work' },
      { n: 1, kind: 'handing', lane: 'work', key: 'k' },
      { n: 2, kind: 'failing', lane: 'work' },
    ] as Case['jobs'],
    lines,
    snapshot: {
      jobs,
      named: [] as string[],
      locks: [] as string[],
      reserved: ['h', 'a', 'b'],
      told: new Map(jobs.map(({ lane, id }) => [`${lane}/${id}`, 1])),
    },
  };
  return { run, first, second, fails, crash };
}

type Made = ReturnType<typeof inOrder>;

function judgeAfter(spoil: (made: Made) => void) {
  const made = inOrder();
  spoil(made);
  return judge(made.run);
}

const insertBefore = (made: Made, mark: Line, ...lines: Line[]) =>
  made.run.lines.splice(
    made.run.lines.findIndex((line) => JSON.stringify(line) === JSON.stringify(mark)),
    0,
    ...lines,
  );
const remove = (made: Made, mark: Line) =>
  made.run.lines.splice(
    made.run.lines.findIndex((line) => JSON.stringify(line) === JSON.stringify(mark)),
    1,
  );
const jobOf = ({ run }: Made, id: string) => run.snapshot.jobs.find((job) => job.id === id) as StoredJob;

describe('a run in order', () => {
  it('has no problem, and its repeat is told', () => {
    expect(judgeAfter(() => {})).toEqual({
      problems: [],
      repeated: ['work/s two'],
      done: ['work/s', 'work/h', 'next/a', 'next/b'],
      dead: ['work/f'],
      lost: [],
      unfinished: [],
      settledTwice: [],
      again: ['work/s'],
    });
  });

  it('may lack in its journal what the killed process ended last', () => {
    const { problems } = judgeAfter((made) => {
      made.run.plan = { ...made.run.plan, at: 'after-settle' };
      made.run.lines = made.run.lines.filter((line) => !('id' in line && line.id === 's' && line.what !== 'accepted'));
      const { begin, effect, end, kept } = start('s', 0, 1, VICTIM);
      const crash: Line = { what: 'crash', at: 'after-settle', pid: VICTIM };
      made.run.lines = made.run.lines.filter(({ what }) => what !== 'crash');
      made.run.lines.push(begin, effect('one'), kept('one'), effect('two'), kept('two'), effect(), end(), crash);
      made.run.snapshot.told.delete('work/s');
    });
    expect(problems).toEqual([]);
  });

  it('may have one job twice that was added without a key, when its producer died before it heard', () => {
    const twice = (victim: 'pod' | 'producer') =>
      judgeAfter((made) => {
        made.run.plan = { at: 'after-add', victim, concurrency: 1 };
        const crash = made.run.lines.find(({ what }) => what === 'crash') as { at: string };
        crash.at = 'after-add';
        made.run.lines = made.run.lines.filter(
          (line) => !('pid' in line && line.pid === VICTIM && line.what !== 'crash'),
        );
        remove(made, made.second.kept('one'));
        const other = start('t', 0, 1, HOST);
        made.run.lines.push(other.begin, other.end());
        made.run.snapshot.jobs.push(stored('t'));
        made.run.snapshot.told.set('work/t', 1);
      }).problems;
    expect(twice('producer')).toEqual([]);
    expect(twice('pod')).toEqual(['job 0 (steps): expected it once in work, got 2']);
  });
});

describe('a run is convicted when', () => {
  const CRIMES: [string, RegExp, (made: Made) => void][] = [
    ['an accepted job is nowhere', /accepted as 0, and is nowhere/, ({ run }) => run.snapshot.jobs.shift()],
    [
      'a job waits still',
      /expected it in completed, got wait/,
      (made) => Object.assign(jobOf(made, 's'), { places: ['wait'] }),
    ],
    ['a job is in no set', /got no set/, (made) => Object.assign(jobOf(made, 's'), { places: [] })],
    ['a job is done and dead', /got completed,failed/, (made) => void jobOf(made, 's').places.push('failed')],
    [
      'a keyed job is there twice',
      /expected it once/,
      ({ run }) => run.snapshot.jobs.push(stored('k', { n: 1, key: 'k' })),
    ],
    ['nobody added it', /never made/, ({ run }) => run.snapshot.jobs.push(stored('x', { n: 9 }))],
    ['a hand-over is missing', /got 0$/m, ({ run }) => run.snapshot.jobs.pop()],
    [
      'a hand-over is there twice',
      /got 0,1,1/,
      ({ run }) => {
        run.snapshot.jobs.push(stored('c', { lane: 'next', n: 1, index: 1, key: 'c', parent: 'work/h' }));
      },
    ],
    [
      'a kept step is done again',
      /step one was kept and done again/,
      (made) => insertBefore(made, made.second.kept('one'), made.second.effect('one')),
    ],
    [
      'a step repeats with no crash in it',
      /done 2 times/,
      (made) => insertBefore(made, made.fails[1].kept('one'), made.fails[1].effect('one')),
    ],
    [
      'what must repeat did not',
      /expected work\/s two to repeat, got nothing/,
      (made) => remove(made, made.second.effect('two')),
    ],
    [
      'a step repeats that the point does not allow',
      /expected nothing to repeat/,
      (made) => {
        made.run.plan = { ...made.run.plan, at: 'after-step-write' };
        (made.crash as { at: string }).at = 'after-step-write';
      },
    ],
    [
      'a live process ran a job twice',
      /of a process that lives ran again/,
      (made) => {
        const more = start('h', 1, 2, HOST);
        made.run.lines.push(more.begin, more.end());
      },
    ],
    [
      'a settled job ran again',
      /was settled and ran again/,
      (made) => {
        made.run.plan = { ...made.run.plan, at: 'after-settle' };
        (made.crash as { at: string }).at = 'after-settle';
        insertBefore(made, made.crash, made.first.end());
      },
    ],
    [
      'a job ran again twice',
      /ran again 2 times/,
      (made) => {
        const more = start('s', 0, 3, HOST);
        made.run.lines.push(more.begin, more.end());
      },
    ],
    ['the crash used an attempt', /used an attempt/, (made) => void Object.assign(made.second.begin, { attempt: 2 })],
    [
      'a job failed once and was buried',
      /its last start ended thrown, in attempt 1/,
      (made) => {
        made.run.lines = made.run.lines.filter(
          (line) => !('id' in line && line.id === 'f' && 'fence' in line && line.fence === 2),
        );
      },
    ],
    [
      'a job was settled that never ended',
      /its last start ended not at all/,
      (made) => remove(made, made.second.end()),
    ],
    [
      'two pods had one fence',
      /two starts with fence 1/,
      (made) => void made.run.lines.push(start('h', 1, 1, VICTIM).begin),
    ],
    ['it was settled twice by the journal', /settled 2 times/, ({ run }) => void run.snapshot.told.set('work/s', 2)],
    [
      'the journal is silent on what a live process ended',
      /journal does not say/,
      ({ run }) => void run.snapshot.told.delete('work/s'),
    ],
    ['a lock is left', /a lock is left/, ({ run }) => void run.snapshot.locks.push('x:lock')],
    ['a set names what is gone', /a name without a job/, ({ run }) => void run.snapshot.named.push('work wait x')],
    ['a reservation has no job', /a reservation without a job: x/, ({ run }) => void run.snapshot.reserved.push('x')],
    [
      'a keyed job has no reservation',
      /a job without its reservation: h/,
      ({ run }) => void run.snapshot.reserved.shift(),
    ],
    [
      'a dead letter has no class',
      /class transient, got null/,
      (made) => Object.assign(jobOf(made, 'f'), { deathClass: null }),
    ],
    ['a dead letter has no stack', /to keep its stack/, (made) => Object.assign(jobOf(made, 'f'), { hasTrace: false })],
    ['nothing died', /expected one crash/, (made) => remove(made, made.crash)],
  ];

  it.each(CRIMES)('%s', (_, complaint, spoil) => {
    expect(judgeAfter(spoil).problems.join('\n')).toMatch(complaint);
  });
});
