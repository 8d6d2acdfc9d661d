import type { Egress } from "./egress.ts";
import { LENGTH_PREFIX_BYTES, recordOf } from "./ethernet-frame.ts";
import type { Explanation, ExplainStep } from "./explanation.ts";
import type { Forwarding } from "./forwarding.ts";
import { FrameInFlight } from "./frame-in-flight.ts";
import { type IngressAdmission, isRunt } from "./ingress-admission.ts";
import { formatMac, macOf } from "./mac-address.ts";
import { Place } from "./place.ts";
import type { SwitchPort } from "./switch-port.ts";
import type { InDropReason } from "./traffic-counters.ts";
import type { TunnelSink } from "./tunnel-sink.ts";
import type { UplinkTeam } from "./uplink-team.ts";
import type { VlanIndex } from "./vlan-index.ts";

/** The stages of an engine that explanations run. */
export interface FrameExplainerOptions {
  readonly now: () => number;
  readonly admission: IngressAdmission;
  readonly forwarding: Forwarding;
  readonly egress: Egress;
  readonly tunnel: TunnelSink;
  readonly vlans: VlanIndex;
  /** The uplinks, where the switch goes by them. */
  readonly team: () => UplinkTeam | undefined;
  /** Why a port's frame is dropped by learning, found without learning. */
  readonly learn: (port: SwitchPort, frame: FrameInFlight) => InDropReason | undefined;
  /** Notes on a frame that its sender would be learned. */
  readonly learnOutside: (frame: FrameInFlight, peer: Place) => void;
  /** The place of another host; undefined when it was never heard of. */
  readonly peer: (key: string) => Place | undefined;
}

/**
 * Tells what would happen to a frame now, and why. It runs the frame through the stages of the real path, with `trace` set: they then send,
 * learn and count nothing. Whether queues have room isn't known.
 */
export class FrameExplainer {
  readonly #stages: FrameExplainerOptions;

  constructor(stages: FrameExplainerOptions) {
    this.#stages = stages;
  }

  /** Of a frame from a port's NIC. What other hosts do with it, they tell by `fromPeer`. */
  fromPort(port: SwitchPort, bytes: Uint8Array): Explanation {
    const steps: ExplainStep[] = [];
    if (isRunt(0, bytes.length)) return dropped("runt", steps);
    const frame = traced(bytes, { from: port, origin: port, steps });
    const text = `comes in by port '${port.key}', ${describe(frame)}`;
    steps.push({ stage: "admission", text, port: port.key });
    const { effectiveMac } = port;
    try {
      return this.#decide(port, frame, steps);
    } finally {
      // Admission takes a new address over where the port may change it: so that the decision is the real one.
      if (port.effectiveMac !== effectiveMac) this.#stages.admission.changeAddress(port, effectiveMac);
    }
  }

