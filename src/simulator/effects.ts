// What requests have changed: posts that a user would see, every effect with who caused it, and the answers kept for keys
// seen again. Two requests for one job become two entries here, which is how doubled work is found.

export interface Post {
  readonly id: string;
  readonly title: unknown;
  readonly body: unknown;
  readonly channel: string | null;
  readonly agent: string | null;
  readonly createdAt: number;
}

export interface Effect {
  /** From 1 up, in order of happening. */
  readonly n: number;
  /** Number of the request that caused it. */
  readonly request: number;
  readonly at: number;
  readonly method: string;
  readonly path: string;
  readonly postId: string | null;
  readonly agent: string | null;
  readonly jobId: string | null;
  readonly idempotencyKey: string | null;
  readonly fence: string | null;
  readonly fenceScope: string | null;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface EffectBook {
  /** Oldest first, the newest `max`. */
  readonly all: readonly Effect[];
  readonly posts: ReadonlyMap<string, Post>;
  /** An id nobody had before, whether or not a post will ever have it. */
  nextPostId(): string;
  addPost(post: Post): void;
  add(effect: Omit<Effect, 'n'>): void;
  /** The answer of the finished effect that had this key on this method and path. */
  answerFor(method: string, path: string, key: string): Answer | undefined;
  keepAnswer(method: string, path: string, key: string, answer: Answer): void;
}

export function createEffectBook(max: number): EffectBook {
  const all: Effect[] = [];
  const posts = new Map<string, Post>();
  const answers = new Map<string, Answer>();
  const slack = Math.max(1, Math.floor(max / 10));
  let lastPost = 0;
  let lastEffect = 0;

  // A key is one caller's word for one call: on another path it is another call.
  const nameOf = (method: string, path: string, key: string) => `${method} ${path} ${key}`;

  return {
    all,
    posts,
    nextPostId() {
      lastPost += 1;
      return `p${lastPost}`;
    },
    addPost: (post) => keepNewest(posts, post.id, post, max),
    add(effect) {
      lastEffect += 1;
      all.push({ n: lastEffect, ...effect });
      if (all.length >= max + slack) all.splice(0, all.length - max);
    },
    answerFor: (method, path, key) => answers.get(nameOf(method, path, key)),
    keepAnswer: (method, path, key, answer) => keepNewest(answers, nameOf(method, path, key), answer, max),
  };
}

function keepNewest<V>(map: Map<string, V>, key: string, value: V, max: number): void {
  map.set(key, value);
  if (map.size > max) map.delete(map.keys().next().value!);
}
