// What a line of the journal says of itself, asked safely: its fields are what some pod wrote, maybe of another version, so none
// of them is taken to be there, or to be of its kind.

/** As the journal's reader hands it out. */
export interface TimelineLine {
  at: number;
  what: string;
  /** null: of the fleet. */
  tag: string | null;
  who?: string;
  [field: string]: unknown;
}

export function textOf(line: TimelineLine, field: string): string | null {
  const value = line[field];
  if (typeof value === 'string') return value === '' ? null : value;
  return typeof value === 'number' ? String(value) : null;
}

export function numberOf(line: TimelineLine, field: string): number | null {
  const value = line[field];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

export function namesOf(line: TimelineLine, field: string): string[] {
  const value = line[field];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

/** Of many like it, which one this is about. */
export function subjectOf(line: TimelineLine): string | null {
  return textOf(line, 'agent') ?? textOf(line, 'job') ?? textOf(line, 'pod');
}

/** How an attempt ended, in one word for it and one for its reason: 'park:rate-limit', 'retry:timeout', 'done'. */
export function endOf(line: TimelineLine): string {
  const cause = textOf(line, 'class') ?? textOf(line, 'gate');
  const outcome = textOf(line, 'outcome') ?? 'ended';
  return cause === null ? outcome : `${outcome}:${cause}`;
}

/** Neither done, nor merely waiting for its turn: something refused it or broke. */
export function isBad(line: TimelineLine): boolean {
  return line.what === 'attempt.finished' && line.outcome !== 'done' && (line.outcome !== 'park' || line.class != null);
}
