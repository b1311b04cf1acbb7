// What the stand-in upstream says of itself: at `/` for whoever finds it, and in the terminal for whoever started it.

import { SCENARIOS } from './scenarios.ts';
import type { Simulator } from './simulator.ts';

type Playing = Pick<Simulator, 'scenarioName' | 'changedKnobs'>;

export function describeSimulator({ scenarioName, changedKnobs }: Playing, url: string | undefined): string {
  const changed = changedKnobs.length > 0 ? ` (changed: ${changedKnobs.join(', ')})` : '';
  const where = url ?? 'not listening';
  return [
    `stand-in upstream: ${where}`,
    `scenario ${scenarioName}: ${SCENARIOS[scenarioName].line}${changed}`,
    ...(url
      ? [
          `change it: curl -X POST ${url}/_sim/scenario -H 'content-type: application/json' -d '{"name":"tight"}'`,
          `judge it: curl '${url}/_sim/verdict?format=text'`,
        ]
      : []),
  ].join('\n');
}

export function frontPage(playing: Playing, url: string | undefined): string {
  return `${describeSimulator(playing, url)}

POST /posts {title, body, channel?}   publish; GET /posts, /posts/:id and /posts/:id/status
POST /extract {text}                  facts, with usage and quality
GET  /feed?after=N                    items
GET  /channels/:id                    a resource that may be gone
GET  /health                          always green, never counted
any other path                        an echo; a POST, PUT, PATCH or DELETE has an effect

x-agent, x-job-id, idempotency-key, x-fence-token, x-fence-scope and x-api-version are read from every request.

GET  /_sim/log?after=N&limit=N        every request; /_sim/effects likewise
GET  /_sim/verdict?format=text        the log against the limits in force; POST {limits, cooldown, …}: against yours
GET  /_sim/scenarios                  POST /_sim/scenario {name}
GET  /_sim/behaviour                  PATCH {knob: value, …}
POST /_sim/reset                      forget log, effects, tokens, cooldowns and bans
`;
}
