import type { PortSetting, SwitchSpec } from "@vdc-os/core/network/v1";
import { type FrameHeader, isGroupAddress, readHeader, retag } from "./ethernet-frame.ts";
import { maxWaitingFrames, type SwitchPort } from "./switch-port.ts";
import { leavesAs, segmentOf } from "./vlan-rules.ts";

/** One switch: its spec, its ports, and how frames go between them. A frame arrives in the same instant as it is sent. */
export class SwitchFabric {
  readonly ports: Map<string, SwitchPort> = new Map();
  spec: SwitchSpec;
  generation: number;
  #groups: ReadonlyMap<string, PortSetting> = new Map();
  /** Where an address was seen last, by segment. */
  readonly #seen: Map<string, SwitchPort> = new Map();

  constructor(spec: SwitchSpec, generation: number) {
    this.spec = spec;
    this.generation = generation;
    this.apply(spec, generation);
  }

  apply(spec: SwitchSpec, generation: number): void {
    this.spec = spec;
    this.generation = generation;
    this.#groups = new Map(spec.portGroups.map(({ key, setting }) => [key, setting]));
    this.#seen.clear();
  }

  get connected(): readonly SwitchPort[] {
    return [...this.ports.values()].filter(({ binding }) => binding !== undefined);
  }

  settingOf(port: SwitchPort): PortSetting | undefined {
    return port.settingIn(this.#groups);
  }

  /** What is wrong with a port, if anything. */
  problemOf(port: SwitchPort): string | undefined {
    if (this.settingOf(port) === undefined) return `port group '${port.request.portGroup}' is not there any more`;
    const { host } = port.request;
    if (!this.spec.members.some((member) => member.host === host)) return `host '${host}' is no member any more`;
    return undefined;
  }

  /** A frame from a port's VM. */
  receive(port: SwitchPort, frame: Uint8Array): void {
    port.counters.framesIn += 1n;
    port.counters.bytesIn += BigInt(frame.length);
    if (port.gate === "open") this.forward(port, frame);
    else if (port.gate === "drop") port.counters.dropIn("gateDrop");
    else if (port.held.length >= maxWaitingFrames) port.counters.dropIn("holdFull");
    else port.held.push(new Uint8Array(frame));
  }

  /** Passes a frame on, or counts why not. */
  forward(port: SwitchPort, frame: Uint8Array): void {
    const admitted = this.#admit(port, frame);
    if (typeof admitted === "string") {
      port.counters.dropIn(admitted);
      return;
    }
    const { header, segment } = admitted;
    port.learnedMacs.add(header.source);
    this.#seen.set(`${segment}/${header.source}`, port);
    const known = this.#seen.get(`${segment}/${header.destination}`);
    const single =
      isGroupAddress(header.destination) || known === undefined || known.binding === undefined ? undefined : known;
    let receivers = 0;
    for (const other of this.connected) {
      if (other === port) continue;
      const theirs = this.settingOf(other);
      if (theirs === undefined || theirs.blocked || this.problemOf(other) !== undefined) continue;
      const leaves = leavesAs(theirs.vlan, segment);
      if (leaves === undefined) continue;
      const forIt = isGroupAddress(header.destination) || accepts(other, theirs, header.destination);
      if (single !== undefined ? other !== single && !theirs.security.promiscuous : !forIt) continue;
      other.deliver(retag(frame, leaves.tag));
      receivers += 1;
    }
    if (receivers > 0) port.counters.forwarded += 1n;
    else port.counters.dropIn("noDestination");
  }

  /** Where a frame comes in, or why it does not: the name of its counter. */
  #admit(port: SwitchPort, frame: Uint8Array): { readonly header: FrameHeader; readonly segment: number } | string {
    const setting = this.settingOf(port);
    if (setting === undefined || setting.blocked || this.problemOf(port) !== undefined) return "blocked";
    const header = readHeader(frame);
    if (header === undefined || isGroupAddress(header.source)) return "malformed";
    if (header.payloadBytes > this.spec.mtu) return "oversize";
    const segment = segmentOf(setting.vlan, header.vlan);
    if (segment === undefined) return "vlanMismatch";
    if (header.source !== port.request.mac && !setting.security.forgedTransmits) return "forgedTransmit";
    return { header, segment };
  }
}

/** Whether a port's VM receives frames for an address that is not known to be elsewhere. */
function accepts(port: SwitchPort, setting: PortSetting, destination: string): boolean {
  const { promiscuous, macChanges, forgedTransmits } = setting.security;
  return destination === port.request.mac || promiscuous || macChanges || forgedTransmits;
}