  /** Of an untagged frame of `vlan` that another host sends here. */
  fromPeer(peer: string, vlan: number, bytes: Uint8Array): Explanation {
    const { admission, forwarding, vlans, now } = this.#stages;
    const steps: ExplainStep[] = [];
    if (isRunt(0, bytes.length)) return dropped("runt", steps);
    const origin = this.#stages.peer(peer) ?? new Place("peer", peer);
    const frame = traced(bytes, { origin, steps });
    frame.vlan = vlan;
    steps.push({ stage: "admission", text: `comes from host '${peer}' in ${segmentText(vlan)}` });
    const refused = admission.fromPeer(frame);
    if (refused !== undefined) return { ...dropped(refused, steps), vlan };
    if (vlans.portsOf(vlan).all.length === 0) return { ...dropped("noDestination", steps, "forwarding"), vlan };
    this.#stages.learnOutside(frame, origin);
    const refusal = forwarding.decide(frame, now());
    if (frame.portCount === 0) return { ...dropped(refusal, steps, "forwarding"), vlan };
    const verdict = verdictOn(frame);
    return { verdict, vlan, ports: this.#leaveAll(frame, steps), peers: [], steps };
  }

  #decide(port: SwitchPort, frame: FrameInFlight, steps: ExplainStep[]): Explanation {
    const { admission, forwarding, tunnel, egress } = this.#stages;
    const now = this.#stages.now();
    const team = this.#stages.team();
    const refused = admission.fromPort(port, frame);
    if (refused !== undefined) return dropped(refused, steps);
    const { vlan } = frame;
    steps.push({ stage: "admission", text: `is in ${segmentText(vlan)}` });
    const policed = port.policyIn?.apply(frame, now);
    if (policed !== undefined) return { ...dropped(policed, steps, "policy"), vlan };
    if (port.gate === "hold") {
      steps.push({ stage: "gate", text: "the gate keeps it back" });
      return { verdict: "hold", vlan, ports: [], peers: [], steps };
    }
    const unlearned = this.#stages.learn(port, frame);
    if (unlearned !== undefined) return { ...dropped(unlearned, steps, "learning"), vlan };
    const refusal = forwarding.decide(frame, now);
    const peers = team === undefined ? peersOf(frame, tunnel) : [];
    const outside = team !== undefined && (frame.allPeers || frame.peers.length > 0);
    const uplink = outside ? team.uplinkFor(port, frame) : undefined;
    if (frame.portCount === 0 && peers.length === 0 && uplink === undefined) {
      return { ...dropped(outside ? "noUplink" : refusal, steps, "forwarding"), vlan };
    }
    const verdict = verdictOn(frame);
    steps.push({ stage: "forwarding", text: whereTo(frame, verdict) });
    const ports = this.#leaveAll(frame, steps);
    if (uplink !== undefined) {
      this.#leave(uplink, frame, { steps, kind: "uplink" });
      return { verdict, vlan, ports, peers, uplink: uplink.key, steps };
    }
    if (peers.length === 0) return { verdict, vlan, ports, peers, steps };
    for (const peer of peers) steps.push({ stage: "egress", text: `goes to host '${peer}' through the tunnel` });
    const { buffer, start, end } = egress.untagged(frame);
    return { verdict, vlan, ports, peers, onward: Buffer.from(buffer.subarray(start, end)), steps };
  }

  #leaveAll(frame: FrameInFlight, steps: ExplainStep[]): Explanation["ports"] {
    return frame.ports.slice(0, frame.portCount).map((target) => this.#leave(target, frame, { steps, kind: "port" }));
  }

  #leave(
    target: SwitchPort,
    frame: FrameInFlight,
    { steps, kind }: { readonly steps: ExplainStep[]; readonly kind: "port" | "uplink" },
  ): Explanation["ports"][number] {
    const drop = this.#stages.egress.check(target, frame, this.#stages.now());
    const form = target.membership.tags(frame.vlan) ? `tagged ${frame.vlan}` : "untagged";
    const text =
      drop === undefined ? `leaves by ${kind} '${target.key}', ${form}` : `is not delivered to ${kind} '${target.key}'`;
    steps.push({ stage: "egress", text, port: target.key, drop });
    return drop === undefined ? { port: target.key } : { port: target.key, drop };
  }
}

function traced(
  bytes: Uint8Array,
  { from, origin, steps }: { readonly from?: SwitchPort; readonly origin: Place; readonly steps: ExplainStep[] },
): FrameInFlight {
  const record = recordOf(bytes);
  const frame = new FrameInFlight();
  frame.begin(record, LENGTH_PREFIX_BYTES, record.length, from, origin);
  frame.trace = steps;
  return frame;
}

function peersOf(frame: FrameInFlight, tunnel: TunnelSink): readonly string[] {
  const all = tunnel.peers();
  return frame.allPeers ? all : all.filter((peer) => frame.peers.some(({ key }) => key === peer));
}

function verdictOn(frame: FrameInFlight): "forward" | "flood" {
  return frame.group || frame.allPeers || frame.flooded ? "flood" : "forward";
}

function whereTo(frame: FrameInFlight, verdict: "forward" | "flood"): string {
  if (frame.group) return "the destination is a group";
  return verdict === "forward" ? "the destination is known" : "the destination is known to nobody";
}

function segmentText(vlan: number): string {
  return vlan === 0 ? "the untagged segment" : `VLAN ${vlan}`;
}

function describe(frame: FrameInFlight): string {
  const source = formatMac(macOf(frame.fromHigh, frame.fromLow));
  const destination = formatMac(macOf(frame.toHigh, frame.toLow));
  return `${frame.end - frame.start} octets from ${source} to ${destination}`;
}

function dropped(reason: InDropReason, steps: ExplainStep[], stage: ExplainStep["stage"] = "admission"): Explanation {
  steps.push({ stage, text: "is dropped", drop: reason });
  return { verdict: "drop", reason, ports: [], peers: [], steps };
}
