import type { MirrorSession as CoreMirrorSession, PortSetting, SwitchSpec } from "@vdc-os/core/network/v1";
import type { DataPlaneLimits } from "../dataplane/data-plane-limits.ts";
import type { UplinkConfig } from "../dataplane/data-plane-config.ts";
import type { MirrorDestination, MirrorSession } from "../dataplane/mirror-session.ts";
import type { PrivateVlan } from "../dataplane/private-vlans.ts";
import type { PortSettings } from "../dataplane/switch-port.ts";
import type { TunnelPeer } from "../dataplane/switch-tunnel.ts";
import { attachmentKey, type HostConfig, type HostPort, type HostSwitchPart } from "../process/host-config.ts";
import type { DesiredState } from "./desired-state.ts";
import type { HostRecord, PortRecord, SwitchRecord } from "./records.ts";
import { shortHash } from "./state-key.ts";

/** A host's configuration but for its generation: a pure function of the desired state. */
export type HostConfigContent = Omit<HostConfig, "generation">;

/** Names a port in the data planes, and its socket. */
export function portId(switchId: string, portKey: string): string {
  return `n-${shortHash(12, switchId, portKey)}`;
}

/** What a host's process should be. */
export function hostConfigOf(
  state: DesiredState,
  own: HostRecord,
  options: {
    readonly underlayMtu: number;
    readonly basePort: number;
    readonly limits?: Partial<DataPlaneLimits> | undefined;
  },
): HostConfigContent {
  return {
    vtep: { address: own.address, port: own.port ?? options.basePort },
    underlayMtu: options.underlayMtu,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    switches: [...state.switches.values()]
      .filter(({ spec }) => isMember(spec, own.host))
      .sort((a, b) => (a.spec.switchId < b.spec.switchId ? -1 : 1))
      .map((record) => switchPart(state, record, own)),
  };
}

/** Why a connected port is not in any host's configuration; undefined when it is. */
export function misplaced(spec: SwitchSpec, port: PortRecord): string | undefined {
  if (!isMember(spec, port.host)) return `host '${port.host}' is no longer a member of the switch`;
  if (settingOf(spec, port) === undefined) return `there is no port group '${port.portGroup}' any more`;
  return undefined;
}

/** The setting that a port should have: its own, or its group's. Undefined when the group is gone. */
export function settingOf(spec: SwitchSpec, port: PortRecord): PortSetting | undefined {
  const group = spec.portGroups.find(({ key }) => key === port.portGroup);
  return group === undefined ? undefined : (port.setting ?? group.setting);
}

function isMember(spec: SwitchSpec, host: string): boolean {
  return spec.members.some((member) => member.host === host);
}

