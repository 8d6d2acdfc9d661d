import type { Json } from "@vdc-os/core";
import type { PortSetting, PortState, PortStatistics } from "@vdc-os/core/network/v1";
import { addCounters, finalCounters } from "../process/port-counters.ts";
import type { ProcessStatus } from "../process/process-protocol.ts";
import type { DesiredState } from "./desired-state.ts";
import { findPort, findSwitch } from "./find-switch.ts";
import { portId, settingOf } from "./host-config.ts";
import type { HostMember } from "./host-member.ts";
import type { MoveRecord, PortRecord } from "./records.ts";

/** How long a switch-over waits for the NIC at the target. */
const LINK_PATIENCE_MS = 500;

/** What moving a port's state needs of the switch. */
export interface PortStateTransferOptions {
  readonly state: DesiredState;
  readonly member: (host: string) => HostMember;
  readonly statistics: (switchId: string, portKey: string) => Promise<PortStatistics | undefined>;
}

/** The part of a data plane's port state that others read. */
interface DataPlaneState {
  readonly learned: readonly { readonly mac: string }[];
}

/** Takes what is a port's, and neither its owner's nor its host's, from one attachment to another. */
export class PortStateTransfer {
  readonly #options: PortStateTransferOptions;

  constructor(options: PortStateTransferOptions) {
    this.#options = options;
  }

  async exportState(record: PortRecord): Promise<PortState> {
    const { switchId, portKey } = record;
    const { spec } = findSwitch(this.#options.state, switchId);
    const statistics = await this.#options.statistics(switchId, portKey);
    const counters = statistics ?? { portKey, ...finalCounters(record.carried) };
    const known = record.connected
      ? ((await this.#ask(record, record.host, "exportPortState", record.attachment, {})) as unknown as DataPlaneState)
      : undefined;
    return {
      portKey,
      setting: settingOf(spec, record) as PortSetting,
      statistics: counters,
      learnedMacs: [...new Set(known?.learned.map(({ mac }) => mac))].sort(),
      mirrorSessions: (spec.mirrors ?? [])
        .filter(({ sourcePorts }) => sourcePorts.includes(portKey))
        .map(({ name }) => name),
      opaque: {
        ...(known === undefined ? {} : { dataPlane: known as unknown as Json }),
        ...(record.opaque === undefined ? {} : { vendor: record.opaque }),
      },
    };
  }

  /** Counters go on from there, and the data plane takes over what it knows. */
  async importState(record: PortRecord, moved: PortState): Promise<void> {
    const { switchId, portKey } = record;
    const { state } = this.#options;
    const now = await state.change(() => {
      const current = findPort(state, switchId, portKey);
      const { portKey: _, ...counters } = moved.statistics;
      const value: PortRecord = { ...current, carried: addCounters(current.carried, finalCounters(counters)) };
      return { writes: [{ kind: "port", switchId, portKey, value }], result: value };
    });
    if (now.connected) await this.#import(now, now.host, now.attachment, moved);
  }

  /** The target's data plane takes over what the source's knew. */
  async takeOverAtTarget(record: PortRecord, moved: PortState): Promise<void> {
    const { targetHost, attachment } = record.move as MoveRecord;
    await this.#import(record, targetHost, attachment, moved);
  }

  /** The source keeps what its VM sends, so that two owners never speak at once. Lasts until it is cut off or released. */
  async holdAtSource(record: PortRecord): Promise<void> {
    if (record.gate !== "open") return;
    await this.#ask(record, record.host, "setGate", record.attachment, { gate: "hold" });
  }

  /** Lets out what the VM had sent before, while nobody else speaks for the port. What it sends from now on stays behind. */
  async letOutAtSource(record: PortRecord): Promise<void> {
    if (record.gate !== "open") return;
    const { generation, attachment } = record;
    await this.#ask(record, record.host, "release", attachment, { generation, frames: Number.MAX_SAFE_INTEGER });
  }

  /** The source goes on, and tells those whom the target may have told otherwise. */
  async releaseAtSource(record: PortRecord): Promise<void> {
    await this.#ask(record, record.host, "setGate", record.attachment, { gate: record.gate });
  }

  /** Resolves when the new NIC is connected at the target, or after a while: frames for it are lost until it is. */
  async linkAtTarget(record: PortRecord): Promise<void> {
    const { targetHost, attachment } = record.move as MoveRecord;
    const id = portId(record.switchId, record.portKey);
    const target = this.#options.member(targetHost);
    const giveUp = performance.now() + LINK_PATIENCE_MS;
    let params: { readonly [name: string]: Json } = {};
    for (;;) {
      const { instance, version, ports } = (await target.request("status", params)) as unknown as ProcessStatus;
      const waitMs = giveUp - performance.now();
      const port = ports.find((each) => each.id === id && each.attachment === attachment);
      if (port === undefined || port.link === "up" || waitMs <= 0) return;
      params = { instance, since: version, waitMs };
    }
  }

  async #import(record: PortRecord, host: string, attachment: number, moved: PortState): Promise<void> {
    const { dataPlane } = moved.opaque;
    if (dataPlane !== undefined) await this.#ask(record, host, "importPortState", attachment, { state: dataPlane });
  }

  #ask(
    { switchId, portKey }: PortRecord,
    host: string,
    method: string,
    attachment: number,
    params: { readonly [name: string]: Json },
  ): Promise<Json> {
    const id = portId(switchId, portKey);
    return this.#options.member(host).request(method, { id, attachment, ...params });
  }
}
