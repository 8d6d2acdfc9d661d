import { type Clock, type Logger, type Random, toVdcError, VdcError } from "@vdc-os/core";
import type { KeyValue } from "@vdc-os/core/state/v1";
import { backoffDelay } from "../controller/backoff.ts";
import { listEntries, type StateAccess } from "./state-access.ts";

/** A difference between what a mirror held and what the store holds. */
export type MirrorChange =
  | { readonly type: "put"; readonly entry: KeyValue }
  | { readonly type: "delete"; readonly key: string; readonly revision: number };

/** Options of {@link StateMirror}. */
export interface StateMirrorOptions {
  readonly state: StateAccess;
  readonly prefix: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Hears of every difference, in order. Must not throw. */
  readonly onChange: (change: MirrorChange) => void;
  /** Hears that a list was read whole, at the start and after each gap; its differences were told before. Must not throw. */
  readonly onListed?: () => void;
}

/**
 * Follows a part of the state store: lists it, then watches from that list's revision. After a gap (`resync`), an error or the end
 * of a watch it lists again and tells the differences, deletions included, so that whoever listens never misses where things ended.
 */
export class StateMirror {
  readonly #options: StateMirrorOptions;
  readonly #revisions = new Map<string, number>();
  readonly #waiting: { readonly revision: number; readonly resolve: () => void }[] = [];
  readonly #stopped = new AbortController();
  #revision = -1;
  #loop: Promise<void> | undefined;

  constructor(options: StateMirrorOptions) {
    this.#options = options;
  }

  /** The revision up to which everything was told. -1 before the first list. */
  get revision(): number {
    return this.#revision;
  }

  /** Begins to follow. Resolves once the first list was read. */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.#loop ??= this.#run();
    await this.reached(0, options);
  }

  /** Resolves once everything up to a revision was told. Rejects with the signal's reason. */
  reached(revision: number, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { signal } = options;
    if (this.#revision >= revision) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal?.reason);
      };
      const waiter = {
        revision,
        resolve: () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(waiter);
    });
  }

  /** Stops to follow. Resolves once nothing more is told. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, logger, prefix, random } = this.#options;
    const { signal } = this.#stopped;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#list(signal);
        failures = 0;
        await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        const delayMs = backoffDelay({ failures, baseMs: 20, maxMs: 10_000, random });
        const { message } = toVdcError(error);
        logger.warn("following the state store failed; listing again", { prefix, error: message, delayMs });
        await clock.sleep(delayMs, { signal }).catch(() => undefined);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { entries, revision } = await listEntries(this.#options.state, this.#options.prefix, { signal });
    if (signal.aborted) return;
    const present = new Set(entries.map(({ key }) => key));
    for (const key of [...this.#revisions.keys()]) if (!present.has(key)) this.#delete(key, revision);
    for (const entry of entries) this.#put(entry);
    this.#advance(revision);
    this.#options.onListed?.();
  }

  /** Ends without an error on a gap. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { state, prefix } = this.#options;
    for await (const event of state.watch({ prefix, afterRevision: this.#revision }, { signal })) {
      if (signal.aborted || event.type === "resync") return;
      if (event.type === "put") this.#put(event.entry);
      else if (event.type === "delete") this.#delete(event.key, event.revision);
      // Several changes may have one revision: all of them are told only once the next one begins, or `progress` says so.
      this.#advance(event.type === "progress" ? event.revision : event.revision - 1);
    }
    if (!signal.aborted) throw new VdcError("UNAVAILABLE", `the watch of '${prefix}' ended`);
  }

  #put(entry: KeyValue): void {
    if ((this.#revisions.get(entry.key) ?? 0) >= entry.modRevision) return;
    this.#revisions.set(entry.key, entry.modRevision);
    this.#options.onChange({ type: "put", entry });
  }

  #delete(key: string, revision: number): void {
    if (!this.#revisions.delete(key)) return;
    this.#options.onChange({ type: "delete", key, revision });
  }

  #advance(revision: number): void {
    if (revision <= this.#revision) return;
    this.#revision = revision;
    for (const waiter of this.#waiting.filter((waiting) => waiting.revision <= revision)) {
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
      waiter.resolve();
    }
  }
}
