import type { MigrationTicket, PortSetting, SpecRecord, SwitchSpec } from "@vdc-os/core/network/v1";
import { type FrameHeader, isGroupAddress, readHeader, retag } from "./ethernet-frame.ts";
import { maxWaitingFrames, type PortPlug } from "./port-plug.ts";
import type { SwitchPort } from "./switch-port.ts";
import { addressDomain, leavesAs, type Segment, segmentOf } from "./vlan-rules.ts";

/** A move of a port, begun or ended, with the place of the NIC at the target. */
export interface PortMove {
  ticket: MigrationTicket;
  readonly port: SwitchPort;
  readonly plug: PortPlug;
}

/** What becomes of a frame: where it goes and as what, or the name of the counter of those that go nowhere. */
export type FrameDecision =
  | { readonly drop: string }
  | {
      readonly drop?: undefined;
      readonly header: FrameHeader;
      readonly segment: Segment;
      /** Whether the address was known. */
      readonly known: boolean;
      readonly receivers: readonly { readonly port: SwitchPort; readonly tag: number | undefined }[];
    };

/** One switch: its spec, its ports, and how frames go between them. A frame arrives in the same instant as it is sent. */
export class SwitchFabric {
  readonly ports: Map<string, SwitchPort> = new Map();
  /** By ticket. */
  readonly moves: Map<string, PortMove> = new Map();
  #record: SpecRecord;
  #groups: ReadonlyMap<string, PortSetting> = new Map();
  /** Where an address was seen last, by address domain. */
  readonly #seen: Map<string, SwitchPort> = new Map();

  constructor(record: SpecRecord) {
    this.#record = record;
    this.record = record;
  }

  /** The spec, its generation, and the trial that it may be on. */
  get record(): SpecRecord {
    return this.#record;
  }

  set record(record: SpecRecord) {
    this.#record = record;
    this.#groups = new Map(record.spec.portGroups.map(({ key, setting }) => [key, setting]));
    this.#seen.clear();
  }

  get spec(): SwitchSpec {
    return this.#record.spec;
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

  /** Ends a port's connection, and with it a move that is prepared: whoever ends the owner ends its move. */
  disconnect(port: SwitchPort): void {
    port.disconnect();
    for (const move of this.moves.values()) {
      if (move.port === port && move.ticket.state === "prepared") move.ticket = { ...move.ticket, state: "aborted" };
    }
  }

  /** A frame from a port's VM. */
  receive(port: SwitchPort, frame: Uint8Array): void {
    port.arrive(frame);
    if (port.gate === "open") this.forward(port, frame);
    else if (port.gate === "drop") port.drop(frame, "gateDrop");
    else if (port.held.length >= maxWaitingFrames) port.drop(frame, "holdFull");
    else port.held.push(new Uint8Array(frame));
  }

  /** Passes a frame on, or counts why not. */
  forward(port: SwitchPort, frame: Uint8Array): void {
    const decision = this.decide(port, frame);
    if (decision.drop !== undefined) {
      port.drop(frame, decision.drop);
      return;
    }
    const { header, segment, receivers } = decision;
    if (this.#mayLearn(port, header.source)) {
      port.learnedMacs.add(header.source);
      this.#seen.set(`${addressDomain(segment)}/${header.source}`, port);
    }
    if (receivers.length === 0) {
      port.drop(frame, "noDestination");
      return;
    }
    for (const tap of port.taps) tap.frame("in", frame);
    port.counters.forwarded += 1n;
    for (const receiver of receivers) receiver.port.deliver(retag(frame, receiver.tag));
  }

  /** What would become of a frame from a port's VM. Changes nothing. */
  decide(port: SwitchPort, frame: Uint8Array): FrameDecision {
    const setting = this.settingOf(port);
    if (setting === undefined || setting.blocked || this.problemOf(port) !== undefined) return { drop: "blocked" };
    const header = readHeader(frame);
    if (header === undefined || isGroupAddress(header.source)) return { drop: "malformed" };
    if (header.payloadBytes > this.spec.mtu) return { drop: "oversize" };
    const segment = segmentOf(setting.vlan, header.vlan);
    if (segment === undefined) return { drop: "vlanMismatch" };
    if (header.source !== port.request.mac && !setting.security.forgedTransmits) return { drop: "forgedTransmit" };
    if (!this.#mayLearn(port, header.source) && setting.macLearning?.whenFull === "drop") {
      return { drop: "learningLimit" };
    }
    return this.#receivers(port, header, segment);
  }

  #receivers(port: SwitchPort, header: FrameHeader, segment: Segment): FrameDecision {
    const { destination } = header;
    const seen = this.#seen.get(`${addressDomain(segment)}/${destination}`);
    const single = isGroupAddress(destination) || seen?.binding === undefined ? undefined : seen;
    const receivers = this.connected.flatMap((other) => {
      const theirs = this.settingOf(other);
      if (other === port || theirs === undefined || theirs.blocked || this.problemOf(other) !== undefined) return [];
      const leaves = leavesAs(theirs.vlan, segment);
      if (leaves === undefined) return [];
      const forIt = isGroupAddress(destination) || accepts(other, theirs, destination);
      if (single === undefined ? !forIt : other !== single && !theirs.security.promiscuous) return [];
      return [{ port: other, tag: leaves.tag }];
    });
    return { header, segment, known: single !== undefined, receivers };
  }

  /** Whether an address may be learned behind a port: its own always, others up to the port's limit where it has one. */
  #mayLearn(port: SwitchPort, mac: string): boolean {
    const learning = this.settingOf(port)?.macLearning;
    if (learning?.enabled !== true || mac === port.request.mac || port.learnedMacs.has(mac)) return true;
    return [...port.learnedMacs].filter((known) => known !== port.request.mac).length < learning.limit;
  }
}

/** Whether a port's VM receives frames for an address that is not known to be elsewhere. */
function accepts(port: SwitchPort, setting: PortSetting, destination: string): boolean {
  const { promiscuous, macChanges, forgedTransmits } = setting.security;
  if (destination === port.request.mac || promiscuous) return true;
  if (setting.macLearning?.enabled === true) return setting.macLearning.floodUnknown;
  return macChanges || forgedTransmits;
}