function switchPart(state: DesiredState, record: SwitchRecord, own: HostRecord): HostSwitchPart {
  const { spec, generation, vniBase } = record;
  const ports = state.portsOf(spec.switchId);
  const sessions = [...(spec.mirrors ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    host: own.host,
    name: spec.name,
    key: spec.switchId,
    specGeneration: generation,
    vniBase,
    mtu: spec.mtu,
    peers: spec.members.flatMap(({ host }) => peerOf(state, host, own, ports)),
    ports: [...ports]
      .sort((a, b) => (a.portKey < b.portKey ? -1 : 1))
      .flatMap((port) => attachmentsAt(port, own.host))
      .flatMap((port) => hostPort(spec, port)),
    transport: spec.transport,
    uplinks: uplinksOf(spec, own.host),
    mirrors: sessions.map((session, number) => mirrorAt(session, number, ports, own.host)),
    mirrorTargets: sessions.flatMap(({ destination }, session) => {
      const port = destination.kind === "port" ? portOf(ports, destination.portKey) : undefined;
      return port?.host === own.host ? [{ session, portKey: attachmentKeyOf(port) }] : [];
    }),
    multicast: spec.multicastSnooping === true ? "snooping" : "flood",
    ...(spec.flowExport === undefined ? {} : { flowExport: spec.flowExport }),
    ...(spec.discovery === undefined ? {} : { discovery: spec.discovery }),
    privateVlans: privateVlansOf(spec, ports),
    // Named before the source begins to send on, so that nobody is looked for there.
    arrivals: [
      ...new Set(
        ports.flatMap(({ move }) =>
          move?.targetHost === own.host && (move.state === "switching" || move.state === "activated")
            ? [move.sourceHost]
            : [],
        ),
      ),
    ].sort(),
    redirects: ports
      .flatMap(({ mac, move }) =>
        move?.state === "activated" && move.sourceHost === own.host ? [{ mac, peer: move.targetHost }] : [],
      )
      .sort((a, b) => (a.mac < b.mac ? -1 : 1)),
  };
}

/** A session as a host works it: the ports that are there, and the way to where the copies go. */
function mirrorAt(
  { name, sourcePorts, destination, ...rest }: CoreMirrorSession,
  session: number,
  ports: readonly PortRecord[],
  host: string,
): MirrorSession {
  const sources = ports
    .filter(({ portKey }) => sourcePorts.includes(portKey))
    .flatMap((port) => attachmentsAt(port, host))
    .map(attachmentKeyOf)
    .sort();
  return { ...rest, name, sourcePorts: sources, destination: destinationAt(destination, session, ports, host) };
}

function destinationAt(
  destination: CoreMirrorSession["destination"],
  session: number,
  ports: readonly PortRecord[],
  host: string,
): MirrorDestination {
  if (destination.kind !== "port") return destination;
  const port = portOf(ports, destination.portKey);
  // Without a port there is nobody to copy to, and the session counts what it would have copied.
  if (port === undefined) return { kind: "port", portKey: `${destination.portKey} is not connected` };
  return port.host === host
    ? { kind: "port", portKey: attachmentKeyOf(port) }
    : { kind: "peer", peer: port.host, session };
}

function portOf(ports: readonly PortRecord[], portKey: string): PortRecord | undefined {
  return ports.find((port) => port.portKey === portKey && port.connected);
}

/** The key that the data plane has for a port as it is connected now. */
export function attachmentKeyOf(port: PortRecord): string {
  return attachmentKey({ id: portId(port.switchId, port.portKey), attachment: port.attachment });
}

function uplinksOf({ members }: SwitchSpec, host: string): readonly UplinkConfig[] {
  return members.find((member) => member.host === host)?.uplinks ?? [];
}

/** A port as it is at a host: of its owner, and of the next one while it moves there. Of two that are open, the older one sends nothing. */
function attachmentsAt(port: PortRecord, host: string): readonly PortRecord[] {
  const { move } = port;
  const gate = move?.state === "switching" && port.gate === "open" ? "hold" : port.gate;
  const here = port.connected && port.host === host ? [{ ...port, gate }] : [];
  if (move?.targetHost !== host || (move.state !== "prepared" && move.state !== "switching")) return here;
  const { attachment, generation, path, tap } = move;
  const { tap: _, ...rest } = port;
  return [
    ...here,
    {
      ...{ ...rest, host, attachment, generation, path },
      ...(tap === undefined ? {} : { tap }),
      gate: move.state === "prepared" ? "drop" : move.gate,
    },
  ];
}

/** None for the host itself, and for one whose endpoint is not known yet. */
function peerOf(
  state: DesiredState,
  host: string,
  own: HostRecord,
  ports: readonly PortRecord[],
): readonly TunnelPeer[] {
  const record = state.hosts.get(host);
  if (host === own.host || record?.port === undefined) return [];
  const refuses = [...new Set(ports.flatMap((port) => unconfirmed(port, host)))].sort();
  return [{ key: host, address: record.address, port: record.port, ...(refuses.length > 0 ? { refuses } : {}) }];
}

/** Addresses that a host may still send from, and must not. */
function unconfirmed(port: PortRecord, host: string): readonly string[] {
  const macs = port.cuts.filter((cut) => cut.host === host && cut.held !== true).map(({ mac }) => mac);
  return port.connected && port.host === host ? macs.filter((mac) => mac !== port.mac) : macs;
}

function hostPort(spec: SwitchSpec, port: PortRecord): readonly HostPort[] {
  const setting = settingOf(spec, port);
  if (setting === undefined) return [];
  return [
    {
      id: portId(spec.switchId, port.portKey),
      portKey: port.portKey,
      attachment: port.attachment,
      generation: port.generation,
      path: port.path,
      ...(port.tap === undefined ? {} : { tap: port.tap }),
      gate: port.gate,
      settings: dataPlaneSettings(setting, port.mac),
    },
  ];
}

/** The data plane takes the contract's settings as they are, but for what it does not do. */
function dataPlaneSettings(setting: PortSetting, macAddress: string): PortSettings {
  const { dhcp: _, ...rest } = setting;
  return { ...(rest as Omit<PortSettings, "macAddress">), macAddress };
}

/** The pairs of all private VLANs: frames travel in the secondary one, and every host must know whose that is. */
function privateVlansOf(spec: SwitchSpec, ports: readonly PortRecord[]): readonly PrivateVlan[] {
  const settings = [...spec.portGroups.map(({ setting }) => setting), ...ports.flatMap(({ setting }) => setting ?? [])];
  const pairs = new Map<number, PrivateVlan>();
  for (const { vlan } of settings) {
    if (vlan.kind !== "pvlan" || vlan.primary === vlan.secondary) continue;
    pairs.set(vlan.secondary, { primary: vlan.primary, secondary: vlan.secondary });
  }
  return [...pairs.values()].sort((a, b) => a.secondary - b.secondary);
}
