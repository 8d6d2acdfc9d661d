import { type MemberStatus, type PortStatus, settingOf, type SwitchStatus } from "@vdc-os/core/network/v1";
import type { HostLink } from "./host-link.ts";
import type { KeptSwitch, PortRecord } from "./records.ts";

/** The switch as it is. */
export function statusOf(kept: KeptSwitch, hosts: ReadonlyMap<string, HostLink>): SwitchStatus {
  const { spec, generation } = kept.record;
  const ports = [...kept.ports.values()]
    .filter(({ connected }) => connected)
    .sort((a, b) => (a.portKey < b.portKey ? -1 : 1))
    .map((port) => portStatus(kept, port, hosts.get(port.host)));
  return {
    switchId: spec.switchId,
    desiredGeneration: generation,
    members: spec.members.map(({ host }) => memberStatus(kept, host, hosts.get(host))),
    ports,
  };
}

function memberStatus(kept: KeptSwitch, host: string, link: HostLink | undefined): MemberStatus {
  const { spec, generation } = kept.record;
  const view = link?.view(spec.switchId);
  const realizedGeneration = view?.realized?.record.generation ?? 0;
  if (link?.isConnected !== true) {
    const detail = `Open vSwitch of host '${host}' is not followed: ${link?.problem ?? "it is not in the plugin's config"}`;
    return { host, state: "disconnected", realizedGeneration, detail };
  }
  if (view?.problem !== undefined) return { host, state: "outOfSync", realizedGeneration, detail: view.problem };
  if (view?.realized === undefined || realizedGeneration !== generation) {
    return { host, state: "pending", realizedGeneration, detail: "the change is not in force there yet" };
  }
  return { host, state: "up", realizedGeneration, detail: "" };
}

function portStatus(kept: KeptSwitch, port: PortRecord, link: HostLink | undefined): PortStatus {
  const { spec } = kept.record;
  const realized = link?.view(spec.switchId).realized?.ports.get(port.portKey);
  const isThere =
    realized?.connected === true && realized.attachment === port.attachment && realized.host === port.host;
  const nic = link?.nic(port);
  const problem = problemOf(kept, port, link) ?? nic?.problem;
  return {
    portKey: port.portKey,
    portGroup: port.portGroup,
    host: port.host,
    generation: port.generation,
    link: isThere && nic?.isUp === true && problem === undefined ? "up" : "down",
    gate: port.gate,
    learnedMacs: [],
    ...(problem === undefined ? {} : { problem }),
    ...(port.opaque === undefined ? {} : { opaque: port.opaque }),
  };
}

function problemOf({ record: { spec } }: KeptSwitch, port: PortRecord, link: HostLink | undefined): string | undefined {
  if (!spec.members.some(({ host }) => host === port.host)) return `host '${port.host}' is no longer a member`;
  if (settingOf(spec, port) === undefined) return `there is no port group '${port.portGroup}' any more`;
  return link?.isConnected === true ? undefined : `Open vSwitch of host '${port.host}' is not followed`;
}
