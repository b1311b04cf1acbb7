// What commands share: the folder they work on, their answer's form, and how a number is read.

import { type Command, InvalidArgumentError } from 'commander';

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

/** Kept in the journal with the order, and shown in every timeline. */
export function reason(value: string): string {
  if (!/^[^\p{Cc}]{1,500}$/u.test(value) || value.trim() === '')
    throw new InvalidArgumentError('expected 1 to 500 characters on one line');
  return value;
}

export function count(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new InvalidArgumentError('expected a whole number, 0 or more');
  return Number(value);
}
