import { VdcError } from "@vdc-os/core";
import type { HostLink } from "./host-link.ts";
import type { KeptSwitch } from "./records.ts";

/** Options of {@link Settling}. */
export interface SettlingOptions {
  readonly hosts: ReadonlyMap<string, HostLink>;
  /** How long hosts are waited for, in milliseconds. */
  readonly timeoutMs: number;
  /** Ends all waiting. */
  readonly closing: AbortSignal;
}

/** Waits for hosts: until they are followed, and until they have taken changes over. */
export class Settling {
  readonly #options: SettlingOptions;
  readonly #watchers = new Set<() => void>();

  constructor(options: SettlingOptions) {
    this.#options = options;
  }

  /** Says that something has changed. */
  tell(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** Calls at each change, until the function that it returns is called. */
  watch(listener: () => void): () => void {
    this.#watchers.add(listener);
    return () => void this.#watchers.delete(listener);
  }

  /** Resolves at the next change, or when the signal is aborted. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve) => {
      const done = (): void => {
        this.#watchers.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#watchers.add(done);
      signal.addEventListener("abort", done);
      if (signal.aborted) done();
    });
  }

  /**
   * Resolves when every member that can be reached has the switch as it is given, or a later one. The hosts in `must` must be among them; of the others
   * those that take too long are not waited for. Rejects with `UNAVAILABLE`.
   */
  async settled(kept: KeptSwitch | undefined, must: readonly string[]): Promise<void> {
    if (kept === undefined) return;
    const { hosts, timeoutMs, closing } = this.#options;
    const { spec } = kept.record;
    const waiting = (): readonly string[] =>
      spec.members.flatMap(({ host }) => {
        const isNeeded = must.includes(host);
        const link = hosts.get(host);
        if (link?.isConnected !== true) return isNeeded ? [host] : [];
        const { realized, problem } = link.view(spec.switchId);
        const isLate = (realized?.sequence ?? 0) < kept.sequence && (isNeeded || problem === undefined);
        return isLate ? [host] : [];
      });
    const deadline = performance.now() + timeoutMs;
    for (let late = waiting(); late.length > 0; late = waiting()) {
      const left = deadline - performance.now();
      if (left > 0 && !closing.aborted) {
        await this.next(AbortSignal.timeout(Math.ceil(left)));
        continue;
      }
      const lost = late.find((host) => must.includes(host));
      if (lost === undefined) return;
      const detail = hosts.get(lost)?.view(spec.switchId).problem;
      throw unavailable(`host '${lost}' has not taken the change over${detail === undefined ? "" : `: ${detail}`}`);
    }
  }

  /** Resolves when a host is followed: one that is just being connected to is waited for. Rejects with `UNAVAILABLE`. */
  async reached(host: string): Promise<void> {
    const { hosts, timeoutMs, closing } = this.#options;
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const link = hosts.get(host);
      if (link?.isConnected === true) return;
      const left = deadline - performance.now();
      if (left <= 0 || closing.aborted) {
        throw unavailable(`Open vSwitch of host '${host}' is not followed: ${link?.problem ?? "it is not known"}`);
      }
      await this.next(AbortSignal.timeout(Math.ceil(left)));
    }
  }
}

function unavailable(text: string): VdcError {
  return new VdcError("UNAVAILABLE", text, { reason: "VDC_HOST_UNAVAILABLE" });
}
