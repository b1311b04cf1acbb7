// Every Redis key there is. One hash tag per upstream, so that a queue, its agents and its limits share a shard and move
// together; a lane without an upstream is its own tag. Ours never start like a queue's keys, so no job id can collide.

/** Where a lane lives. */
export interface LaneAddress {
  name: string;
  /** The upstream's name, or the lane's own. */
  tag: string;
}

/** Lanes that have one owner together. */
export interface GroupAddress {
  tag: string;
  /** A lane alone. Null: all exclusive lanes that act as agents of the upstream. */
  name: string | null;
}

export interface Keys {
  readonly prefix: string;
  /** BullMQ's `prefix` option for a lane: its keys are `<this>:<lane>:…`. */
  queuePrefix(lane: LaneAddress): string;
  /** STRING '<job id> <hash of its content>', with PX. Written in one script with the job it stands for. */
  reservation(lane: LaneAddress, hash: string): string;
  /** STREAM of packed batches. Written by every pod and door of the tag, and by scripts; trimmed by length and age; lives as long as the tag. */
  journal(tag: string): string;
  /** STREAM as above, for what belongs to no tag: pods that come and go. */
  fleetJournal(): string;
  /**
   * HASH id -> JSON of an order whose change is BullMQ's, from before the change until its result is in the journal (store/intents).
   * '-<epoch ms>' once somebody found that it had not happened: who gave it may still come and do it. Dropped an hour later.
   */
  intents(tag: string): string;
  /** SET of the tags that ever had one, so that any pod finds them. Never expires; as many as there are upstreams and lanes without. */
  intentTags(): string;
  /** HASH pod -> JSON of its last heartbeat. A pod removes itself; a dead one is dropped by the others after a minute. */
  pods(): string;
  /** STRING held with PX by the process that does such a beat for all now; whoever finds it free goes next. */
  beat(what: string, lanes: string): string;
  /** STRING set when an impostor was buried, deleted when the lane has been searched for jobs that lie nowhere. */
  orphans(lane: LaneAddress): string;
  /**
   * HASH with one field, JSON of who, reason and since when, of a pause that was ordered through us. Written before BullMQ's pause,
   * deleted after its resume; a stale one is dropped by the watch for what is overdue.
   */
  pause(lane: LaneAddress): string;
  /** HASH <lane>/<job> -> JSON of a cancel order for an active job. Deleted when carried out or void; gone a day after the last. */
  cancels(): string;
  /** HASH alarm -> JSON of since when. A field is made when something begins and deleted when it is over: each is told once. */
  alarms(): string;
  /** STRING set by the pod that tells that Redis is nearly full, deleted by the one that tells the end; a day at most. */
  full(): string;
  /** STRING held with PX by the pod that removes a lane's old dead letters now; whoever finds it free does it next. */
  retention(lane: LaneAddress): string;
  /** ZSET a pod rings its own blocked connection with, when it wants to listen to one more lane. Expires in a minute. */
  ring(pod: string): string;
  /**
   * HASH of what an upstream's pods know of its limits together; all instants are epoch ms by Redis. Lives as long as the tag.
   * `born` since when the state is known, `naive` where the pod that wrote it knew of no use before, `run` Redis's run_id then;
   * `closed` until when nothing is granted, because nothing is known; `hold` until when nobody is let through, `held` JSON of
   * reason, who and at; `driver` the one that grants (of the other `born` is not there), `was` the one before it; `rev` grows
   * with every change of definitions and orders; `lim:<limit>` '<kind> <size> <perMs> <0|1 byAgent>', the stricter of the definitions;
   * `set:<limit>` JSON { size, who, reason, at, until | null }, an order that outlives deploys, dropped once `until` has passed;
   * `used:<limit>` how many count now, `used:<limit>|<lane>` of them by lane (both may hold some that ended and were not yet
   * purged); `n:<limit>|<lane>|<bucket>` how many one bucket counts; `want:<lane>|<pod>` what it waits for (ask-permits.lua);
   * `ask:<lane>|<pod>` '<driver> <number> <at>' of the last ask that gave tickets back, dropped 10 minutes later;
   * `order:<lane>` when it was served last, `next` the counter of that and of slots. Tokens and limits by agent have no `used` and
   * `n`: see limitAmounts.
   */
  limits(tag: string): string;
  /**
   * HASH of what an upstream's pods say of its limits, read whole at each pod's beat. `def:<pod>` JSON { at, driver, limits } of a
   * live pod's definition, made anew every 10 s, dropped after 60 s; `names` JSON list of the limits that hold; `drift` JSON
   * { limit: its sizes } where they differ and that was told, gone when they agree; `swept` how far the hash above was searched
   * for old `ask:`. Lives as long as the tag.
   */
  limitDefinitions(tag: string): string;
  /**
   * ZSET of what counts now -> epoch ms (Redis) at which it stops to count; whoever asks purges. Of slots a member is
   * '<lane>|<pod>|<n>', one each; of tickets '<lane>|<bucket>'. Of tokens, and by agent (its key then ends with the agent), it is
   * '<lane>|<job>|<pod>|<n>' while under way, and '=<until>' for all that came to an end and counts until then.
   */
  limitUses(tag: string, limit: string, agent?: string): string;
  /**
   * HASH of how much each of those is, their `sum` and what of it is under way (`flying`; both may hold some that ended and were
   * not yet purged), and when who waits may come again. Gone a minute after the last stops to count.
   */
  limitAmounts(tag: string, limit: string, agent?: string): string;
  /**
   * ZSET agent -> epoch ms (Redis) until which something of its own counts at the most: who is to be looked at. Trimmed by each
   * take; gone a minute after the last.
   */
  limitAgents(tag: string): string;
  /** ZSET '<lane>|<pod>' -> epoch ms (Redis) since which it waits for permits. Void once the until of its `want` has passed. */
  limitWaiting(tag: string): string;
  /** Pub/sub channel, no key: JSON with `kind` of what those who wait should ask about. */
  limitNotice(tag: string): string;
  /** Bottleneck's id of a limiter of ours, and what its eight keys begin with: `<this>_settings`, … They live as long as the tag. */
  bottleneck(tag: string, what: 'slots' | 'tickets'): string;
  /** What an upstream's keys begin with, and those of its lanes that are ours: for scripts that make theirs of it. */
  upstream(tag: string): string;
  lanes(tag: string): string;
  /** HASH agent -> JSON { at, heard, by, meta, heartbeatMs }: who is registered. Lives as long as the tag, like all of an agent's. */
  agents(tag: string): string;
  /**
   * HASH of one agent: `next` (epoch ms by Redis, with fractions, at which its window opens), `last` act, `reason`, `source`, `acts`,
   * `ok` (recent success, 0 to 1), `watcher` (the pod that looks after the opening), `silent` (not heard since, and not in time); while it acts also `lane`, `job`, `pod`, `token`
   * (of the claim), `claimed` (since when), `sent` (it may have reached the upstream).
   */
  agent(tag: string, agent: string): string;
  /**
   * ZSET agent -> its `next`, of those for whom there is work. Beside it `idle`, for whom there is none, `silent`, agent -> when it
   * was heard last, of those that were not heard in time, and `acting`, agent -> since when: each agent stands in one of them.
   * `agent-due` ZSET agent -> until when it is to be heard, of those with a heartbeat that are not silent; `agent-lanes` HASH lane ->
   * cooldown in ms (a simulation says in its field `=now` what time it is there); `agent-pods` ZSET pod -> its last sign of life, or
   * until when it holds nothing; `agent-turns` ZSET pod -> when it is to beat again; `agent-starts` ZSET agent -> when it may start, of
   * those that were claimed; `agents-removed` SET of those that definitions bring back no more; `agent-state` HASH: `born`, `run`
   * (Redis's run_id), `closed` (nobody claims before), `epoch` (changes with each loss), `naive` (born by a pod that knew of nothing),
   * `seq`, `token`.
   */
  windows(tag: string): string;
  /** ZSET job -> priority and arrival, of those that wait for a window: of any agent, or of this one. */
  line(lane: LaneAddress, agent?: string): string;
  /** SET of the agents for whom a job stands in a line of their own; may hold some whose line is empty. Lives as long as the tag. */
  lined(lane: LaneAddress): string;
  /**
   * ZSET job -> epoch ms at which it comes, of the delayed ones that a pod parked at this gate, so that they are counted without a
   * look at each. Whoever came before the first of the delayed is out of it: such a one is void, and trimmed by the next that parks.
   */
  parked(lane: LaneAddress, gate: string): string;
  /** Pub/sub channel, no key: an order moved a window. */
  agentNotice(tag: string): string;
  /**
   * HASH: the lease of who may feed the lanes of a group, and its past: `token` (decimal text), `last` (the highest ever issued, of
   * run leases too), `as`, `by`, `reason`, `since`, `until` (epoch ms by Redis; live while it is to come), `told` (the token whose
   * end is in the journal), `hold` (who renews it; ''), `ask` (the call that got it). Never expires: what is over says who it was.
   */
  owner(group: GroupAddress): string;
  /** HASH lane -> 'park' or 'drain': the group's lanes, as pods and those who took it know them. Lives as long as the tag. */
  ownerLanes(group: GroupAddress): string;
  /** HASH '<lane> <how>' (taken, forced, released, expired) -> how often the lane changed hands so. Lives as long as the tag. */
  ownerChanges(group: GroupAddress): string;
  /** Pub/sub channel, no key: JSON with `kind` (taken, released, expired) of what became of an owner of this tag's lanes, and whom a take stopped. */
  ownerNotice(tag: string): string;
  /** HASH: which pod runs a lane with `pods: 'one'`: `pod`, `token`, `until` (epoch ms by Redis), `last`. Never expires. */
  run(lane: LaneAddress): string;
  /** HASH as above, for what one process does for the whole fleet. */
  role(name: string): string;
  /** HASH on a lock server: `at`, since when it has its data (epoch ms by its own clock), and `run`, its run_id then. Never expires. */
  lockBorn(): string;
  /** ZSET job -> when it was added, of those whose owner was displaced: parked at the gate `owner`, in the order in which they come back. */
  aside(lane: LaneAddress): string;
  /** STRING the owner's token for which all that waits was moved aside or brought back, and the lane's `displaced` then. Never expires. */
  asideDone(lane: LaneAddress): string;
  /** HASH of a slot of Bottleneck's -> '<lane>|<pod>' that holds it. Those that ended go with the next beat; gone after a minute without. */
  bottleneckHolders(tag: string): string;
}

