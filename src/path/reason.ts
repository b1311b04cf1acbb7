// Why somebody gives an order: kept in the journal, and shown to whoever asks.

import { wrongOption } from '../words/errors.ts';

export const REASON_FORM = '1 to 500 characters on one line';

export function isReason(value: unknown): value is string {
  return typeof value === 'string' && /^[^\p{Cc}]{1,500}$/u.test(value) && value.trim() !== '';
}

export function toReason(value: unknown): string {
  if (isReason(value)) return value;
  throw wrongOption('LK_INPUT', 'reason', REASON_FORM, value);
}
