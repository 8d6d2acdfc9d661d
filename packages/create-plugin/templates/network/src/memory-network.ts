import { EventEmitter, once } from "node:events";
import { VdcError } from "@vdc-os/core";
import type { ConnectPort, PortBinding, PortSetting, SpecRecord, SwitchSpec } from "@vdc-os/core/network/v1";
import type { MemoryNic, MemoryPort } from "./memory-port.ts";
import { enter, leave, type VlanFrame } from "./vlan-frame.ts";

/** What the network keeps of a switch. */
export interface MemorySwitch extends SpecRecord {
  readonly ports: Map<string, MemoryPort>;
}

const networks = new Map<string, MemoryNetwork>();

/**
 * Stands in for the network that the plugin is for, until that takes its place: each frame goes to every port of its VLAN that it is for. It is in memory,
 * its hosts are names, and it outlives the plugin as a network does.
 */
export class MemoryNetwork {
  readonly switches: Map<string, MemorySwitch> = new Map();
  readonly #events = new EventEmitter().setMaxListeners(0);
  #changes = 0;

  /** The network at an address. */
  static at(address: string): MemoryNetwork {
    const network = networks.get(address) ?? new MemoryNetwork();
    networks.set(address, network);
    return network;
  }

  /** A switch. Throws `NOT_FOUND`. */
  get(switchId: string): MemorySwitch {
    const found = this.switches.get(switchId);
    if (found === undefined) throw new VdcError("NOT_FOUND", `there is no switch '${switchId}'`);
    return found;
  }

  /** A port. Throws `NOT_FOUND`. */
  port(switchId: string, portKey: string): MemoryPort {
    const found = this.get(switchId).ports.get(portKey);
    if (found === undefined) throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port '${portKey}'`);
    return found;
  }

  /** The end of a binding that a VM would have. */
  openNic({ switchId, portKey, generation }: PortBinding): MemoryNic {
    const port = this.port(switchId, portKey);
    const nic: MemoryNic = {
      send: (frame) => {
        if (port.nic === nic) this.#forward(switchId, port, Buffer.from(frame));
      },
      onFrame: () => undefined,
      close: () => {
        if (port.nic === nic) port.nic = undefined;
        this.changed();
      },
    };
    if (port.owner?.generation === generation) port.nic = nic;
    this.changed();
    return nic;
  }

  /** How many changes there have been. */
  get changes(): number {
    return this.#changes;
  }

  /** Tells whoever waits that something is different now. */
  changed(): void {
    this.#changes += 1;
    this.#events.emit("changed");
  }

  /** Resolves when there are more changes than these, or when the signal aborts. */
  async moreChangesThan(changes: number, signal: AbortSignal): Promise<void> {
    if (this.#changes > changes) return;
    await once(this.#events, "changed", { signal }).catch(() => undefined);
  }

  #forward(switchId: string, from: MemoryPort, bytes: Buffer): void {
    const { spec, ports } = this.get(switchId);
    if (from.owner === undefined) return;
    const frame = admit(bytes, from.owner, settingOf(spec, from.owner));
    if (typeof frame === "string") {
      from.countIn(bytes, frame);
      return;
    }
    from.countIn(bytes);
    for (const to of ports.values()) {
      if (to === from || to.owner === undefined) continue;
      const setting = settingOf(spec, to.owner);
      const left = leave(frame, setting.vlan);
      if (left !== undefined && !setting.blocked && isFor(to.owner, left, setting)) to.deliver(left);
    }
  }
}

/** What holds for a port: its own setting where it has one, else that of its group. */
function settingOf({ portGroups }: SwitchSpec, { portGroup, setting }: ConnectPort): PortSetting {
  return setting ?? portGroups.find(({ key }) => key === portGroup)?.setting ?? nothingPasses;
}

const nothingPasses: PortSetting = {
  vlan: { kind: "none" },
  blocked: true,
  security: { promiscuous: false, forgedTransmits: false, macChanges: false },
};

/** What a VM sends, in its VLAN; or why it is dropped. */
function admit(bytes: Buffer, { mac }: ConnectPort, { blocked, vlan, security }: PortSetting): VlanFrame | string {
  if (blocked) return "blocked";
  const frame = enter(bytes, vlan);
  const isForged = !security.forgedTransmits && macAt(bytes, 6) !== mac;
  return typeof frame !== "string" && isForged ? "forgedTransmit" : frame;
}

/** Whether a VM gets a frame: one for its own address, for many, or any where it may hear everything. */
function isFor({ mac }: ConnectPort, bytes: Buffer, { security }: PortSetting): boolean {
  const isForMany = (bytes.readUInt8(0) & 1) === 1;
  return isForMany || security.promiscuous || macAt(bytes, 0) === mac;
}

function macAt(bytes: Buffer, at: number): string {
  return bytes.toString("hex", at, at + 6).replace(/(..)(?=.)/g, "$1:");
}
