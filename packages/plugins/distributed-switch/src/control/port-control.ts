import { isDeepStrictEqual } from "node:util";
import { VdcError } from "@vdc-os/core";
import {
  admitPort,
  type ConnectPort,
  fencedError,
  mustBeGoodPort,
  type OwnedPort,
  type PortBinding,
} from "@vdc-os/core/network/v1";
import { noCounters } from "../process/port-counters.ts";
import type { DesiredState, Write } from "./desired-state.ts";
import { findPort, findSwitch } from "./find-switch.ts";
import { settingOf } from "./host-config.ts";
import type { HostMember } from "./host-member.ts";
import { attachmentAt, type NicPlaces, placeOf } from "./nic-place.ts";
import { fencingOf } from "./port-ownership.ts";
import type { PortRecord } from "./records.ts";
import { validateSetting } from "./validate-switch.ts";

/** What the control of ports needs of the switch. */
export interface PortControlOptions {
  readonly state: DesiredState;
  readonly member: (host: string) => HostMember;
  readonly places: NicPlaces;
}

/** Connects the ports of switches, and keeps earlier owners out of them. */
export class PortControl {
  readonly #state: DesiredState;
  readonly #member: (host: string) => HostMember;

  readonly #places: NicPlaces;

  constructor({ state, member, places }: PortControlOptions) {
    this.#state = state;
    this.#places = places;
    this.#member = member;
  }