export function createKeys(prefix: string): Keys {
  return Object.freeze({
    prefix,
    queuePrefix: (lane: LaneAddress) => `${prefix}:q:{${lane.tag}}`,
    reservation: (lane: LaneAddress, hash: string) => `${prefix}:l:{${lane.tag}}:${lane.name}:same:${hash}`,
    journal: (tag: string) => `${prefix}:u:{${tag}}:journal`,
    intents: (tag: string) => `${prefix}:u:{${tag}}:intents`,
    intentTags: () => `${prefix}:intent-tags`,
    fleetJournal: () => `${prefix}:journal`,
    pods: () => `${prefix}:pods`,
    beat: (what: string, lanes: string) => `${prefix}:beat:${what}:${lanes}`,
    orphans: (lane: LaneAddress) => `${prefix}:l:{${lane.tag}}:${lane.name}:orphans`,
    pause: (lane: LaneAddress) => `${prefix}:l:{${lane.tag}}:${lane.name}:pause`,
    cancels: () => `${prefix}:cancels`,
    alarms: () => `${prefix}:alarms`,
    full: () => `${prefix}:full`,
    retention: (lane: LaneAddress) => `${prefix}:l:{${lane.tag}}:${lane.name}:retention`,
    limits: (tag: string) => `${prefix}:u:{${tag}}:limits`,
    limitDefinitions: (tag: string) => `${prefix}:u:{${tag}}:limit-definitions`,
    limitUses: (tag: string, limit: string, agent?: string) =>
      `${prefix}:u:{${tag}}:limit:${limit}${agent === undefined ? '' : `:${agent}`}`,
    limitAmounts: (tag: string, limit: string, agent?: string) =>
      `${prefix}:u:{${tag}}:amount:${limit}${agent === undefined ? '' : `:${agent}`}`,
    limitAgents: (tag: string) => `${prefix}:u:{${tag}}:limit-agents`,
    limitWaiting: (tag: string) => `${prefix}:u:{${tag}}:waiting`,
    limitNotice: (tag: string) => `${prefix}:u:{${tag}}:notice`,
    upstream: (tag: string) => `${prefix}:u:{${tag}}:`,
    lanes: (tag: string) => `${prefix}:l:{${tag}}:`,
    agents: (tag: string) => `${prefix}:u:{${tag}}:agents`,
    agent: (tag: string, agent: string) => `${prefix}:u:{${tag}}:agent:${agent}`,
    windows: (tag: string) => `${prefix}:u:{${tag}}:windows`,
    line: (lane: LaneAddress, agent?: string) =>
      `${prefix}:l:{${lane.tag}}:${lane.name}:line${agent === undefined ? '' : `:${agent}`}`,
    lined: (lane: LaneAddress) => `${prefix}:l:{${lane.tag}}:${lane.name}:lined`,
    parked: (lane: LaneAddress, gate: string) => `${prefix}:l:{${lane.tag}}:${lane.name}:parked:${gate}`,
    agentNotice: (tag: string) => `${prefix}:u:{${tag}}:agent-notice`,
    owner: (group: GroupAddress) => `${groupPrefix(prefix, group)}owner`,
    ownerLanes: (group: GroupAddress) => `${groupPrefix(prefix, group)}owner-lanes`,
    ownerChanges: (group: GroupAddress) => `${groupPrefix(prefix, group)}owner-changes`,
    ownerNotice: (tag: string) => `${prefix}:u:{${tag}}:owner-notice`,
    run: (lane: LaneAddress) => `${prefix}:l:{${lane.tag}}:${lane.name}:run`,
    role: (name: string) => `${prefix}:role:${name}`,
    lockBorn: () => `${prefix}:lock-born`,
    aside: (lane: LaneAddress) => `${prefix}:l:{${lane.tag}}:${lane.name}:aside`,
    asideDone: (lane: LaneAddress) => `${prefix}:l:{${lane.tag}}:${lane.name}:aside-done`,
    ring: (pod: string) => `${prefix}:ring:${pod}`,
    bottleneck: (tag: string, what: string) => `${prefix}:u:{${tag}}:bottleneck:${what}`,
    bottleneckHolders: (tag: string) => `${prefix}:u:{${tag}}:bottleneck-holders`,
  });
}

function groupPrefix(prefix: string, { tag, name }: GroupAddress): string {
  return name === null ? `${prefix}:u:{${tag}}:` : `${prefix}:l:{${tag}}:${name}:`;
}

/** Fields of ours in BullMQ's job hash. They are written in the same script as BullMQ's own move. */
export const JOB_FIELDS = {
  gate: 'lk:gate', // what it was parked for; stale once the job left the delayed set
  until: 'lk:until', // epoch ms
  reason: 'lk:reason', // one line for `why`
  since: 'lk:since', // epoch ms at which it began to wait
  parks: 'lk:parks', // times a 429 or quota sent it back without an attempt
  same: 'lk:same', // the key of its reservation
  place: 'lk:place', // its score in its line: priority, then arrival
  agent: 'lk:agent', // whose window it waits for; '' for anybody's
  owner: 'lk:owner', // JSON { token, as, by } of who fed it, in an exclusive lane
  aside: 'lk:aside', // JSON of where it lay when its owner was displaced
  replayed: 'lk:replayed', // epoch ms by Redis of its last replay: one operation gives a dead letter one life
} as const;

/** Fields of ours, one per step in the order in which they were called: `lk:step:0` holds '["name",result]'. */
export const STEP_FIELD = 'lk:step:';
