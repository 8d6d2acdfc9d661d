import { encodeCounter } from "@vdc-os/core";
import type { PortStatistics } from "@vdc-os/core/network/v1";
import { attachmentKey } from "../process/host-config.ts";
import { addCounters, noCounters } from "../process/port-counters.ts";
import type { AttachmentCounters, PortCounters } from "../process/process-protocol.ts";
import type { DesiredState } from "./desired-state.ts";
import { findSwitch } from "./find-switch.ts";
import { portId } from "./host-config.ts";
import type { HostMember } from "./host-member.ts";
import type { PortRecord } from "./records.ts";

/** What reading the counters needs of the switch. */
export interface PortCounterReaderOptions {
  readonly state: DesiredState;
  readonly member: (host: string) => HostMember;
}

/** Adds up what the attachments of a port counted, on every host that it was on: a port's counters never go back. */
export class PortCounterReader {
  readonly #state: DesiredState;
  readonly #member: (host: string) => HostMember;
  /** What attachments were last seen to have counted. */
  readonly #seen = new Map<string, PortCounters>();

  constructor({ state, member }: PortCounterReaderOptions) {
    this.#state = state;
    this.#member = member;
  }

  /** The counters of these ports, or of all. A port whose counters can't be told now is left out. */
  async read({
    switchId,
    portKeys,
  }: {
    readonly switchId: string;
    readonly portKeys?: readonly string[];
  }): Promise<readonly PortStatistics[]> {
    findSwitch(this.#state, switchId);
    const wanted = portKeys === undefined ? undefined : new Set(portKeys);
    const records = (): readonly PortRecord[] =>
      this.#state.portsOf(switchId).filter(({ portKey }) => wanted?.has(portKey) ?? true);
    const hosts = new Set(records().flatMap((each) => [each.host, ...each.cuts.map(({ host }) => host)]));
    const reached = new Set<string>();
    await Promise.all(
      [...hosts].map(async (host) => {
        try {
          const told = await this.#member(host).request("portStatistics", {});
          for (const each of told as unknown as AttachmentCounters[])
            this.#seen.set(attachmentKey(each), each.counters);
          reached.add(host);
        } catch {
          // What was seen of it before is told.
        }
      }),
    );
    // Read after the counters: what moved in between from a host into the record is then counted once, and not missed.
    const { spec } = findSwitch(this.#state, switchId);
    return records().flatMap((record) => {
      const group = spec.portGroups.find(({ key }) => key === record.portGroup);
      if (!record.connected && group?.binding !== "static") return [];
      const id = portId(switchId, record.portKey);
      let total = record.carried;
      const parts = record.cuts.map(({ attachment, host }) => ({ attachment, host }));
      if (record.connected) parts.push({ attachment: record.attachment, host: record.host });
      for (const { attachment, host } of parts) {
        const seen = this.#seen.get(attachmentKey({ id, attachment }));
        // Better nothing than less than what was told before.
        if (seen === undefined && !reached.has(host)) return [];
        total = addCounters(total, seen ?? noCounters);
      }
      return [{ portKey: record.portKey, ...checked(total) }];
    });
  }
}

function checked(counters: PortCounters): PortCounters {
  for (const each of [counters.framesIn, counters.bytesIn, counters.framesOut, counters.bytesOut])
    encodeCounter(BigInt(each));
  return counters;
}
