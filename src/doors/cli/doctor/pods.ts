// What doctor checks of the pods that run: whether there are any, whether their clocks agree with that of Redis, and whether all
// pods of a lane run the same definition and the same version.

import type { PodSeen } from '../../../engine/presence.ts';
import { formatDuration } from '../../../words/duration.ts';
import { quote } from '../../../words/errors.ts';
import { type Finding, ok, warn } from './finding.ts';

/** A pod decides nothing by its own wall clock, but instants that people read come from it. */
const MAX_SKEW_MS = 1_000;
const MAX_NAMES = 5;

export function checkClock(check: string, skews: readonly { who: string; skewMs: number }[]): Finding {
  const wrong = skews.filter(({ skewMs }) => Math.abs(skewMs) > MAX_SKEW_MS);
  const most = Math.max(0, ...skews.map(({ skewMs }) => Math.abs(skewMs)));
  if (wrong.length === 0) return ok(check, `at most ${formatDuration(most)} from that of Redis`);
  const say = ({ who, skewMs }: { who: string; skewMs: number }) =>
    `${who} is ${formatDuration(Math.abs(skewMs))} ${skewMs > 0 ? 'ahead' : 'behind'}`;
  return warn(check, `${some(wrong.map(say))}, by the clock of Redis`, 'run NTP there and on the machine of Redis');
}

/** `ours` are the prints of the definitions in the folder that doctor looks at. */
export function checkPods(pods: readonly PodSeen[], ours: ReadonlyMap<string, string>): Finding[] {
  if (pods.length === 0) return [warn('pods', 'none runs', "start one with 'lanekeeper worker'")];
  // An older version says neither its clock nor its prints.
  const skews = pods.flatMap(({ pod, skewMs }) => (typeof skewMs === 'number' ? [{ who: pod, skewMs }] : []));
  const drifts = [...driftOfVersions(pods), ...driftOfLanes(pods), ...driftFromFolder(pods, ours)];
  return [
    ok('pods', `${pods.length} run: ${some(pods.map(({ pod }) => pod))}`),
    ...(skews.length > 0 ? [checkClock('clocks of pods', skews)] : []),
    ...(drifts.length > 0 ? drifts : [ok('drift', 'all pods run the same definitions and version')]),
  ];
}

const ALIKE = 'let the roll-out end, or restart those that run the old one';

function driftOfVersions(pods: readonly PodSeen[]): Finding[] {
  const byVersion = group(pods, ({ version }) => version ?? 'an older version');
  if (byVersion.size < 2) return [];
  return [warn('drift', `pods run different versions: ${sayGroups(byVersion)}`, ALIKE)];
}

function driftOfLanes(pods: readonly PodSeen[]): Finding[] {
  const lanes = [...new Set(pods.flatMap(({ lanes }) => lanes))].sort();
  return lanes.flatMap((lane) => {
    const byPrint = group(
      pods.filter(({ prints }) => prints?.[lane] !== undefined),
      ({ prints }) => prints[lane] as string,
    );
    if (byPrint.size < 2) return [];
    return [warn('drift', `pods run different definitions of lane ${quote(lane)}: ${sayGroups(byPrint)}`, ALIKE)];
  });
}

function driftFromFolder(pods: readonly PodSeen[], ours: ReadonlyMap<string, string>): Finding[] {
  return [...ours].flatMap(([lane, print]) => {
    const others = pods.filter(({ prints }) => prints?.[lane] !== undefined && prints[lane] !== print);
    if (others.length === 0) return [];
    const names = some(others.map(({ pod }) => pod));
    const todo = 'deploy this folder to them, or look at theirs with --dir';
    return [warn('drift', `lane ${quote(lane)} of this folder is not what runs on ${names}`, todo)];
  });
}

function group(pods: readonly PodSeen[], keyOf: (pod: PodSeen) => string): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const pod of pods) groups.set(keyOf(pod), [...(groups.get(keyOf(pod)) ?? []), pod.pod]);
  return groups;
}

function sayGroups(groups: ReadonlyMap<string, string[]>): string {
  return [...groups].map(([key, names]) => `${key} on ${some(names)}`).join('; ');
}

function some(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMES).join(', ');
  return names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown;
}
