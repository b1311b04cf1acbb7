// What commands share: the folder they work on, their answer's form, and how a number is read.

import { type Command, InvalidArgumentError } from 'commander';
import { isReason, REASON_FORM } from '../../path/reason.ts';

export function dirCommand(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--dir <path>', 'the folder with queues/ and workers/', '.')
    .option('--json', 'answer with JSON');
}

export function laneCommand(program: Command, name: string, description: string): Command {
  return dirCommand(program, name, description).argument('<lane>', 'the lane');
}

export function reason(value: string): string {
  if (isReason(value)) return value;
  throw new InvalidArgumentError(`expected ${REASON_FORM}`);
}

export function count(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new InvalidArgumentError('expected a whole number, 0 or more');
  return Number(value);
}
