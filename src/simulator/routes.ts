// What the stand-in upstream does for a request that got in: a forum, a model, a feed, channels, and an echo for everything
// else. Runs in one go once the latency is over, so that checking a key and having its effect cannot be torn apart.

import type { IncomingHttpHeaders } from 'node:http';
import { toAnswer, toErrorAnswer, type Version } from './answers.ts';
import type { Behaviour } from './behaviour.ts';
import type { Body } from './body.ts';
import type { Answer } from './effects.ts';
import { readFeed } from './feed.ts';
import { answerModel, modelFacts } from './model.ts';
import { isWrite, type RequestRecord } from './record.ts';
import type { Luck } from './rng.ts';
import type { World } from './world.ts';

export interface Call {
  readonly record: RequestRecord;
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Body;
  readonly version: Version;
  readonly behaviour: Behaviour;
  readonly luck: Luck;
  readonly world: World;
  readonly at: number;
}

/** Marks the record with what happened: effect, replayed, tokens used, refused for its form. */
export function answerCall(call: Call): Answer {
  const { record, segments, body, behaviour } = call;
  if (body.kind === 'too-large') return refuseInput(call, 413, 'too-large', 'a body has at most 1 MiB');
  if (body.kind === 'malformed') return refuseInput(call, 400, 'malformed', 'the body is no JSON');
  const lost = findGone(segments, behaviour.gone);
  if (lost !== undefined) return answerGone(lost);

  const [collection, id, part] = segments;
  const route = `${record.method} /${collection ?? ''}${id === undefined ? '' : '/:id'}${part === undefined ? '' : `/${part}`}`;
  if (segments.length <= 3) {
    if (route === 'POST /posts') return once(call, () => createPost(call));
    if (route === 'GET /posts') return answerPosts(call);
    if (route === 'GET /posts/:id') return answerPost(call, id!);
    if (route === 'GET /posts/:id/status') return answerStatus(call, id!);
    if (route === 'POST /extract') return answerExtract(call);
    if (route === 'GET /feed') return answerFeed(call);
    if (route === 'GET /channels/:id') {
      return toAnswer(200, 'channel', { id, name: `Channel ${id}`, isOpen: true }, call.version);
    }
  }
  return isWrite(record.method) ? once(call, () => answerEcho(call)) : answerEcho(call);
}

/** Has the effect of a call unless its key had one before, in which case that answer is given again. */
function once(call: Call, act: () => Answer): Answer {
  const { record, world, behaviour } = call;
  const key = record.idempotencyKey;
  const known = key === null ? undefined : world.effects.answerFor(record.method, record.path, key);
  if (known && behaviour.honourIdempotency) {
    record.replayed = true;
    return { ...known, headers: { ...known.headers, 'idempotency-replayed': 'true' } };
  }
  const answer = act();
  if (record.effect && key !== null && !known) world.effects.keepAnswer(record.method, record.path, key, answer);
  return answer;
}

/** Acknowledged work is done, or, by `dropRatio`, is not and never will be. */
function takeEffect(call: Call, postId: string | null): void {
  const { record, world, at } = call;
  if (call.luck.drop < call.behaviour.dropRatio) return;
  record.effect = true;
  const { n, method, path, agent, jobId, idempotencyKey, fence, fenceScope } = record;
  world.effects.add({ request: n, at, method, path, postId, agent, jobId, idempotencyKey, fence, fenceScope });
}

function createPost(call: Call): Answer {
  const { record, world, at, behaviour } = call;
  const fields = toObject(call.body);
  if (!fields) return refuseInput(call, 400, 'malformed', 'expected a JSON object with title and body');
  const channel = typeof fields.channel === 'string' ? fields.channel : null;
  const lost = channel === null ? undefined : findGone(['channels', channel], behaviour.gone);
  if (lost !== undefined) return answerGone(lost);
  const id = world.effects.nextPostId();
  const post = { id, title: fields.title, body: fields.body, channel, agent: record.agent, createdAt: at };
  takeEffect(call, id);
  if (record.effect) world.effects.addPost(post);
  return toAnswer(201, 'post', { ...post, createdAt: new Date(at).toISOString() }, call.version);
}

function answerPosts(call: Call): Answer {
  const posts = [...call.world.effects.posts.values()].slice(-100);
  return toAnswer(
    200,
    'posts',
    { items: posts.map(({ id, title, channel }) => ({ id, title, channel })) },
    call.version,
  );
}

function answerPost(call: Call, id: string): Answer {
  const post = call.world.effects.posts.get(id);
  if (!post) return toErrorAnswer(404, 'unknown', `no post ${id}`);
  return toAnswer(200, 'post', { ...post, createdAt: new Date(post.createdAt).toISOString() }, call.version);
}

function answerStatus(call: Call, id: string): Answer {
  const isDone = call.world.effects.posts.has(id);
  const isLie = call.luck.lie < call.behaviour.statusLies;
  return toAnswer(200, 'status', { id, processed: isDone !== isLie }, call.version);
}

function answerExtract(call: Call): Answer {
  const text = toObject(call.body)?.text;
  if (typeof text !== 'string') return refuseInput(call, 400, 'malformed', 'expected a JSON object with text');
  return toAnswer(200, 'extraction', answerModel(text, modelFacts(call)), call.version);
}

function answerFeed(call: Call): Answer {
  const after = Number(call.query.get('after') ?? 0);
  if (!Number.isInteger(after) || after < 0) {
    return refuseInput(call, 400, 'malformed', 'after: expected the id of an item, a whole number');
  }
  const itemCount = 10 + Math.floor((call.at - call.world.startedAt) / call.behaviour.feedEvery);
  return toAnswer(200, 'feed', readFeed(after, itemCount), call.version);
}

function answerEcho(call: Call): Answer {
  const { record, headers } = call;
  const came = {
    method: record.method,
    path: record.path,
    query: Object.fromEntries(call.query),
    headers,
    body: 'value' in call.body ? call.body.value : null,
  };
  if (!isWrite(record.method)) return toAnswer(200, 'echo', came, call.version);
  takeEffect(call, null);
  return toAnswer(200, 'echo', { ...came, ...modelFacts(call) }, call.version);
}

function refuseInput(call: Call, status: number, code: string, message: string): Answer {
  call.record.refusedBy = 'input';
  return toErrorAnswer(status, code, message);
}

function answerGone(resource: string): Answer {
  return toErrorAnswer(404, 'gone', `${resource} is no longer here`, { resource });
}

/** The entry that a path runs into: 'channel/123' is met by /channels/123, '123' by an id of 123 anywhere. */
function findGone(segments: readonly string[], gone: readonly string[]): string | undefined {
  if (gone.length === 0) return undefined;
  return gone.find((entry) =>
    segments.some((segment, index) => {
      const collection = segments[index - 1];
      if (collection === undefined) return false;
      return [segment, `${collection}/${segment}`, `${collection.replace(/s$/, '')}/${segment}`].includes(entry);
    }),
  );
}

function toObject(body: Body): Record<string, unknown> | undefined {
  if (body.kind !== 'json' || typeof body.value !== 'object' || body.value === null) return undefined;
  return Array.isArray(body.value) ? undefined : (body.value as Record<string, unknown>);
}
