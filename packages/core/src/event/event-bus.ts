import { EventEmitter } from "eventemitter3";
import { attributeError, type VdcError } from "../error/vdc-error.ts";
import type { EventToken } from "./event-token.ts";

/** Takes a subscription back. Calling it twice does nothing. */
export type Unsubscribe = () => void;

/** Options of {@link EventBus.on}. */
export interface ListenOptions {
  /** The plugin on whose behalf it listens: its failures are attributed to it. */
  readonly plugin?: string | undefined;
}

/** A listener failed: who, on what, and how. */
export type ListenerErrorSink = (failure: { plugin: string | undefined; source: string; error: VdcError }) => void;

/** Options of {@link EventBus}. */
export interface EventBusOptions {
  /** Hears of each listener that threw or rejected. Must not throw. */
  readonly onListenerError: ListenerErrorSink;
  /** Whether what is emitted is checked against the event's schema. Defaults to false. */
  readonly validate?: boolean;
}

type Run<Payload> = (payload: Payload) => unknown;

interface Listener<Payload> {
  readonly run: Run<Payload>;
  readonly plugin: string | undefined;
}

/**
 * One event's listeners. eventemitter3 keeps who listens; it stops at the first listener that throws, so the dispatch is ours.
 *
 * The lists are replaced, never changed, so that who subscribes or leaves during a dispatch does not disturb it. One `try` guards
 * the whole loop, and the loop goes on behind the listener that threw: measured, a `try` for each costs a quarter more.
 */
class Channel<Payload> {
  readonly token: EventToken<Payload>;
  readonly latest: Map<string, Payload> = new Map();
  replay: (() => Iterable<Payload>) | undefined;
  readonly #emitter = new EventEmitter<"event">();
  #listeners: readonly Listener<Payload>[] = [];
  #runs: readonly Run<Payload>[] = [];
  readonly #onError: ListenerErrorSink;

  constructor(token: EventToken<Payload>, onError: ListenerErrorSink) {
    this.token = token;
    this.#onError = onError;
  }

  get size(): number {
    return this.#runs.length;
  }

  add(listener: Listener<Payload>): void {
    this.#emitter.on("event", listener.run, listener);
    this.#listeners = [...this.#listeners, listener];
    this.#runs = this.#emitter.listeners("event") as readonly Run<Payload>[];
  }

  remove(listener: Listener<Payload>): void {
    this.#emitter.off("event", listener.run, listener);
    this.#listeners = this.#listeners.filter((other) => other !== listener);
    this.#runs = this.#emitter.listeners("event") as readonly Run<Payload>[];
  }

  dispatch(payload: Payload): void {
    const runs = this.#runs;
    const listeners = this.#listeners;
    for (let index = 0; index < runs.length; index++) {
      try {
        for (; index < runs.length; index++) {
          const run = runs[index] as Run<Payload>;
          const result = run(payload);
          if (result !== undefined) this.#watch(listeners[index] as Listener<Payload>, result);
        }
      } catch (error) {
        this.#fail(listeners[index] as Listener<Payload>, error);
      }
    }
  }

  /** Gives one listener what the others had before. */
  deliver(listener: Listener<Payload>, payload: Payload): void {
    try {
      const result = listener.run(payload);
      if (result !== undefined) this.#watch(listener, result);
    } catch (error) {
      this.#fail(listener, error);
    }
  }

  #watch(listener: Listener<Payload>, result: unknown): void {
    const promise = result as Promise<unknown> | null;
    if (typeof promise?.then === "function") {
      promise.then(undefined, (error: unknown) => this.#fail(listener, error));
    }
  }

  #fail(listener: Listener<Payload>, error: unknown): void {
    const { plugin } = listener;
    this.#onError({ plugin, source: this.token.id, error: attributeError(error, plugin) });
  }
}

