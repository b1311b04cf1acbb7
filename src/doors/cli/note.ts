// The command `note`: a person's line in the journal, for whoever reads the timeline.

import type { Command } from 'commander';
import { isReason, REASON_FORM } from '../../path/reason.ts';
import { wrongOption } from '../../words/errors.ts';
import { laneCommand } from './options.ts';
import { say, sayJson } from './print.ts';
import { openSession } from './session.ts';

export function addNoteCommand(program: Command): void {
  laneCommand(program, 'note', 'write a line into the journal: what was tried on a lane, and what came of it')
    .argument('<text>', '1 to 500 characters', (value: string) => value.trim())
    .addHelpText('after', '\nExample:\n  $ lanekeeper note publish "tried the other token: no change"\n')
    .action(async (laneName: string, text: string, options: { dir: string; json?: boolean }) => {
      if (!isReason(text)) throw wrongOption('LK_INPUT', 'note', REASON_FORM, text);
      await using session = await openSession(options);
      const lane = session.lane(laneName).name;
      await session.append('lane.noted', { lane, text });
      if (options.json) return sayJson({ lane, text, who: session.who });
      say(`noted on ${lane}: ${text}`);
    });
}
