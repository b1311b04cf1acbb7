// The commands `take`, `release` and `owner`: who may feed an exclusive lane, with all that share its agents.

import type { Command } from 'commander';
import { lookAtOwner, type OwnerLooked, type OwnerTaken, releaseLane, takeLane } from '../../path/owner-orders.ts';
import { systemClock, toInstant } from '../../words/clock.ts';
import { formatDuration } from '../../words/duration.ts';
import { sayOwner } from '../../words/owner.ts';
import { addDisplacedOrders, orderDisplaced } from './displaced.ts';
import { laneCommand } from './options.ts';
import { hint, say, sayFacts, sayJson, when } from './print.ts';
import { openSession, type Session } from './session.ts';

interface OwnerOptions {
  dir: string;
  json?: boolean;
  as: string;
  reason?: string;
  for: string;
  of?: string;
  force?: boolean;
}

export function addOwnershipCommands(program: Command): void {
  laneCommand(program, 'take', 'become the one who feeds an exclusive lane, and all lanes that share its agents')
    .requiredOption('--as <owner>', "who feeds it: 'manual', or a service's name")
    .requiredOption('--reason <text>', 'why, for the journal and for whoever else wants it')
    .option('--for <duration>', 'the term; it ends by itself', '30m')
    .option('--force', 'take it from whoever has it now; what that owner added waits for it')
    .addHelpText(
      'after',
      '\nExamples:\n  $ lanekeeper take publish --as manual --reason "backfill of May" --for 2h\n  $ lanekeeper add publish \'{"a":1}\' --as manual\n  $ lanekeeper release publish --as manual\n',
    )
    .action(async (name: string, options: OwnerOptions) => {
      await using session = await openSession(options);
      const { as, reason, for: term, force = false } = options;
      const taken = await takeLane(ordersOf(session, name), {
        as,
        by: session.who,
        reason,
        for: term,
        isForced: force,
      });
      if (options.json) return sayJson(taken);
      sayTaken(taken);
    });

  laneCommand(program, 'release', 'give an exclusive lane back before the term ends')
    .requiredOption('--as <owner>', 'as whom it was taken')
    .option('--reason <text>', 'why, for the journal')
    .action(async (name: string, options: OwnerOptions) => {
      await using session = await openSession(options);
      const { as, reason } = options;
      const order = { as, by: session.who, ...(reason === undefined ? {} : { reason }) };
      const released = await releaseLane(ordersOf(session, name), order);
      if (options.json) return sayJson(released);
      say(`released ${released.lanes.join(', ')}: ${sayOwner(released)} had it since ${toInstant(released.sinceAt)}`);
    });

  addDisplacedOrders(laneCommand(program, 'owner', 'show who may feed an exclusive lane')).action(
    async (name: string, order: string | undefined, options: OwnerOptions) => {
      if (order !== undefined) return orderDisplaced(name, order, options);
      await using session = await openSession(options);
      const looked = await lookAtOwner(ordersOf(session, name));
      if (options.json) return sayJson(looked);
      sayLooked(looked);
    },
  );
}

function ordersOf({ locks, lane, definitions }: Session, name: string) {
  return { locks, lane: lane(name), lanes: definitions.lanes.values() };
}

function sayTaken({ lanes, isSame, displaced, stopped, untilAt, sinceAt, ...owner }: OwnerTaken): void {
  const nowAt = systemClock.now();
  const what = isSame ? `had since ${toInstant(sinceAt)}, now` : 'taken';
  say(`${what} until ${when(untilAt, nowAt)} by ${sayOwner(owner)}: ${lanes.join(', ')}`);
  if (displaced) {
    const running =
      stopped === 0 ? '' : `; ${stopped === 1 ? '1 attempt of it was' : `${stopped} attempts of it were`} stopped`;
    hint(
      `displaced ${sayOwner(displaced)}, who had it since ${toInstant(displaced.sinceAt)} until ${toInstant(displaced.untilAt)}, for: ${displaced.reason}${running}`,
    );
  }
}

function sayLooked({ lane, lanes, owner, last, undecided }: OwnerLooked): void {
  const nowAt = systemClock.now();
  const takes = `lanekeeper take ${lane} --as manual --reason WHY`;
  const term = owner?.renews
    ? `${when(owner.untilAt, nowAt)}, renewed while its holder lives`
    : when(owner?.untilAt ?? null, nowAt);
  sayFacts([
    ['lane', lane],
    ['taken together', lanes.length > 1 ? lanes.join(', ') : null],
    ['owner', owner ? sayOwner(owner) : `nobody; to take it: ${takes}`],
    ['for', owner?.reason],
    ['since', when(owner?.sinceAt ?? null, nowAt)],
    ['until', term],
    ['token', owner?.token],
    [
      'last',
      last
        ? `${sayOwner(last)} for ${formatDuration(last.untilAt - last.sinceAt)}, until ${toInstant(last.untilAt)}: ${last.reason}`
        : null,
    ],
    ['lock servers', undecided],
  ]);
}
