// The named scenarios: what a user of the upstream would see, and the knobs that make it so. A scenario is the whole
// behaviour: knobs it does not name are at their defaults.

import { wrongOption } from '../words/errors.ts';
import { type Behaviour, type BehaviourChange, changeBehaviour, DEFAULT_BEHAVIOUR } from './behaviour.ts';

interface Scenario {
  readonly line: string;
  readonly change: BehaviourChange;
}

export const SCENARIOS = {
  calm: {
    line: 'everything works: answers after 20 ms, no limits',
    change: { latency: '20ms' },
  },
  tight: {
    line: 'three requests at once; the fourth gets 429',
    change: { latency: { min: '50ms', max: '150ms' }, limits: [{ concurrent: 3 }] },
  },
  rate: {
    line: '60 requests a minute and 5 a second; one more gets 429 with Retry-After',
    change: {
      latency: '20ms',
      limits: [
        { count: 5, per: '1s' },
        { count: 60, per: '1m' },
      ],
    },
  },
  cooldown: {
    line: 'an agent rests 2s between acts; one that comes early is banned, each time for longer',
    change: { latency: '20ms', cooldown: '2s', banFor: '5s', banGrowth: 2 },
  },
  incident: {
    line: 'the day it happened: 2h cooldowns, one shared limit, bans that grow, a lying status, two versions at once',
    change: {
      latency: { p50: '40ms', p99: '800ms' },
      limits: [{ concurrent: 3 }, { count: 60, per: '1m' }],
      cooldown: '2h',
      banFor: '2h',
      statusLies: 0.3,
      rollout: { versions: ['2025-10-01', '2026-04-01'], ratio: 0.5 },
    },
  },
  'green-but-broken': {
    line: 'the health endpoint is green, every real request gets 466',
    change: { latency: '20ms', failWith: 466 },
  },
  rollout: {
    line: 'half the answers come from a new version with another shape, unless x-api-version pins one',
    change: { latency: '20ms', rollout: { versions: ['2025-10-01', '2026-04-01'], ratio: 0.5 } },
  },
  'lying-status': {
    line: 'a third of the status answers are wrong, both ways, and one post in ten is accepted but never appears',
    change: { latency: '20ms', statusLies: 1 / 3, dropRatio: 0.1 },
  },
  gone: {
    line: 'channel 123 is gone: 404 for it and for what is posted to it',
    change: { latency: '20ms', gone: ['channel/123'] },
  },
  resets: {
    line: 'one connection in five breaks, before the work, after it, or in the middle of the answer',
    change: { latency: '20ms', resetRatio: 0.2 },
  },
  guarded: {
    line: 'it checks fence tokens (412) and honours idempotency keys: doubled work has one effect',
    change: { latency: '20ms', checkFence: true, honourIdempotency: true },
  },
  slow: {
    line: 'half the answers take longer than 400 ms, one in a hundred longer than 8 s',
    change: { latency: { p50: '400ms', p99: '8s' } },
  },
  stuck: {
    line: 'requests are taken and never answered',
    change: { latency: '24h' },
  },
  outage: {
    line: 'everything but the health endpoint gets 503, and a third of the connections break',
    change: { failWith: 503, resetRatio: 1 / 3 },
  },
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;

export function scenarioNames(): ScenarioName[] {
  return Object.keys(SCENARIOS) as ScenarioName[];
}

export function listScenarios(): { name: ScenarioName; line: string }[] {
  return scenarioNames().map((name) => ({ name, line: SCENARIOS[name].line }));
}

export function parseScenarioName(value: unknown): ScenarioName {
  const name = scenarioNames().find((known) => known === value);
  if (!name) throw wrongOption('LK_INPUT', 'scenario', `one of ${scenarioNames().join(', ')}`, value);
  return name;
}

export function scenarioBehaviour(name: ScenarioName): Behaviour {
  return changeBehaviour(DEFAULT_BEHAVIOUR, SCENARIOS[name].change);
}
