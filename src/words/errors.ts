// Every error a person or a program can meet, by a stable code. The table in src/README.md is compared with this list.

/** code -> what it means. Exit status is 2 for LK_USAGE and 1 for the others. */
export const ERROR_CODES = {
  LK_USAGE: 'The command line or call is not of a known form.',
  LK_CONFIG: 'A setting from the environment or the command line is not usable.',
  LK_DEFINITION: 'A lane, upstream or handler is not defined as it should be.',
  LK_INPUT: 'What was asked of a known lane or job is not usable: a payload, an option of a job.',
  LK_KEY_TAKEN: 'The key stands for a job with another payload or agent.',
  LK_UNKNOWN: 'No lane, upstream, agent or job has that name or id.',
  LK_STATE: 'The job is not in a state in which that can be done.',
  LK_OWNED: 'The lane is owned by somebody else, or by nobody; nothing was changed.',
  LK_LOCKS_DOWN: 'Too few of the servers that decide who owns a lane answered in time; nobody was let in.',
  LK_BACKLOG_FULL: 'As many jobs wait in the lane as may; nothing was written.',
  LK_REDIS_FULL: 'Redis has used three quarters of its memory; nothing was written.',
  LK_REDIS_DOWN: 'Redis did not answer in time; a write may or may not have happened.',
  LK_NOT_RUNNING: 'No Redis was named and none of ours is running here.',
  LK_REDIS_MISSING: 'No Redis server is on this machine and none could be brought.',
  LK_DATA_BUSY: 'Another process runs on the same data folder.',
  LK_PORT: 'A port is taken.',
  LK_UPSTREAM: 'An upstream refused, failed or did not answer.',
  LK_STEPS: 'The steps of a job are not usable: one name twice, too much kept, others than when it last ran.',
  LK_ATTEMPT_OVER: 'A handler used its context after its attempt had ended.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export class LanekeeperError extends Error {
  readonly code: ErrorCode;
  /** Of a list that was written in part: the id of each item that is in, null for the others. */
  readonly accepted: readonly (string | null)[] | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    { accepted, ...options }: { cause?: unknown; accepted?: readonly (string | null)[] } = {},
  ) {
    super(message, options);
    this.name = 'LanekeeperError';
    this.code = code;
    this.accepted = accepted;
  }
}

/** The one form of a complaint about an option: which, what was expected, what came. */
export function wrongOption(code: ErrorCode, option: string, expected: string, got: unknown): LanekeeperError {
  return new LanekeeperError(code, `${option}: expected ${expected}, got ${quote(got)}`);
}

/** A short, single-line, printable rendering of anything. Never throws, whatever a caller hands in. */
export function quote(value: unknown): string {
  const text = render(value).replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, escapeChar);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function render(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value === 'function') return 'a function';
  try {
    return JSON.stringify(value, onlyItsHead) ?? `a ${typeof value}`;
  } catch {
    return `an unprintable ${typeof value}`;
  }
}

/** Eighty characters are shown: rendering all of a list of fifty million holes held the event loop for 26 s. */
function onlyItsHead(_name: string, value: unknown): unknown {
  return typeof value === 'string' || Array.isArray(value) ? value.slice(0, 100) : value;
}

/** The first line of what was thrown, for a complaint about something else. */
export function firstLine(thrown: unknown): string {
  const [line = ''] = toError(thrown).message.split(/[\n\r\u2028\u2029]/, 1);
  return line.slice(0, 300).replace(/\p{Cc}/gu, escapeChar);
}

export function escapeChar(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** What was thrown, as an Error: handlers may throw strings, null or objects. */
export function toError(thrown: unknown): Error {
  if (isError(thrown)) return thrown;
  // Without the thing itself as cause: whoever looks at it later may be thrown at again.
  return new Error(typeof thrown === 'string' ? thrown : `a handler threw ${quote(thrown)}, not an Error`);
}

/** What everybody may treat as one: its message is a text. Asking a revoked proxy anything throws. */
function isError(thrown: unknown): thrown is Error {
  try {
    return thrown instanceof Error && typeof thrown.message === 'string';
  } catch {
    return false;
  }
}
