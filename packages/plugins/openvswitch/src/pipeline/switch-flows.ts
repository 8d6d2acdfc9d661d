import type { MirrorSession, PortSetting, SwitchSpec } from "@vdc-os/core/network/v1";
import type { KeptSwitch, PortRecord } from "../control/records.ts";
import type { Action, FieldMatch, Flow, Meter } from "@vdc-os/openflow";
import { deliveryFlows } from "./delivery-flows.ts";
import { ingressFlows } from "./ingress-flows.ts";
import { meterIds } from "./tables.ts";
import { type PortVlans, privateVlansOf, vlansOf } from "./vlan-segments.ts";

/** What a host's bridge has, by OpenFlow's port numbers. */
export interface BridgePorts {
  readonly host: string;
  /** The VM's NIC; undefined while there is none. */
  nic(port: PortRecord): number | undefined;
  /** The tunnels to another host: for the switch's frames, and for copies of frames. */
  tunnel(host: string, kind: "frames" | "copies"): number | undefined;
}

/** A port that can pass frames now, somewhere. */
export interface LivePort {
  readonly record: PortRecord;
  readonly setting: PortSetting;
  readonly vlans: PortVlans;
  /** On the bridge that the flows are for; undefined where it is on another host, or has no NIC yet. */
  readonly nic: number | undefined;
  readonly isLocal: boolean;
  /** Whether it gets frames for addresses that nobody is known to have. */
  readonly takesUnknown: boolean;
}

/** A switch as one of its hosts sees it. */
export interface SwitchScene {
  readonly spec: SwitchSpec;
  readonly bridge: BridgePorts;
  readonly members: readonly string[];
  /** All that is connected, also what is blocked. */
  readonly ports: readonly PortRecord[];
  readonly live: readonly LivePort[];
  settingOf(port: PortRecord): PortSetting | undefined;
  /** What copies a frame that a port sends (`in`) or gets (`out`), as it is for the VM. */
  copies(portKey: string, direction: "in" | "out"): readonly Action[];
  /** What shows a frame of a port to the manager, while a capture of the port is read. */
  shown(portKey: string): readonly Action[];
  /** Sessions whose copies are for ports of this host, by their number. */
  readonly probes: readonly { readonly number: number; readonly actions: readonly Action[] }[];
}

/** The ports whose frames are captured, by key, and how many octets of each frame are wanted. */
export type CapturedPorts = ReadonlyMap<string, number>;

/** Everything that a bridge must hold. Pure: a function of what is kept, of the bridge's ports, and of what is captured now. */
export function switchFlows(
  kept: KeptSwitch,
  bridge: BridgePorts,
  captured: CapturedPorts = new Map(),
): { readonly flows: readonly Flow[]; readonly meters: readonly Meter[] } {
  const scene = sceneOf(kept, bridge, captured);
  return { flows: [...ingressFlows(scene), ...deliveryFlows(scene)], meters: metersOf(scene) };
}

/** The match for a register. */
export function register(field: "reg0" | "reg1" | "reg2" | "reg3", value: number): FieldMatch {
  return { field, value: BigInt(value) };
}

function sceneOf({ record: { spec }, ports }: KeptSwitch, bridge: BridgePorts, captured: CapturedPorts): SwitchScene {
  const groups = new Map(spec.portGroups.map((group) => [group.key, group.setting]));
  const settingOfPort = (port: PortRecord): PortSetting | undefined => port.setting ?? groups.get(port.portGroup);
  const members = spec.members.map(({ host }) => host);
  const isMember = new Set(members);
  const connected = [...ports.values()].filter((port) => port.connected && isMember.has(port.host));
  const privateVlans = privateVlansOf(
    spec,
    connected.map(({ setting }) => setting),
  );
  const live = connected.flatMap((record): readonly LivePort[] => {
    const setting = settingOfPort(record);
    if (setting === undefined || setting.blocked) return [];
    const isLocal = record.host === bridge.host;
    return [
      {
        record,
        setting,
        vlans: vlansOf(setting.vlan, privateVlans),
        nic: isLocal ? bridge.nic(record) : undefined,
        isLocal,
        takesUnknown: setting.security.promiscuous || setting.security.macChanges,
      },
    ];
  });
  const liveByKey = new Map(live.map((port) => [port.record.portKey, port]));
  const mirrors = spec.mirrors ?? [];
  return {
    spec,
    bridge,
    members,
    ports: connected,
    live,
    settingOf: settingOfPort,
    copies: (portKey, direction) =>
      mirrors.flatMap((session, at) => {
        const isSource = session.sourcePorts.includes(portKey);
        if (!isSource || (session.direction !== "both" && session.direction !== direction)) return [];
        return copyActions(session, at + 1, { liveByKey, bridge });
      }),
    shown: (portKey) => {
      const maxLength = captured.get(portKey);
      return maxLength === undefined ? [] : [{ kind: "toController", maxLength }];
    },
    probes: mirrors.flatMap((session, at) => {
      const probe = probeOf(session, liveByKey);
      return probe?.nic === undefined ? [] : [{ number: at + 1, actions: [toProbe(session, probe.nic)] }];
    }),
  };
}

function probeOf({ destination }: MirrorSession, ports: ReadonlyMap<string, LivePort>): LivePort | undefined {
  return destination.kind === "port" ? ports.get(destination.portKey) : undefined;
}

function toProbe({ snapLength }: MirrorSession, port: number): Action {
  return { kind: "output", port, ...(snapLength === undefined ? {} : { maxLength: snapLength }) };
}

/** A copy for another host goes through a tunnel of its own, with the session's number as a tag around it. */
function copyActions(
  session: MirrorSession,
  number: number,
  { liveByKey, bridge }: { readonly liveByKey: ReadonlyMap<string, LivePort>; readonly bridge: BridgePorts },
): readonly Action[] {
  const probe = probeOf(session, liveByKey);
  if (probe === undefined) return [];
  if (probe.isLocal) return probe.nic === undefined ? [] : [toProbe(session, probe.nic)];
  const tunnel = bridge.tunnel(probe.record.host, "copies");
  if (tunnel === undefined) return [];
  const actions: readonly Action[] = [
    { kind: "pushVlan" },
    { kind: "set", field: "vlanVid", value: BigInt(0x1000 | number) },
    { kind: "output", port: tunnel },
  ];
  return [{ kind: "clone", actions }];
}

/** The meters of what VMs of this host send. */
function metersOf({ live }: SwitchScene): readonly Meter[] {
  return live.flatMap(({ record: { number }, setting: { shapingIn }, isLocal }): readonly Meter[] => {
    if (!isLocal || shapingIn === undefined) return [];
    const { packetsPerSecond } = shapingIn;
    const bits: Meter = { id: meterIds.bits(number), unit: "kilobits", ...kilobits(shapingIn) };
    if (packetsPerSecond === 0) return [bits];
    const rate = Math.max(1, Math.round(packetsPerSecond));
    return [bits, { id: meterIds.packets(number), unit: "packets", rate, burst: rate }];
  });
}

/** Meters count in kilobits, and have one rate: the average. */
export function kilobits(shaping: { readonly averageBitsPerSecond: number; readonly burstBytes: number }): {
  readonly rate: number;
  readonly burst: number;
} {
  return {
    rate: Math.min(0xffff_ffff, Math.max(1, Math.round(shaping.averageBitsPerSecond / 1_000))),
    burst: Math.min(0xffff_ffff, Math.max(1, Math.round((shaping.burstBytes * 8) / 1_000))),
  };
}
