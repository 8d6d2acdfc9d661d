import type { Generation } from "@vdc-os/core";
import type { ConnectPort, PortBinding, PortGate, PortSetting, PortStatistics } from "@vdc-os/core/network/v1";
import { PortCounters } from "./port-counters.ts";

/** How many frames a port holds back, and how many wait for a NIC that nobody reads. */
export const maxWaitingFrames = 256;

/** A port that has been connected once. It is remembered after its disconnection, so that old owners stay out. */
export class SwitchPort {
  readonly portKey: string;
  readonly counters: PortCounters = new PortCounters();
  readonly learnedMacs: Set<string> = new Set();
  request: ConnectPort;
  binding: PortBinding | undefined;
  gate: PortGate = "open";
  held: Uint8Array[] = [];
  /** The highest generation that was connected. */
  newest: Generation;
  /** Every generation up to this one is cut off. */
  revoked = 0;
  /** Frames for the VM that nobody has taken. */
  waiting: Uint8Array[] = [];
  listener: ((frame: Uint8Array) => void) | undefined;
  /** Whether a VM has its NIC on it. */
  plugged = false;

  constructor(request: ConnectPort) {
    this.portKey = request.portKey;
    this.request = request;
    this.newest = request.generation;
  }

  /** The lowest generation that may act is above this. */
  get fencedThrough(): number {
    return Math.max(this.newest - 1, this.revoked);
  }

  /** The setting that holds: the port's own, or its group's. */
  settingIn(groups: ReadonlyMap<string, PortSetting>): PortSetting | undefined {
    return this.request.setting ?? groups.get(this.request.portGroup);
  }

  deliver(frame: Uint8Array): void {
    if (this.listener === undefined && this.waiting.length >= maxWaitingFrames) {
      this.counters.dropOut("queueFull");
      return;
    }
    this.counters.framesOut += 1n;
    this.counters.bytesOut += BigInt(frame.length);
    if (this.listener === undefined) this.waiting.push(frame);
    else this.listener(frame);
  }

  showCounters(): PortStatistics {
    return this.counters.show(this.portKey, this.held.length);
  }

  disconnect(): void {
    this.binding = undefined;
    for (const _ of this.held) this.counters.dropIn("holdDiscarded");
    this.held = [];
    this.waiting = [];
    this.listener = undefined;
    this.plugged = false;
    this.learnedMacs.clear();
  }
}