/**
 * Typed events. A listener that throws or rejects is reported under its plugin's name and harms nobody; dispatch is synchronous,
 * in the order of subscription.
 *
 * Events are told apart by id and major version, so that tokens from two copies of a package meet.
 */
export class EventBus {
  readonly #channels = new Map<string, Channel<never>>();
  readonly #byToken = new Map<object, Channel<never>>();
  readonly #options: EventBusOptions;

  constructor(options: EventBusOptions) {
    this.#options = options;
  }

  /** Listens until the function that it returns is called. With an event that keeps its latest payloads, those come at once. */
  on<Payload>(
    event: EventToken<Payload>,
    listener: (payload: Payload) => void | Promise<void>,
    options: ListenOptions = {},
  ): Unsubscribe {
    const channel = this.#channel(event);
    const entry: Listener<Payload> = { run: listener, plugin: options.plugin };
    channel.add(entry);
    for (const payload of channel.replay?.() ?? channel.latest.values()) channel.deliver(entry, payload);
    return () => channel.remove(entry);
  }

  /** Resolves with the next payload that matches, the latest ones included. Rejects with the signal's reason. */
  once<Payload>(
    event: EventToken<Payload>,
    options: {
      readonly signal?: AbortSignal | undefined;
      readonly matches?: (payload: Payload) => boolean;
    } = {},
  ): Promise<Payload> {
    const { signal, matches } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      let leave: Unsubscribe | undefined;
      let done = false;
      const finish = (): void => {
        done = true;
        leave?.();
        signal?.removeEventListener("abort", onAbort);
      };
      const onAbort = (): void => {
        finish();
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      leave = this.on(event, (payload) => {
        if (done || matches?.(payload) === false) return;
        finish();
        resolve(payload);
      });
      // The latest payload may have matched before there was anything to leave.
      if (done) leave();
    });
  }

  /** Emits an event to all that listen now. Throws only when the payload violates the event's schema, and that is checked. */
  emit<Payload>(event: EventToken<Payload>, payload: Payload, options: ListenOptions = {}): void {
    const channel = this.#channel(event);
    if (this.#options.validate) this.#validate(event, payload, options.plugin);
    if (event.latestBy !== undefined && channel.replay === undefined)
      channel.latest.set(event.latestBy(payload), payload);
    channel.dispatch(payload);
  }

  /** Whether anybody listens, for who would rather not build a payload in vain. */
  hasListeners<Payload>(event: EventToken<Payload>): boolean {
    return this.#channel(event).size > 0;
  }

  /** The number of an event's listeners, to be looked at again and again: cheaper than asking each time. */
  audience<Payload>(event: EventToken<Payload>): { readonly size: number } {
    return this.#channel(event);
  }

  /** Says where the latest payloads of an event come from, when somebody else keeps them. */
  replayFrom<Payload>(event: EventToken<Payload>, latest: () => Iterable<Payload>): void {
    this.#channel(event).replay = latest;
  }

  #channel<Payload>(event: EventToken<Payload>): Channel<Payload> {
    return (this.#byToken.get(event) ?? this.#addChannel(event)) as unknown as Channel<Payload>;
  }

  #addChannel<Payload>(event: EventToken<Payload>): Channel<never> {
    const key = `${event.id}@${event.version.split(".", 1)[0]}`;
    let channel = this.#channels.get(key);
    if (channel === undefined) {
      channel = new Channel(event, this.#options.onListenerError) as unknown as Channel<never>;
      this.#channels.set(key, channel);
    }
    this.#byToken.set(event, channel);
    return channel;
  }

  #validate<Payload>(event: EventToken<Payload>, payload: Payload, plugin: string | undefined): void {
    const result = event.payload.safeParse(payload);
    if (result.success) return;
    const [issue] = result.error.issues;
    throw attributeError(
      Object.assign(new TypeError(`event '${event.id}': payload at '${issue?.path.join(".")}': ${issue?.message}`)),
      plugin,
    );
  }
}
