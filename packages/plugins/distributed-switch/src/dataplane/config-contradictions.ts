import { isIP } from "node:net";
import type { DataPlaneConfig, DataPlaneSwitchConfig } from "./data-plane-config.ts";
import { DEFAULT_MTU } from "./ethernet-frame.ts";
import { vxlanOverhead } from "./vxlan-header.ts";

/** What is wrong across the fields of a configuration whose shape is right, one sentence each. */
export function findContradictions({ vtep, switches }: DataPlaneConfig): string[] {
  const problems: string[] = [];
  const once = (what: string, names: readonly (string | number)[]): void => {
    const seen = new Set<string | number>();
    const repeated = new Set(names.filter((name) => seen.size === seen.add(name).size));
    for (const name of repeated) problems.push(`${what} '${name}' is there more than once`);
  };
  const ports = switches.flatMap((each) => each.ports);
  const uplinks = switches.flatMap((each) => each.uplinks ?? []);
  once(
    "switch",
    switches.map(({ key }) => key),
  );
  once(
    "vniBase",
    switches.map(({ vniBase }) => vniBase),
  );
  once(
    "port",
    ports.map(({ key }) => key),
  );
  once("socketPath", [
    ...ports.flatMap(({ socketPath }) => socketPath ?? []),
    ...uplinks.flatMap(({ backing }) => (backing.kind === "stream" ? [backing.path] : [])),
  ]);
  once("interface", [
    ...ports.flatMap(({ interfaceName }) => interfaceName ?? []),
    ...uplinks.flatMap(({ backing }) => (backing.kind === "interface" ? [backing.interfaceName] : [])),
  ]);
  for (const { key, socketPath, interfaceName } of ports) {
    if (socketPath !== undefined && interfaceName !== undefined) {
      problems.push(`port '${key}' has both a socket and an interface`);
    }
  }
  for (const each of switches) {
    const { key, peers, maxMtu = DEFAULT_MTU } = each;
    const at = `switch '${key}'`;
    once(
      `${at}: peer`,
      peers.map((peer) => peer.key),
    );
    once(
      `${at}: peer address`,
      peers.map((peer) => `${peer.address} ${peer.anySourcePort === true ? "*" : peer.port}`),
    );
    problems.push(...portProblems(at, each));
    once(
      `${at}: uplink`,
      (each.uplinks ?? []).map(({ name }) => name),
    );
    if (each.transport === "uplinks") continue;
    if (peers.length === 0) continue;
    if (vtep === undefined) {
      problems.push(`${at} has peers, but there is no vtep`);
      continue;
    }
    const family = isIP(vtep.listen.address);
    for (const peer of peers) {
      if (isIP(peer.address) !== family) problems.push(`${at}: peer '${peer.key}' isn't of the vtep's address family`);
      if (peer.address === vtep.listen.address && peer.port === vtep.listen.port) {
        problems.push(`${at}: peer '${peer.key}' is this host itself`);
      }
    }
    const room = (vtep.underlayMtu ?? 1500) - vxlanOverhead(family === 6 ? 6 : 4);
    if (maxMtu > room) {
      problems.push(`${at}: maxMtu ${maxMtu} is more than the ${room} that the tunnel leaves of the underlay's MTU`);
    }
  }
  return problems;
}

function portProblems(
  at: string,
  { ports, maxMtu = DEFAULT_MTU, privateVlans = [], mirrors = [] }: DataPlaneSwitchConfig,
): string[] {
  const problems: string[] = [];
  const primaries = new Map<number, number>();
  const pair = (primary: number, secondary: number): void => {
    const known = primaries.get(secondary);
    if (known === undefined) primaries.set(secondary, primary);
    else if (known !== primary) {
      problems.push(`${at}: VLAN ${secondary} is a secondary of VLAN ${known} and of VLAN ${primary}`);
    }
  };
  for (const { primary, secondary } of privateVlans) if (primary !== secondary) pair(primary, secondary);
  for (const { key, settings } of ports) {
    if (settings.mtu !== undefined && settings.mtu > maxMtu) {
      problems.push(`${at}: port '${key}' has MTU ${settings.mtu}, which is more than the switch's ${maxMtu}`);
    }
    const { vlan } = settings;
    if (vlan.kind === "pvlan" && vlan.role !== "promiscuous") pair(vlan.primary, vlan.secondary);
  }
  for (const primary of new Set(primaries.values())) {
    if (primaries.has(primary)) problems.push(`${at}: VLAN ${primary} is both a primary and a secondary private VLAN`);
  }
  const sessions = new Set<string>();
  for (const { name, sourcePorts, destination } of mirrors) {
    if (sessions.has(name)) problems.push(`${at}: mirror session '${name}' is there more than once`);
    sessions.add(name);
    if (destination.kind === "port" && mirrors.some((other) => other.sourcePorts.includes(destination.portKey))) {
      problems.push(`${at}: port '${destination.portKey}' is the destination of mirror session '${name}' and a source`);
    }
    if (new Set(sourcePorts).size < sourcePorts.length) {
      problems.push(`${at}: mirror session '${name}' names a source port more than once`);
    }
  }
  for (const { key, settings } of ports) {
    for (const { name, action } of settings.filters ?? []) {
      if (action.kind === "mirror" && !sessions.has(action.session)) {
        problems.push(
          `${at}: port '${key}': rule '${name}' copies to mirror session '${action.session}', which isn't there`,
        );
      }
    }
  }
  return problems;
}
