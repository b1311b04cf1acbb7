// What Node's fetch does on the wire, told as it happens. A dispatcher is how fetch is given its connections, and the handler it
// passes to it hears of every step; here a watcher hears of them first. Two generations of handlers: up to Node 24 each step is
// a callback of its own (undici 6 and 7), from Node 26 on they share a controller (undici 8).

export interface Watcher {
  /** Right before the first byte is written, in the same turn of the event loop. What it throws keeps all from being written. */
  beforeWrite(cut: (why: Error) => void): void;
  /** The first byte of an answer is here. More than once, if 1xx come before it. */
  answered(): void;
  /** Whoever reads the body has enough for now; true reads on from the network all the same. */
  mayReadAhead(bytes: number): boolean;
  /** Whoever reads the body has room again. */
  hasRoom(): void;
  /** The last byte is here. */
  ended(): void;
  /** It came to nothing. false keeps that from fetch. */
  failed(error: Error): boolean;
}

interface CallbackHandler {
  onConnect(abort: (why?: Error) => void, context: unknown): void;
  onResponseStarted?(): void;
  onHeaders(status: number, headers: unknown, resume: () => void, text: string): boolean;
  onData(chunk: Uint8Array): boolean;
  onComplete(trailers: unknown): void;
  onError(error: Error): void;
  onUpgrade(...facts: unknown[]): unknown;
}

interface Controller {
  readonly aborted: boolean;
  readonly reason: Error | null;
  readonly paused: boolean;
  readonly rawHeaders: unknown;
  readonly rawTrailers: unknown;
  abort(why: Error): void;
  pause(): void;
  resume(): void;
}

interface ControllerHandler {
  onRequestStart(controller: Controller, context: unknown): void;
  onRequestUpgrade(controller: Controller, ...facts: unknown[]): unknown;
  onResponseStarted?(): void;
  onResponseStart(controller: Controller, ...facts: unknown[]): void;
  onResponseData(controller: Controller, chunk: Uint8Array): void;
  onResponseEnd(controller: Controller, trailers: unknown): void;
  onResponseError(controller: Controller | null, error: Error): void;
}

export type FetchHandler = CallbackHandler | ControllerHandler;

export interface FetchDispatcher {
  dispatch(request: unknown, handler: FetchHandler): boolean;
}

function isControllerHandler(handler: FetchHandler): handler is ControllerHandler {
  return 'onRequestStart' in handler;
}

/** Where fetch itself would go. Each generation has its own; both stand there once the first part of fetch was used. */
export function dispatcherOf(handler: FetchHandler): FetchDispatcher {
  const generation = isControllerHandler(handler) ? 2 : 1;
  return (globalThis as never)[Symbol.for(`undici.globalDispatcher.${generation}`)];
}

export function failHandler(handler: FetchHandler, error: Error): void {
  if (isControllerHandler(handler)) handler.onResponseError(null, error);
  else handler.onError(error);
}

export function watch(handler: FetchHandler, watcher: Watcher): FetchHandler {
  return isControllerHandler(handler) ? watchController(handler, watcher) : watchCallbacks(handler, watcher);
}

/** How to end each request that is on its way. */
export type UnderWay = Set<(why: Error) => void>;

/**
 * Asks right before the first byte of each request: what `check` throws keeps all of it from being written. `begun` and `ended` frame
 * what may reach the upstream.
 */
export function createChecked(
  check: () => void,
  through: FetchDispatcher | undefined,
  underWay: UnderWay,
  { begun, ended }: { begun(): void; ended(): void } = UNTOLD,
): FetchDispatcher {
  return {
    dispatch(request, handler) {
      let end = () => {};
      const watcher: Watcher = {
        beforeWrite(cut) {
          check();
          begun();
          underWay.add(cut);
          end = () => {
            underWay.delete(cut);
            ended();
            end = () => {};
          };
        },
        answered() {},
        mayReadAhead: () => false,
        hasRoom() {},
        ended: () => end(),
        failed() {
          end();
          return true;
        },
      };
      return (through ?? dispatcherOf(handler)).dispatch(request, watch(handler, watcher));
    },
  };
}

const UNTOLD = { begun() {}, ended() {} };

function watchCallbacks(to: CallbackHandler, watcher: Watcher): CallbackHandler {
  return {
    onConnect(abort, context) {
      watcher.beforeWrite(abort);
      to.onConnect(abort, context);
    },
    onResponseStarted: () => to.onResponseStarted?.(),
    onHeaders(status, headers, resume, text) {
      watcher.answered();
      const readOn = () => {
        watcher.hasRoom();
        resume();
      };
      return to.onHeaders(status, headers, readOn, text);
    },
    onData: (chunk) => to.onData(chunk) || watcher.mayReadAhead(chunk.byteLength),
    onComplete(trailers) {
      watcher.ended();
      to.onComplete(trailers);
    },
    onError(error) {
      if (watcher.failed(error)) to.onError(error);
    },
    onUpgrade: (...facts) => to.onUpgrade(...facts),
  };
}

function watchController(to: ControllerHandler, watcher: Watcher): ControllerHandler {
  let own: Controller | undefined;
  let bytes = 0;
  /** The same object for every call, as its owner would have it. */
  const ownOf = (controller: Controller): Controller => {
    own ??= {
      get aborted() {
        return controller.aborted;
      },
      get reason() {
        return controller.reason;
      },
      get paused() {
        return controller.paused;
      },
      get rawHeaders() {
        return controller.rawHeaders;
      },
      get rawTrailers() {
        return controller.rawTrailers;
      },
      abort: (why) => controller.abort(why),
      pause() {
        if (!watcher.mayReadAhead(bytes)) controller.pause();
      },
      resume() {
        watcher.hasRoom();
        controller.resume();
      },
    };
    return own;
  };
  return {
    onRequestStart(controller, context) {
      watcher.beforeWrite((why) => controller.abort(why));
      to.onRequestStart(ownOf(controller), context);
    },
    onRequestUpgrade: (controller, ...facts) => to.onRequestUpgrade(ownOf(controller), ...facts),
    onResponseStarted: () => to.onResponseStarted?.(),
    onResponseStart(controller, ...facts) {
      watcher.answered();
      to.onResponseStart(ownOf(controller), ...facts);
    },
    onResponseData(controller, chunk) {
      bytes = chunk.byteLength;
      to.onResponseData(ownOf(controller), chunk);
    },
    onResponseEnd(controller, trailers) {
      watcher.ended();
      to.onResponseEnd(ownOf(controller), trailers);
    },
    onResponseError(controller, error) {
      if (watcher.failed(error)) to.onResponseError(controller && ownOf(controller), error);
    },
  };
}
