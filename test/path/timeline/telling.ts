// Tells lines as the command does, in a zone that is not this machine's.

import { IncidentFold } from '../../../src/path/incident.ts';
import type { LaneNow } from '../../../src/path/recovery.ts';
import { fillStandUp, type StandUp, writeStandUp } from '../../../src/path/stand-up.ts';
import { type Section, TimelineFold } from '../../../src/path/timeline-fold.ts';
import type { TimelineLine } from '../../../src/path/timeline-line.ts';
import { createTextTelling } from '../../../src/path/timeline-text.ts';
import { createLocalTime } from '../../../src/words/local-time.ts';
import { MINUTE } from './incidents.ts';

const time = createLocalTime('Europe/Berlin');

/** The end of the minute after the last line. */
function endOf(lines: readonly TimelineLine[]): number {
  return Math.floor((lines.at(-1)?.at ?? 0) / MINUTE) * MINUTE + MINUTE;
}

export function fold(lines: readonly TimelineLine[], untilAt = endOf(lines)): Section[] {
  const timeline = new TimelineFold({ fromAt: lines[0]?.at });
  return [...lines.flatMap((line) => [...timeline.add(line)]), ...timeline.end(untilAt)];
}

export function tellText(lines: readonly TimelineLine[], columns = 100): string {
  const telling = createTextTelling(time, columns);
  const head = telling.head(lines[0]?.at ?? 0, endOf(lines));
  return `${[...head, ...fold(lines).flatMap((section) => telling.section(section))].join('\n')}\n`;
}

export function standUpOf(lines: readonly TimelineLine[], now?: LaneNow[], untilAt = endOf(lines)): StandUp {
  const incident = new IncidentFold();
  for (const line of lines) incident.add(line);
  return fillStandUp(incident.end(untilAt), untilAt, now);
}

export function tellStandUp(lines: readonly TimelineLine[], now?: LaneNow[]): string {
  return `${writeStandUp(standUpOf(lines, now), time).join('\n')}\n`;
}
