import type { Egress } from "./egress.ts";
import { LENGTH_PREFIX_BYTES, recordOf } from "./ethernet-frame.ts";
import type { ExplainStep } from "./explain-step.ts";
import type { Forwarding } from "./forwarding.ts";
import { FrameInFlight } from "./frame-in-flight.ts";
import { type IngressAdmission, isRunt } from "./ingress-admission.ts";
import { formatMac, macOf } from "./mac-address.ts";
import type { SwitchPort } from "./switch-port.ts";
import type { InDropReason, OutDropReason } from "./traffic-counters.ts";
import type { TunnelSink } from "./tunnel-sink.ts";
import type { UplinkTeam } from "./uplink-team.ts";

/** What would happen to a frame. Plain data. */
export interface Explanation {
  /**
   * - `forward`: to the places that the address is known at.
   * - `flood`: to everybody, since it is for a group or for nobody known.
   * - `hold`: kept back by the port's gate.
   * - `drop`: nowhere, for `reason`.
   */
  readonly verdict: "forward" | "flood" | "hold" | "drop";
  /** Why it is dropped at the port that it comes in by. */
  readonly reason?: InDropReason | undefined;
  /** The VLAN in which it travels; absent when it has none. */
  readonly vlan?: number | undefined;
  /** The ports of this host that it is sent towards, and why those that don't get it don't. */
  readonly ports: readonly { readonly port: string; readonly drop?: OutDropReason | undefined }[];
  /** The other hosts that it is sent to. */
  readonly peers: readonly string[];
  /** The uplink by which it leaves the host. */
  readonly uplink?: string | undefined;
  /** The way there. */
  readonly steps: readonly ExplainStep[];
}

/** The stages of an engine that an explanation runs. */
export interface ExplainStages {
  readonly now: number;
  readonly admission: IngressAdmission;
  readonly forwarding: Forwarding;
  readonly egress: Egress;
  readonly tunnel: TunnelSink;
  /** Where the switch goes by uplinks. */
  readonly team: UplinkTeam | undefined;
  /** Why the frame is dropped by learning, found without learning. */
  readonly learn: (frame: FrameInFlight) => InDropReason | undefined;
}

/** Runs a frame through the stages of the real path, with `trace` set: they then change nothing. */
export function explainFrame(port: SwitchPort, bytes: Uint8Array, stages: ExplainStages): Explanation {
  const steps: ExplainStep[] = [];
  if (isRunt(0, bytes.length)) return dropped("runt", steps);
  const record = recordOf(bytes);
  const frame = new FrameInFlight();
  frame.begin(record, LENGTH_PREFIX_BYTES, record.length, port, port);
  frame.trace = steps;
  steps.push({ stage: "admission", text: `comes in by port '${port.key}', ${describe(frame)}` });
  const { effectiveMac } = port;
  try {
    return decide(port, frame, steps, stages);
  } finally {
    // Admission takes a new address over where the port may change it: so that the decision is the real one.
    if (port.effectiveMac !== effectiveMac) stages.admission.changeAddress(port, effectiveMac);
  }
}

function decide(port: SwitchPort, frame: FrameInFlight, steps: ExplainStep[], stages: ExplainStages): Explanation {
  const { now, admission, forwarding, tunnel, team } = stages;
  const refused = admission.fromPort(port, frame);
  if (refused !== undefined) return dropped(refused, steps);
  const { vlan } = frame;
  steps.push({ stage: "admission", text: vlan === 0 ? "is in the untagged segment" : `is in VLAN ${vlan}` });
  const policed = port.policyIn?.apply(frame, now);
  if (policed !== undefined) return { ...dropped(policed, steps, "policy"), vlan };
  if (port.gate === "hold") {
    steps.push({ stage: "gate", text: "the gate keeps it back" });
    return { verdict: "hold", vlan, ports: [], peers: [], steps };
  }
  const unlearned = stages.learn(frame);
  if (unlearned !== undefined) return { ...dropped(unlearned, steps, "learning"), vlan };
  const refusal = forwarding.decide(frame, now);
  const peers = team === undefined ? peersOf(frame, tunnel) : [];
  const outside = team !== undefined && (frame.allPeers || frame.peers.length > 0);
  const uplink = outside ? team.uplinkFor(port, frame) : undefined;
  const known = !frame.group && !frame.allPeers && !frame.flooded;
  if (frame.portCount === 0 && peers.length === 0 && uplink === undefined) {
    return { ...dropped(outside ? "noUplink" : refusal, steps, "forwarding"), vlan };
  }
  const verdict = known ? "forward" : "flood";
  steps.push({ stage: "forwarding", text: whereTo(frame, verdict) });
  const targets = frame.ports.slice(0, frame.portCount);
  const ports = targets.map((target) => leave(target, frame, steps, stages));
  for (const peer of peers) steps.push({ stage: "egress", text: `goes to host '${peer}' through the tunnel` });
  if (uplink === undefined) return { verdict, vlan, ports, peers, steps };
  leave(uplink, frame, steps, stages);
  return { verdict, vlan, ports, peers, uplink: uplink.key, steps };
}

function leave(
  target: SwitchPort,
  frame: FrameInFlight,
  steps: ExplainStep[],
  { egress, now }: ExplainStages,
): Explanation["ports"][number] {
  const drop = egress.check(target, frame, now);
  const form = target.membership.tags(frame.vlan) ? `tagged ${frame.vlan}` : "untagged";
  const text =
    drop === undefined ? `leaves by port '${target.key}', ${form}` : `is not delivered to port '${target.key}'`;
  steps.push({ stage: "egress", text, port: target.key, drop });
  return drop === undefined ? { port: target.key } : { port: target.key, drop };
}

function peersOf(frame: FrameInFlight, tunnel: TunnelSink): readonly string[] {
  const all = tunnel.peers();
  return frame.allPeers ? all : all.filter((peer) => frame.peers.some(({ key }) => key === peer));
}

function whereTo(frame: FrameInFlight, verdict: "forward" | "flood"): string {
  if (frame.group) return "the destination is a group";
  return verdict === "forward" ? "the destination is known" : "the destination is known to nobody";
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
