import type { OwnerStamp } from "@vdc-os/core";
import type { MirrorSession, SwitchSpec } from "@vdc-os/core/network/v1";
import type { SwitchMirror } from "../kinds/switch-parts.ts";
import { portNameText, type SwitchPortName } from "../kinds/switch-port-name.ts";
import type { SwitchKindSpec } from "../kinds/switch-spec.ts";
import { effectivePortSetting } from "./effective-port-setting.ts";

/** Who a switch is at its provider, and what its mirrors' names mean now. */
export interface BuildSwitchSpecOptions {
  readonly switchId: string;
  readonly name: string;
  readonly owner?: OwnerStamp;
  /** The key of the port of a VM's NIC; `undefined` when there is no such VM or NIC on the switch. */
  readonly portKeyOf: (nic: { readonly vm: string; readonly nic: string }) => string | undefined;
}

/** What a provider is to realise, and the mirrors' ports that are not there. */
export interface BuiltSwitchSpec {
  readonly spec: SwitchSpec;
  /** `web-1/nic0`, each once. */
  readonly unresolved: readonly string[];
}

/**
 * What a provider gets for a switch of the datacenter: every port group with its effective setting, and mirror sessions by port key. A source that is not
 * there is left out; a destination that is not there is a port that nobody has. Pure.
 */
export function buildSwitchSpec(spec: SwitchKindSpec, options: BuildSwitchSpecOptions): BuiltSwitchSpec {
  const { switchId, name, owner, portKeyOf } = options;
  const unresolved = new Set<string>();
  const keyOf = (port: SwitchPortName): string | undefined => {
    const key = "portKey" in port ? port.portKey : portKeyOf(port);
    if (key === undefined) unresolved.add(portNameText(port));
    return key;
  };
  const { hosts, uplinks = {}, memberOpaque = {}, mirrors, flowExport, discovery, loadBalancers, opaque } = spec;
  const { transport, mtu, multicastSnooping } = spec;
  const built: SwitchSpec = {
    switchId,
    name,
    ...(owner === undefined ? {} : { owner }),
    mtu,
    transport,
    members: hosts.map((host) => ({
      host,
      uplinks: uplinks[host] ?? [],
      ...(memberOpaque[host] === undefined ? {} : { opaque: memberOpaque[host] }),
    })),
    portGroups: spec.portGroups.map((group) => ({
      key: group.name,
      name: group.name,
      binding: group.binding,
      ...(group.maxPorts === undefined ? {} : { maxPorts: group.maxPorts }),
      setting: effectivePortSetting(spec.policy, group),
      ...(group.opaque === undefined ? {} : { opaque: group.opaque }),
    })),
    ...(mirrors === undefined ? {} : { mirrors: mirrors.map((mirror) => sessionOf(mirror, keyOf)) }),
    ...(flowExport === undefined ? {} : { flowExport }),
    ...(discovery === undefined ? {} : { discovery }),
    ...(multicastSnooping === undefined ? {} : { multicastSnooping }),
    ...(loadBalancers === undefined ? {} : { loadBalancers }),
    ...(opaque === undefined ? {} : { opaque }),
  };
  return { spec: built, unresolved: [...unresolved] };
}

function sessionOf(
  { sources, destination, ...session }: SwitchMirror,
  keyOf: (port: SwitchPortName) => string | undefined,
): MirrorSession {
  return {
    ...session,
    sourcePorts: [...new Set(sources.map(keyOf).filter((key) => key !== undefined))],
    destination:
      destination.kind === "port"
        ? { kind: "port", portKey: keyOf(destination.port) ?? `absent.${portNameText(destination.port)}` }
        : destination,
  };
}
