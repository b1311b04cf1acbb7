// What commands share: the folder they work on, their answer's form, and how a number is read.

import type { Command } from 'commander';
import { wrongOption } from '../../words/errors.ts';

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

/** Reads a value of `option`. What is refused here is refused like any other value: with 1, where an unknown option ends with 2. */
export function count(option: string): (value: string) => number {
  return (value) => {
    if (/^\d{1,15}$/.test(value)) return Number(value);
    throw wrongOption('LK_INPUT', option, 'a whole number, 0 or more', value);
  };
}
