// What doctor checks of exclusive lanes: who has each group until when, and what waits for somebody who has not; whether the lock servers
// can decide; and which pod runs what only one may.

import { sayTerm } from '../../../path/owned.ts';
import type { GroupSeen, OwnerSurvey, TurnSeen } from '../../../path/owner-survey.ts';
import { toInstant } from '../../../words/clock.ts';
import { type Owner, sayOwner } from '../../../words/owner.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** Named in one line; the others are counted. */
const MAX_NAMES = 3;

export function checkOwners({ groups, turns }: OwnerSurvey): Finding[] {
  return [
    ...lockServersOf(groups),
    ...groups.flatMap((seen) => [ownerOf(seen), ...waitingIn(seen)]),
    ...turns.map(turnOf),
  ];
}

function lockServersOf([seen]: readonly GroupSeen[]): Finding[] {
  if (!seen?.servers) return [];
  const { answering, count, majority } = seen.servers;
  const says = `${answering} of ${count} answer, and ${majority} decide who owns a lane`;
  const todo = 'look at those of LANEKEEPER_LOCK_URLS that do not answer';
  if (answering < majority) return [fail('lock servers', `${says}: nobody can take or give back a lane`, todo)];
  return [answering < count ? warn('lock servers', says, todo) : ok('lock servers', says)];
}

function ownerOf({ lanes, owner, last }: GroupSeen): Finding {
  const names = lanes.join(', ');
  if (owner)
    return ok('owner', `${names}: ${sayTerm(owner)}${owner.renews ? ' (renewed while its holder lives)' : ''}`);
  return ok('owner', `${names}: nobody${last ? `; the last was ${sayTerm(last)}` : ''}`);
}

/** What comes back by itself is no finding: those of the owner that has the lane. */
function waitingIn({ owner, aside }: GroupSeen): Finding[] {
  return aside.flatMap(({ lane, count, of }) => {
    const others = of.filter(({ as, by }) => !(owner && owner.as === as && owner.by === by));
    const [first] = others;
    if (!first) return [];
    const jobs = count === 1 ? '1 job lies' : `${count} jobs lie`;
    const holder = owner ? `${sayOwner(owner)} has it` : 'nobody has it';
    const todo =
      `they go on when their owner takes it again: lanekeeper take ${lane} --as ${first.as} --reason ..., or give them up: ` +
      `lanekeeper owner ${lane} adopt|drop --of ${first.as}:${first.by} --reason ...`;
    return [warn('owner', `${lane}: ${jobs} aside for ${sayNames(others)}, and ${holder}`, todo)];
  });
}

function sayNames(owners: readonly Owner[]): string {
  const shown = owners.slice(0, MAX_NAMES).map(sayOwner).join(', ');
  return owners.length > MAX_NAMES ? `${shown} and ${owners.length - MAX_NAMES} more` : shown;
}

function turnOf({ lane, last }: TurnSeen): Finding {
  if (last?.isLive) return ok('one pod', `${lane} is run by ${last.pod}`);
  const says = last ? `: the last was ${last.pod}, until ${toInstant(last.untilAt)}` : '';
  return warn('one pod', `no pod runs ${lane}${says}`, "start one: 'lanekeeper worker'");
}
