import { VdcError } from "@vdc-os/core";
import { ChangeSignal } from "@vdc-os/core/network/v1";
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
  /** Told whenever hosts, or what is desired, are other than before. */
  readonly changes: ChangeSignal = new ChangeSignal();

  constructor(options: SettlingOptions) {
    this.#options = options;
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
        await this.changes.next(AbortSignal.timeout(Math.ceil(left)));
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
      await this.changes.next(AbortSignal.timeout(Math.ceil(left)));
    }
  }
}

function unavailable(text: string): VdcError {
  return new VdcError("UNAVAILABLE", text, { reason: "VDC_HOST_UNAVAILABLE" });
}
