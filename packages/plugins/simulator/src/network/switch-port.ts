import type { Generation } from "@vdc-os/core";
import type {
  ConnectPort,
  PortBinding,
  PortGate,
  PortSetting,
  PortState,
  PortStatistics,
} from "@vdc-os/core/network/v1";
import { PortCounters } from "./port-counters.ts";
import { maxWaitingFrames, PortPlug } from "./port-plug.ts";

/** Sees the frames of a port. */
export interface PortTap {
  /** What its VM sends, with the reason where it went nowhere, and what it gets. */
  frame(direction: "in" | "out", frame: Uint8Array, dropped?: string): void;
  /** The port was disconnected. */
  end(): void;
}

/** A port that has been connected once. It is remembered after its disconnection, so that old owners stay out. */
export class SwitchPort {
  readonly portKey: string;
  readonly counters: PortCounters = new PortCounters();
  readonly learnedMacs: Set<string> = new Set();
  /** Whoever captures now. */
  readonly taps: Set<PortTap> = new Set();
  request: ConnectPort;
  binding: PortBinding | undefined;
  plug: PortPlug = new PortPlug();
  gate: PortGate = "open";
  held: Uint8Array[] = [];
  /** The highest generation that was connected. */
  newest: Generation;
  /** Every generation up to this one is cut off. */
  revoked = 0;

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

  /** Makes an owner's binding the port's. Gate, counters and learned addresses are the port's, and stay. */
  takeOver(request: ConnectPort, binding: PortBinding, plug: PortPlug): void {
    this.request = request;
    this.newest = request.generation;
    this.binding = binding;
    this.plug = plug;
  }

  /** Counts a frame from the VM. */
  arrive(frame: Uint8Array): void {
    this.counters.framesIn += 1n;
    this.counters.bytesIn += BigInt(frame.length);
  }

  /** Counts a frame from the VM that goes nowhere. */
  drop(frame: Uint8Array, reason: string): void {
    this.counters.dropIn(reason);
    for (const tap of this.taps) tap.frame("in", frame, reason);
  }

  deliver(frame: Uint8Array): void {
    const { plug } = this;
    for (const tap of this.taps) tap.frame("out", frame);
    if (plug.listener === undefined && plug.waiting.length >= maxWaitingFrames) {
      this.counters.dropOut("queueFull");
      return;
    }
    this.counters.framesOut += 1n;
    this.counters.bytesOut += BigInt(frame.length);
    if (plug.listener === undefined) plug.waiting.push(frame);
    else plug.listener(frame);
  }

  showCounters(): PortStatistics {
    return this.counters.show(this.portKey, this.held.length);
  }

  /** Takes over what moved with a port of another provider. */
  importState({ statistics, learnedMacs }: PortState): void {
    this.counters.add(statistics);
    for (const mac of learnedMacs) this.learnedMacs.add(mac);
  }

  disconnect(): void {
    this.binding = undefined;
    for (const frame of this.held) this.drop(frame, "holdDiscarded");
    this.held = [];
    this.plug = new PortPlug();
    this.learnedMacs.clear();
    for (const tap of this.taps) tap.end();
  }
}
