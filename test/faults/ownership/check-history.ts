// Is a history that of a fenced mutex? Tokens grow in the order of grants, no two have it at once unless one was displaced by force, and
// no accepted effect carries a token lower than one before it. Whatever is uncertain, because a process died before it wrote down
// what it was answered, counts for the accused: a conviction is certain.

import type { Line } from './history.ts';

export interface AcceptedEffect {
  /** In the order of happening. */
  n: number;
  fence: string | null;
  fenceScope: string | null;
}

type Of<W extends Line['what']> = Extract<Line, { what: W }>;

interface Grant {
  asked: Of<'asked'>;
  granted: Of<'granted'>;
}

/** When somebody surely had it: never longer than it was true. */
interface Claim {
  who: string;
  token: number;
  fromAt: number;
  endAt: number;
}

/** One sentence for each thing that must not be. `lines`: of each person in the order in which that one wrote. */
export function checkHistory(lines: readonly Line[], effects: readonly AcceptedEffect[] = []): string[] {
  const grants = grantsOf(lines);
  return [...checkTokens(grants), ...checkClaims(claimsOf(lines, grants)), ...checkEffects(effects)];
}

function grantsOf(lines: readonly Line[]): Grant[] {
  const asks = new Map(lines.flatMap((line) => (line.what === 'asked' ? [[line.ask, line] as const] : [])));
  return lines.flatMap((granted) => {
    const asked = granted.what === 'granted' ? asks.get(granted.ask) : undefined;
    return granted.what === 'granted' && asked ? [{ asked, granted }] : [];
  });
}

const sayGrant = ({ granted: { who, token } }: Grant) => `${token} to ${who}`;

/** Of two at the same time either may be first; who asked after another was answered comes later. */
function checkTokens(grants: readonly Grant[]): string[] {
  const byAsk = [...grants].sort((a, b) => a.asked.mono - b.asked.mono);
  const byAnswer = [...grants].sort((a, b) => a.granted.mono - b.granted.mono);
  const problems: string[] = [];
  const owners = new Map<number, string>();
  let answered = 0;
  let highest: Grant | undefined;
  for (const grant of byAsk) {
    const { token, who } = grant.granted;
    for (; (byAnswer[answered]?.granted.mono ?? Infinity) < grant.asked.mono; answered++) {
      const before = byAnswer[answered] as Grant;
      if (!highest || before.granted.token > highest.granted.token) highest = before;
    }
    if (highest && token < highest.granted.token)
      problems.push(`granted ${sayGrant(grant)} after ${sayGrant(highest)}: tokens only grow`);
    const owner = owners.get(token) ?? who;
    if (owner !== who) problems.push(`granted ${token} to ${owner} and to ${who}: each owner has its own`);
    owners.set(token, who);
  }
  return problems;
}

function claimsOf(lines: readonly Line[], grants: readonly Grant[]): Claim[] {
  const doubts = unansweredForce(lines);
  return grants.flatMap(({ granted }) => {
    const { who, token, fromAt } = granted;
    const forced = grants.filter(({ granted: other }) => other.isForced && other.who !== who && other.token > token);
    const perhaps = doubts.filter((doubt) => doubt.who !== who && doubt.overAt > fromAt);
    const ends = [
      ownEnd(lines, granted),
      ...forced.map(({ granted: other }) => other.fromAt),
      ...perhaps.map(({ at }) => Math.max(at, fromAt)),
    ];
    const endAt = Math.min(...ends);
    return endAt > fromAt ? [{ who, token, fromAt, endAt }] : [];
  });
}

/** When it gave it up or its term was over. Whoever asks anew may have another term, whatever the answer. */
function ownEnd(lines: readonly Line[], granted: Of<'granted'>): number {
  const own = lines.filter(({ who }) => who === granted.who);
  let endAt = granted.untilAt;
  for (const line of own.slice(own.indexOf(granted) + 1)) {
    if (line.what === 'asked') return Math.min(endAt, line.at);
    if ('token' in line && line.token !== granted.token) continue;
    if (line.what === 'renewed') endAt = line.untilAt;
    if (line.what === 'releasing' || line.what === 'lost') return Math.min(endAt, line.at);
  }
  return endAt;
}

/** Asked by force, and died before it wrote down the answer: it may have displaced anybody from then until it was dead. */
function unansweredForce(lines: readonly Line[]): { who: string; at: number; overAt: number }[] {
  const heard = new Set(
    lines.flatMap((line) => (line.what === 'granted' || line.what === 'refused' ? [line.ask] : [])),
  );
  return lines.flatMap((line, place) => {
    if (line.what !== 'asked' || !line.isForced || heard.has(line.ask)) return [];
    const next = lines.slice(place + 1).find(({ who, pid }) => who === line.who && pid !== line.pid);
    return [{ who: line.who, at: line.at, overAt: next?.at ?? Infinity }];
  });
}

function checkClaims(claims: readonly Claim[]): string[] {
  const sorted = [...claims].sort((a, b) => a.fromAt - b.fromAt);
  const problems: string[] = [];
  for (const [place, claim] of sorted.entries()) {
    for (const later of sorted.slice(place + 1)) {
      if (later.fromAt >= claim.endAt) break;
      if (later.who === claim.who) continue;
      const forMs = Math.min(claim.endAt, later.endAt) - later.fromAt;
      problems.push(`${claim.who} (${claim.token}) and ${later.who} (${later.token}) had it at once for ${forMs} ms`);
    }
  }
  return problems;
}

function checkEffects(effects: readonly AcceptedEffect[]): string[] {
  const highest = new Map<string, bigint>();
  const problems: string[] = [];
  for (const { n, fence, fenceScope } of effects) {
    if (fence === null) continue;
    const [scope, token] = [fenceScope ?? '', BigInt(fence)];
    const before = highest.get(scope) ?? -1n;
    if (token < before) problems.push(`effect ${n} in ${scope} was accepted with ${token} after ${before}`);
    else highest.set(scope, token);
  }
  return problems;
}
