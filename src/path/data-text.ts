// The text of a job's data, as it will stand in Redis: made once, and refused here if a pod, a table or a browser would choke on it.

import { firstLine, LanekeeperError, wrongOption } from '../words/errors.ts';

/** A job says what to do; what it works on lies elsewhere. Redis keeps each in memory, and each fetch carries it. */
const MAX_DATA_BYTES = 1024 * 1024;
/** JSON.stringify and every recursive reader behind it give up somewhere past 5,000 levels. */
const MAX_DEPTH = 100;

/** `where` says which item of many, for the complaint. */
export function toDataText(envelope: { payload: unknown }, where: string): string {
  let text: string;
  try {
    text = JSON.stringify(envelope);
  } catch (thrown) {
    // A circle, a BigInt, a depth that overflows the stack, a toJSON of the caller's that throws.
    const said = firstLine(thrown);
    throw new LanekeeperError('LK_INPUT', `${where}payload: expected what JSON can hold: ${said}`, { cause: thrown });
  }
  // JSON.stringify leaves these out without a word.
  if (['undefined', 'function', 'symbol'].includes(typeof envelope.payload)) {
    throw wrongOption('LK_INPUT', `${where}payload`, 'what JSON can hold', envelope.payload);
  }
  const problem = findUnfit(text);
  if (problem) throw new LanekeeperError('LK_INPUT', `${where}payload: ${problem}`);
  return text;
}

/** What is wrong with a text that JSON.parse would take. A short one costs a look at its length and two searches. */
export function findUnfit(text: string): string | undefined {
  // A character is 1 to 3 bytes: most texts need no counting.
  if (text.length * 3 > MAX_DATA_BYTES) {
    const bytes = Buffer.byteLength(text);
    if (bytes > MAX_DATA_BYTES) return `expected at most ${MAX_DATA_BYTES} bytes as JSON, got ${bytes}`;
  }
  if (hasMany(text, '{') + hasMany(text, '[') > MAX_DEPTH && isDeep(text))
    return `expected at most ${MAX_DEPTH} levels of nesting, got more`;
  // Harmless until somebody merges it into another object, and then everybody's. Its letters may be written as escapes.
  const isOdd = text.includes('__proto__') || text.includes('\\u00');
  return isOdd && plainly(text).includes('"__proto__":') ? NO_PROTO : undefined;
}

/** How often a bracket stands in a text, counted up to just too often: two or three hops for most. */
function hasMany(text: string, bracket: string): number {
  let count = 0;
  for (let at = text.indexOf(bracket); at >= 0 && count <= MAX_DEPTH; at = text.indexOf(bracket, at + 1)) count++;
  return count;
}

const NO_PROTO = "expected no field called '__proto__'";

function plainly(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return ''; // no JSON: that is said elsewhere
  }
}

const [QUOTE, ESCAPE, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [...'"\\[]{}'].map((c) => c.charCodeAt(0));

function isDeep(text: string): boolean {
  let depth = 0;
  let isInText = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (isInText) {
      if (char === ESCAPE) at++;
      else if (char === QUOTE) isInText = false;
    } else if (char === QUOTE) isInText = true;
    else if (char === OPEN_LIST || char === OPEN_OBJECT) {
      if (++depth > MAX_DEPTH) return true;
    } else if (char === CLOSE_LIST || char === CLOSE_OBJECT) depth--;
  }
  return false;
}
