// A job's starts, put together from a run's record, and whether one followed from the other: a start comes after one that
// failed, parked or was cut off by the crash, and the last one ends the job.

import type { End, Line } from './record.ts';

export interface Start {
  lane: string;
  attempt: number;
  fence: number;
  pid: number;
  /** Of steps; null of what happened in none. */
  effects: (string | null)[];
  kept: string[];
  end: End['how'] | undefined;
}

export interface Rules {
  isFailing: boolean;
  attempts: number;
  victim: number | undefined;
  /** What the killed process had ended was settled too. */
  isSettledFirst: boolean;
}

/** By job id, in the order of the fence. */
export function toStarts(lines: readonly Line[]): Map<string, Start[]> {
  const all = new Map<string, Start[]>();
  for (const line of lines) {
    if (!('fence' in line)) continue;
    const starts = all.get(line.id) ?? [];
    all.set(line.id, starts);
    let start = starts.find(({ fence, pid }) => fence === line.fence && pid === line.pid);
    if (!start) {
      start = { lane: '?', attempt: 0, fence: line.fence, pid: line.pid, effects: [], kept: [], end: undefined };
      starts.push(start);
    }
    if (line.what === 'begin') Object.assign(start, { lane: line.lane, attempt: line.attempt });
    if (line.what === 'effect') start.effects.push(line.step);
    if (line.what === 'kept') start.kept.push(line.step);
    if (line.what === 'end') start.end = line.how;
  }
  for (const starts of all.values()) starts.sort((a, b) => a.fence - b.fence);
  return all;
}

export function judgeStarts(
  starts: readonly Start[],
  { isFailing, attempts, victim, isSettledFirst }: Rules,
): { complaints: string[]; isAgain: boolean } {
  const complaints: string[] = [];
  const last = starts.at(-1);
  const isEnded = isFailing ? last?.end === 'thrown' && last.attempt === attempts : last?.end === 'done';
  if (!isEnded) complaints.push(`its last start ended ${last?.end ?? 'not at all'}, in attempt ${last?.attempt ?? 0}`);
  let cutOff = 0;
  for (const [place, start] of starts.entries()) {
    const after = starts[place + 1];
    if (!after) break;
    if (after.fence === start.fence) complaints.push(`two starts with fence ${start.fence}`);
    const isFollowed =
      (start.end === 'thrown' && after.attempt === start.attempt + 1) ||
      (start.end === 'parked' && after.attempt === start.attempt);
    if (isFollowed) continue;
    cutOff++;
    if (after.attempt !== start.attempt)
      complaints.push(`the crash used an attempt: ${start.attempt}, ${after.attempt}`);
    if (start.pid !== victim) complaints.push(`start ${start.fence} of a process that lives ran again`);
    else if (start.end !== undefined && isSettledFirst)
      complaints.push(`start ${start.fence} was settled and ran again`);
  }
  if (cutOff > 1) complaints.push(`ran again ${cutOff} times after one crash`);
  return { complaints, isAgain: cutOff > 0 };
}
