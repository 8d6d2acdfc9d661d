import type { PortGate, PortSetting } from "@vdc-os/core/network/v1";
import type { SuiteNic } from "./suite-nic.ts";

interface Frame {
  readonly bytes: Buffer;
  readonly vlan: number;
}

/** What a port of the reference switch counts. */
export interface MemoryCounters {
  framesIn: number;
  bytesIn: number;
  forwarded: number;
  framesOut: number;
  bytesOut: number;
  refused: number;
}

/** Options of {@link MemoryPort}. */
export interface MemoryPortOptions {
  readonly portGroup: string;
  readonly host: string;
  readonly mac: string;
  readonly generation: number;
  readonly setting: PortSetting;
}

/** A port of the reference switch. Frames are kept without tag, with their VLAN beside them. */
export class MemoryPort {
  readonly portGroup: string;
  readonly host: string;
  readonly mac: string;
  readonly generation: number;
  setting: PortSetting;
  /** The setting that goes before the group's. */
  own: PortSetting | undefined;
  connected = true;
  /** Generations below this are refused. */
  lowest: number;
  gate: PortGate = "open";
  nic: SuiteNic | undefined;
  held: Frame[] = [];
  count: MemoryCounters = { framesIn: 0, bytesIn: 0, forwarded: 0, framesOut: 0, bytesOut: 0, refused: 0 };

  constructor(options: MemoryPortOptions) {
    this.portGroup = options.portGroup;
    this.host = options.host;
    this.mac = options.mac;
    this.generation = options.generation;
    this.lowest = options.generation;
    this.setting = options.setting;
  }

  disconnect(): void {
    this.discard();
    this.connected = false;
    this.nic = undefined;
  }

  /** Takes a frame from the VM. */
  take(bytes: Buffer, peers: readonly MemoryPort[]): void {
    this.count.framesIn += 1;
    this.count.bytesIn += bytes.length;
    const frame = this.#admit(bytes);
    if (frame === undefined || this.gate === "drop") this.count.refused += 1;
    else if (this.gate === "hold") this.held.push(frame);
    else this.#forward(frame, peers);
  }

  setGate(gate: PortGate, peers: readonly MemoryPort[]): void {
    this.gate = gate;
    if (gate === "open") this.release(this.held.length, peers);
    if (gate === "drop") this.discard();
  }

  /** Forgets what is held. Returns how many frames that was. */
  discard(): number {
    const discarded = this.held.splice(0).length;
    this.count.refused += discarded;
    return discarded;
  }

  release(count: number, peers: readonly MemoryPort[]): number {
    const frames = this.held.splice(0, count);
    for (const frame of frames) this.#forward(frame, peers);
    return frames.length;
  }

  #admit(bytes: Buffer): Frame | undefined {
    const { blocked, security, vlan } = this.setting;
    if (blocked) return undefined;
    if (!security.forgedTransmits && macAt(bytes, 6) !== this.mac) return undefined;
    const tag = bytes.readUInt16BE(12) === 0x8100 ? bytes.readUInt16BE(14) & 0xfff : undefined;
    if (tag === undefined) {
      const untagged = untaggedVlan(vlan);
      return untagged === undefined ? undefined : { bytes, vlan: untagged };
    }
    if (!takesTagged(vlan, tag)) return undefined;
    return { bytes: Buffer.concat([bytes.subarray(0, 12), bytes.subarray(16)]), vlan: tag };
  }

  #forward({ bytes, vlan }: Frame, peers: readonly MemoryPort[]): void {
    this.count.forwarded += 1;
    for (const peer of peers) if (peer !== this) peer.#give(bytes, vlan);
  }

  #give(bytes: Buffer, vlan: number): void {
    const { blocked, security, vlan: own } = this.setting;
    const isUntagged = untaggedVlan(own) === vlan;
    if (blocked || this.gate === "drop" || this.nic === undefined) return;
    if (!isUntagged && !takesTagged(own, vlan)) return;
    const isGroup = (bytes.readUInt8(0) & 1) === 1;
    if (!isGroup && !security.promiscuous && macAt(bytes, 0) !== this.mac) return;
    const tag = Buffer.alloc(isUntagged ? 0 : 4);
    if (!isUntagged) tag.writeUInt32BE(0x8100_0000 + vlan);
    const out = Buffer.concat([bytes.subarray(0, 12), tag, bytes.subarray(12)]);
    this.count.framesOut += 1;
    this.count.bytesOut += out.length;
    this.nic.onFrame(out);
  }
}

/** The VLAN of untagged frames; 0 stands for the switch's untagged network. */
function untaggedVlan(vlan: PortSetting["vlan"]): number | undefined {
  if (vlan.kind === "none") return 0;
  if (vlan.kind === "access") return vlan.id;
  return vlan.kind === "trunk" ? vlan.native : undefined;
}

function takesTagged(vlan: PortSetting["vlan"], tag: number): boolean {
  return vlan.kind === "trunk" && vlan.ranges.some(({ from, to }) => from <= tag && tag <= to);
}

function macAt(bytes: Buffer, at: number): string {
  return bytes.toString("hex", at, at + 6).replace(/(..)(?=.)/g, "$1:");
}
