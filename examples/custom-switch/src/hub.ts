import { createHash } from "node:crypto";
import { join } from "node:path";
import type { ConnectPort, PortSetting, SwitchSpec } from "@vdc-os/core/network/v1";
import { HubPort, isFor, PortCounters } from "./hub-port.ts";
import { enter, type HubFrame, leave } from "./vlan-rules.ts";

/** Options of {@link Hub}. */
export interface HubOptions {
  /** Where the ports' sockets are. */
  readonly directory: string;
  /** What holds for a switch now. */
  readonly specOf: (switchId: string) => SwitchSpec;
  readonly onLink: () => void;
}

/** The data path: each frame goes to every port of its VLAN that it is for. */
export class Hub {
  readonly #options: HubOptions;
  /** Connected ports, by switch and key. */
  readonly #ports = new Map<string, Map<string, HubPort>>();
  readonly #counters = new Map<string, PortCounters>();

  constructor(options: HubOptions) {
    this.#options = options;
  }

  /** Lets an owner's NIC in. */
  plug(request: ConnectPort): void {
    const { switchId, portKey } = request;
    const id = `${switchId}/${portKey}`;
    const counters = this.#counters.get(id) ?? new PortCounters();
    this.#counters.set(id, counters);
    const port: HubPort = new HubPort({
      request,
      path: this.pathOf(request),
      counters,
      onFrame: (frame) => this.#take(port, frame),
      onLink: this.#options.onLink,
    });
    this.#ports.set(switchId, this.portsOf(switchId).set(portKey, port));
  }

  /** Cuts a port off: from then on nothing of it goes anywhere. */
  unplug(switchId: string, portKey: string): void {
    this.portsOf(switchId).get(portKey)?.close();
    this.#ports.get(switchId)?.delete(portKey);
  }

  portsOf(switchId: string): Map<string, HubPort> {
    return this.#ports.get(switchId) ?? new Map();
  }

  /** A socket of each owner's own. Ids come from outside, and sockets have short paths: neither goes into it as it is. */
  pathOf({ switchId, portKey, generation }: ConnectPort): string {
    const name = createHash("sha256")
      .update(JSON.stringify([switchId, portKey, generation]))
      .digest("hex");
    return join(this.#options.directory, `${name.slice(0, 16)}.sock`);
  }

  close(): void {
    for (const ports of this.#ports.values()) for (const port of ports.values()) port.close();
    this.#ports.clear();
  }

  /** Takes a frame from a VM, and hands it to all that it is for. Each frame that goes nowhere is counted under its reason. */
  #take(from: HubPort, bytes: Buffer): void {
    const { counters, request } = from;
    const spec = this.#options.specOf(request.switchId);
    counters.framesIn += 1;
    counters.bytesIn += bytes.length;
    const frame = admit(bytes, request, spec);
    if (typeof frame === "string") {
      counters.dropIn(frame);
      return;
    }
    counters.forwarded += 1;
    for (const to of this.portsOf(request.switchId).values()) {
      const theirs = settingOf(spec, to.request);
      if (to === from || theirs.blocked || !isFor(frame.bytes.subarray(0, 6), to.request.mac, theirs)) continue;
      const left = leave(frame, theirs.vlan);
      if (left !== undefined) to.send(left);
    }
  }
}

/** What a VM sends, in its VLAN; or why it is dropped. */
function admit(bytes: Buffer, request: ConnectPort, spec: SwitchSpec): HubFrame | string {
  const { blocked, vlan, security } = settingOf(spec, request);
  if (blocked) return "blocked";
  if (bytes.length > spec.mtu + 18) return "tooLong";
  const frame = enter(bytes, vlan);
  if (typeof frame === "string") return frame;
  const isOwn = frame.bytes.subarray(6, 12).toString("hex") === request.mac.replaceAll(":", "");
  return isOwn || security.forgedTransmits || security.macChanges ? frame : "forgedTransmit";
}

/** What holds for a port: its own setting where it has one, else its group's. */
function settingOf({ portGroups }: SwitchSpec, { portGroup, setting }: ConnectPort): PortSetting {
  const nothing: PortSetting = {
    vlan: { kind: "none" },
    blocked: true,
    security: { promiscuous: false, forgedTransmits: false, macChanges: false },
  };
  return setting ?? portGroups.find(({ key }) => key === portGroup)?.setting ?? nothing;
}