  /** Connects a port for its owner, once the hosts concerned have it and no earlier owner can reach anybody. */
  async connect(input: ConnectPort): Promise<PortBinding> {
    const { switchId, portKey, host, generation } = input;
    mustBeGoodPort(input, validateSetting);
    const member = this.#member(host);
    // An older owner may come between the cut and the connection, once: the cut keeps out whoever has not come by then.
    for (let isAttached = false; !isAttached; ) {
      const before = this.#admit(input);
      if (before?.connected === true && before.generation < generation) {
        await this.#cut(switchId, [portKey], { upTo: generation - 1, lowest: generation });
        await this.confirmCut(switchId, portKey);
      }
      // Nothing is kept of an owner whose host can't be reached: it will be asked for again.
      await member.converge();
      isAttached = await this.#state.change(() => this.#attach(input));
    }
    await member.converge();
    const record = findPort(this.#state, switchId, portKey);
    if (!record.connected || record.generation !== generation) throw fencedError(record, generation);
    return {
      switchId,
      portKey,
      host,
      generation,
      attachment: attachmentAt(record),
      fencing: fencingOf(settingOf(findSwitch(this.#state, switchId).spec, record)),
    };
  }

  /** Ends the connection of just this owner. */
  async disconnect({ switchId, portKey, generation }: OwnedPort): Promise<void> {
    const record = this.#state.port(switchId, portKey);
    if (record?.connected !== true || record.generation !== generation) return;
    await this.#cut(switchId, [portKey], { upTo: generation, lowest: 0 });
    // A host that can't be reached now lets go of the port when it returns.
    await this.#member(record.host)
      .converge()
      .catch(() => undefined);
  }

  /** Keeps owners up to this generation out, for good. Resolves when they reach nobody. */
  async revoke({ switchId, portKey, generation }: OwnedPort): Promise<void> {
    findPort(this.#state, switchId, portKey);
    await this.#cut(switchId, [portKey], { upTo: generation, lowest: generation + 1 });
    await this.confirmCut(switchId, portKey);
  }

  /** Disconnects the connected ports that are not known. Returns their keys. */
  async collectGarbage({
    switchId,
    known,
  }: {
    readonly switchId: string;
    readonly known: readonly string[];
  }): Promise<readonly string[]> {
    findSwitch(this.#state, switchId);
    const keep = new Set(known);
    const gone = this.#state.portsOf(switchId).filter(({ portKey, connected }) => connected && !keep.has(portKey));
    const keys = gone.map(({ portKey }) => portKey);
    await this.#cut(switchId, keys, { upTo: Number.POSITIVE_INFINITY, lowest: 0 });
    const hosts = new Set(gone.map(({ host }) => host));
    await Promise.allSettled([...hosts].map((host) => this.#member(host).converge()));
    return gone.map(({ portKey }) => portKey).sort();
  }

  /** Says no to what can't be connected. Returns what is there. */
  #admit(input: ConnectPort): PortRecord | undefined {
    const { spec } = findSwitch(this.#state, input.switchId);
    return admitPort({ spec, ports: this.#state.portsByKey(input.switchId) }, input);
  }

  /** Puts the owner on record; `false` while an older one is there. */
  #attach(input: ConnectPort): { writes: readonly Write[]; result: boolean } {
    const { switchId, portKey, portGroup, host, mac, generation, owner, setting, opaque } = input;
    const before = this.#admit(input);
    if (before?.connected === true && before.generation !== generation) return { writes: [], result: false };
    if (before?.connected === true && isDeepStrictEqual(before.setting, setting)) return { writes: [], result: true };
    const next = Math.max(before?.attachment ?? 0, before?.move?.attachment ?? 0) + 1;
    const attachment = before?.connected === true ? before.attachment : next;
    const value: PortRecord = {
      switchId,
      portKey,
      portGroup,
      host,
      mac,
      generation,
      lowest: Math.max(before?.lowest ?? 0, generation),
      attachment,
      connected: true,
      gate: before?.connected === true ? before.gate : (input.gate ?? "open"),
      ...(before?.connected === true ? placeOf(before) : this.#places.place(host, { switchId, portKey, attachment })),
      carried: before?.carried ?? noCounters,
      cuts: before?.cuts ?? [],
      // An owner that connects again, with another setting, goes on moving.
      ...(before?.connected === true && before.move !== undefined ? { move: before.move } : {}),
      ...(owner === undefined ? {} : { owner }),
      ...(setting === undefined ? {} : { setting }),
      ...(opaque === undefined ? {} : { opaque }),
    };
    return { writes: [{ kind: "port", switchId, portKey, value }], result: true };
  }

  /** Ends the connections of owners up to a generation, and refuses generations below `lowest` from now on. */
  async #cut(
    switchId: string,
    portKeys: readonly string[],
    { upTo, lowest }: { readonly upTo: number; readonly lowest: number },
  ): Promise<void> {
    await this.#state.change(() => {
      const writes = portKeys.flatMap((portKey): Write[] => {
        const record = this.#state.port(switchId, portKey);
        if (record === undefined) return [];
        const ends = record.connected && record.generation <= upTo;
        if (!ends && record.lowest >= lowest) return [];
        const { host, attachment, generation, mac } = record;
        const value: PortRecord = {
          ...record,
          lowest: Math.max(record.lowest, lowest),
          connected: record.connected && !ends,
          cuts: ends ? [...record.cuts, { host, attachment, generation, mac }] : record.cuts,
          // Whoever ends the owner, or keeps the next one out, ends its move.
          ...(record.move?.state === "prepared" || record.move?.state === "switching"
            ? { move: { ...record.move, state: "aborted" } }
            : {}),
        };
        return [{ kind: "port", switchId, portKey, value }];
      });
      return { writes, result: undefined };
    });
  }

  /**
   * Resolves when earlier owners of a port reach nobody: their hosts have let go of the port, or every other host that can be reached
   * refuses frames from its address from them. Where a port may use other addresses that is no fence, and only the first counts.
   */
  async confirmCut(switchId: string, portKey: string): Promise<void> {
    const pending = (): readonly string[] => [
      ...new Set(this.#state.port(switchId, portKey)?.cuts.map(({ host }) => host)),
    ];
    await Promise.allSettled(pending().map((host) => this.#member(host).converge()));
    const hosts = pending();
    if (hosts.length === 0) return;
    await this.#state.change(() => {
      const record = this.#state.port(switchId, portKey);
      if (record?.cuts.some(({ held }) => held === true) !== true) return { writes: [], result: undefined };
      const cuts = record.cuts.map(({ held: _, ...cut }) => cut);
      return { writes: [{ kind: "port", switchId, portKey, value: { ...record, cuts } }], result: undefined };
    });
    const { spec } = findSwitch(this.#state, switchId);
    const others = spec.members.filter(({ host }) => !hosts.includes(host));
    await Promise.allSettled(others.map(({ host }) => this.#member(host).converge()));
    if (fencingOf(settingOf(spec, findPort(this.#state, switchId, portKey))) === "enforced") return;
    throw new VdcError(
      "UNAVAILABLE",
      `port '${portKey}' may still be served by host '${hosts.join("', '")}', which can't be reached; since it may use other addresses than its own, the other hosts can't tell its frames. The revocation is kept`,
      { reason: "VDC_REVOKE_UNCONFIRMED" },
    );
  }
}
