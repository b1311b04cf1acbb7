// `owner LANE adopt|drop --of AS[:BY]`: what becomes of the jobs that a displaced owner left.

import type { Command } from 'commander';
import { adoptDisplaced, dropDisplaced, readDisplacedOwner } from '../../path/displaced-orders.ts';
import { expectExclusive } from '../../path/owner-orders.ts';
import { toReason } from '../../path/reason.ts';
import { LanekeeperError, quote } from '../../words/errors.ts';
import { hint, say, sayJson } from './print.ts';
import { openSession } from './session.ts';

interface DisplacedOptions {
  dir: string;
  json?: boolean;
  of?: string;
  reason?: string;
}

/** Gives the command `owner` its orders; its action hands them to `orderDisplaced`. */
export function addDisplacedOrders(owner: Command): Command {
  return owner
    .argument('[order]', "of what a displaced owner left: 'adopt' it for the present one, or 'drop' it")
    .option('--of <owner>', "whose, such as 'cron' or 'cron:ann@desk'")
    .option('--reason <text>', 'why, for the journal', toReason);
}

export async function orderDisplaced(laneName: string, order: string, options: DisplacedOptions): Promise<void> {
  const { of, reason } = options;
  if (order !== 'adopt' && order !== 'drop') {
    throw new LanekeeperError('LK_USAGE', `order: expected adopt or drop, got ${quote(order)}`);
  }
  if (of === undefined) throw new LanekeeperError('LK_USAGE', `owner ${laneName} ${order}: expected --of <owner>`);
  if (reason === undefined)
    throw new LanekeeperError('LK_USAGE', `owner ${laneName} ${order}: expected --reason <text>`);
  const whose = readDisplacedOwner(of);
  await using session = await openSession(options);
  const { keys, who } = session;
  const lane = expectExclusive(session.lane(laneName));
  const act = order === 'adopt' ? adoptDisplaced : dropDisplaced;
  const count = await act({ laneQueue: session.queue(lane), lane, keys, of: whose, reason, who });
  if (options.json) return sayJson({ lane: lane.name, order, of: whose, count });
  if (count === 0) return hint(`${lane.name}: nothing changed: no job of ${of} waits for its owner`);
  const jobs = count === 1 ? '1 job' : `${count} jobs`;
  say(`${order === 'adopt' ? 'adopted' : 'dropped'} ${jobs} of ${of} in ${lane.name}`);
}
