import { setTimeout } from "node:timers/promises";
import { isVdcError, toVdcError, VdcError } from "@vdc-os/core";
import type { UplinkState } from "@vdc-os/core/network/v1";
import type { Datacenter, PortRates, SwitchPort, SwitchPortName, SwitchView } from "@vdc-os/sdk";
import { usageError } from "../failure/failure.ts";
import type { SwitchTopology } from "../render/switch-topology-layout.ts";
import { vlanText } from "../render/vlan-text.ts";

type SwitchObject = Awaited<ReturnType<Datacenter["switches"]["get"]>>;

/** A switch with all that is told of it. */
export interface SwitchReport {
  readonly object: SwitchObject;
  readonly view: SwitchView;
  /** By port key; empty where they were not asked for. */
  readonly rates: ReadonlyMap<string, PortRates>;
  /** Empty where the provider does not tell them. */
  readonly uplinks: readonly UplinkState[];
}

/** How long a provider that has just been opened may take to look at its hosts, in milliseconds. */
const firstLookMs = 3_000;

/** Waits a moment, while members are `pending`: a command opens the datacenter anew, and its hosts are looked at then. */
export async function untilLookedAt(
  dc: Datacenter,
  names: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, SwitchView>> {
  const end = Date.now() + firstLookMs;
  for (;;) {
    const views = await Promise.all(names.map((name) => dc.switches.view(name, { signal })));
    const pending = views.some(({ members }) => members.some(({ state }) => state === "pending"));
    if (!pending || Date.now() > end) return new Map(views.map((view, at) => [names[at] ?? "", view]));
    await setTimeout(100, undefined, { signal });
  }
}

/** Looks at a switch; at its rates for `intervalMs`, and not at all with 0. */
export async function lookAtSwitch(
  dc: Datacenter,
  name: string,
  { intervalMs, signal }: { readonly intervalMs: number; readonly signal: AbortSignal },
): Promise<SwitchReport> {
  await untilLookedAt(dc, [name], signal);
  const [rates, uplinks] = await Promise.all([
    intervalMs === 0 ? [] : dc.switches.portRates(name, { intervalMs, signal }),
    dc.switches.uplinkStates(name, { signal }).catch((error) => {
      if (isVdcError(error, "UNIMPLEMENTED")) return [];
      throw toVdcError(error);
    }),
  ]);
  const [object, view] = await Promise.all([dc.switches.get(name, { signal }), dc.switches.view(name, { signal })]);
  return { object, view, rates: new Map(rates.map((each) => [each.portKey, each])), uplinks };
}

/** A port's name for people: its VM's NIC, or its key. */
export function portLabel({ vm, nic, portKey }: Pick<SwitchPort, "vm" | "nic" | "portKey">): string {
  return vm === undefined ? portKey : `${vm}/${nic}`;
}

/** The ports of a switch as people read them: by host, VM and NIC. */
export function sortedPorts(ports: readonly SwitchPort[]): readonly SwitchPort[] {
  const rank = (port: SwitchPort): string => `${port.host}\0${port.vm === undefined ? "1" : "0"}${portLabel(port)}`;
  return ports.toSorted((a, b) => rank(a).localeCompare(rank(b), "en", { numeric: true }));
}

/** What a person means by a port: `web-1/nic0`, `web-1` where it has one NIC on the switch, or a key. */
export async function findPort(
  dc: Datacenter,
  name: string,
  wanted: string,
  signal: AbortSignal,
): Promise<SwitchPort & { readonly reference: SwitchPortName }> {
  const { ports = [] } = (await untilLookedAt(dc, [name], signal)).get(name) ?? {};
  const exact = ports.find((port) => port.portKey === wanted || portLabel(port) === wanted);
  const ofVm = ports.filter(({ vm }) => vm === wanted);
  const found = exact ?? (ofVm.length === 1 ? ofVm[0] : undefined);
  if (found !== undefined) {
    const { vm, nic, portKey } = found;
    return { ...found, reference: vm === undefined || nic === undefined ? { portKey } : { vm, nic } };
  }
  if (ofVm.length > 1) {
    throw usageError(`VM '${wanted}' has several ports: ${ofVm.map((port) => `'${portLabel(port)}'`).join(", ")}`);
  }
  const some = sortedPorts(ports).slice(0, 8);
  const there = some.length === 0 ? "it has none" : `it has ${some.map((port) => `'${portLabel(port)}'`).join(", ")}`;
  const more = ports.length > some.length ? `, and ${ports.length - some.length} more` : "";
  throw new VdcError("NOT_FOUND", `switch '${name}' has no connected port '${wanted}': ${there}${more}`);
}

/** What a picture of a switch shows. */
export function topologyOf({ object, view, rates, uplinks }: SwitchReport): SwitchTopology {
  const { spec, metadata } = object;
  const ports = sortedPorts(view.ports);
  return {
    name: metadata.name,
    network: spec.network,
    transport: spec.transport,
    mtu: spec.mtu,
    portGroups: spec.portGroups.map(({ name, policy }) => ({
      name,
      vlan: vlanText(policy.vlan ?? spec.policy.vlan ?? { kind: "none" }),
    })),
    hosts: view.members.map(({ host, state, detail }) => ({
      host,
      state,
      detail,
      uplinks: (spec.uplinks?.[host] ?? []).map(({ name }) => {
        const link = uplinks.find((each) => each.host === host && each.uplink === name)?.link;
        return { name, ...(link === undefined ? {} : { link }) };
      }),
      ports: ports
        .filter((port) => port.host === host)
        .map((port) => {
          const rate = rates.get(port.portKey);
          return {
            label: portLabel(port),
            portGroup: port.portGroup,
            vlan: vlanText(port.vlan ?? { kind: "none" }),
            link: port.link,
            ...(port.problem === undefined ? {} : { problem: port.problem }),
            ...(rate === undefined
              ? {}
              : {
                  rates: {
                    sends: rate.bitsInPerSecond,
                    gets: rate.bitsOutPerSecond,
                    drops: rate.dropsInPerSecond + rate.dropsOutPerSecond,
                  },
                }),
          };
        }),
    })),
  };
}
