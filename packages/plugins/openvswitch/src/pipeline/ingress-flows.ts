import type { PortSetting } from "@vdc-os/core/network/v1";
import { type Action, type FieldMatch, type Flow, macValue } from "@vdc-os/openflow";
import { filterMatches } from "./filter-match.ts";
import { type LivePort, register, type SwitchScene } from "./switch-flows.ts";
import { dropCodes, meterIds, probeFrames, tables } from "./tables.ts";
import { vlanMatches } from "./vlan-segments.ts";

const multicastBit = 1n << 40n;
const linkLocal: FieldMatch = { field: "ethDst", value: 0x0180_c200_0000n, mask: 0xffff_ffff_fff0n };

/** Flows for what comes in: from VMs, up to the verdict, and from other hosts. */
export function ingressFlows(scene: SwitchScene): readonly Flow[] {
  const flows: Flow[] = [
    drop(tables.admission, 90, [linkLocal], "linkLocal"),
    { table: tables.filterIn, priority: 0, match: [], next: tables.limitBits },
    { table: tables.limitBits, priority: 0, match: [], next: tables.limitPackets },
    { table: tables.limitPackets, priority: 0, match: [], next: tables.verdict },
  ];
  const live = new Map(scene.live.map((port) => [port.record.portKey, port]));
  for (const port of scene.ports) {
    const { host } = scene.bridge;
    const { number, portKey, move } = port;
    const nic = scene.bridge.nic(port);
    const isPrepared = move?.state === "prepared" && move.targetHost === host && port.host !== host;
    if (port.host !== host && !isPrepared) continue;
    flows.push(...verdictFlows(number, scene.shown(portKey)));
    const set: Action = { kind: "set", field: "reg0", value: BigInt(number) };
    if (isPrepared) {
      // It may not speak yet.
      const closed: Action = { kind: "set", field: "reg1", value: BigInt(dropCodes.gateDrop) };
      if (nic !== undefined) flows.push(classify(nic, { actions: [set, closed], next: tables.verdict }));
      continue;
    }
    if (nic !== undefined) flows.push(classify(nic, { actions: [set], next: tables.admission }));
    const here = live.get(portKey);
    if (here === undefined) flows.push(drop(tables.admission, 100, [register("reg0", number)], "blocked"));
    else flows.push(...portFlows(here, scene.copies(portKey, "in")));
  }
  return [...flows, ...tunnelFlows(scene)];
}

function classify(port: number, what: Pick<Flow, "actions" | "next">): Flow {
  return { table: tables.classify, priority: 10, match: [{ field: "inPort", value: BigInt(port) }], ...what };
}

/** Frames by which the manager looks at a tunnel. No VM can send them: their destination is link-local. */
function probeFlow(tunnel: number): Flow {
  const match: Flow["match"] = [
    { field: "inPort", value: BigInt(tunnel) },
    { field: "ethDst", value: macValue(probeFrames.destination) },
    { field: "ethType", value: BigInt(probeFrames.etherType) },
  ];
  const actions: readonly Action[] = [{ kind: "toController", maxLength: probeFrames.shownOctets }];
  return { table: tables.classify, priority: 20, match, actions };
}

/** What sends a frame to the verdict with a reason. */
function drop(table: number, priority: number, match: Flow["match"], reason: keyof typeof dropCodes): Flow {
  const actions: readonly Action[] = [{ kind: "set", field: "reg1", value: BigInt(dropCodes[reason]) }];
  return { table, priority, match, actions, next: tables.verdict };
}

/** These stay while the port is on the host, whatever its setting: their counters are the port's. */
function verdictFlows(number: number, shown: readonly Action[]): readonly Flow[] {
  const port = register("reg0", number);
  return [
    { table: tables.verdict, priority: 10, match: [port, register("reg1", 0)], actions: shown, next: tables.deliver },
    ...Object.values(dropCodes).map((code): Flow => {
      return { table: tables.verdict, priority: 10, match: [port, register("reg1", code)], actions: shown };
    }),
    { table: tables.unknown, priority: 10, match: [port] },
  ];
}

function portFlows({ record, setting, vlans }: LivePort, copies: readonly Action[]): readonly Flow[] {
  const port = register("reg0", record.number);
  const flows: Flow[] = [];
  if (record.gate !== "open") flows.push(drop(tables.admission, 100, [port], "gateDrop"));
  if (setting.security.forgedTransmits) {
    const group: FieldMatch = { field: "ethSrc", value: multicastBit, mask: multicastBit };
    flows.push(drop(tables.admission, 11, [port, group], "invalidSource"));
    flows.push({ table: tables.admission, priority: 10, match: [port], next: tables.vlan });
  } else {
    const own: FieldMatch = { field: "ethSrc", value: macValue(record.mac) };
    flows.push({ table: tables.admission, priority: 10, match: [port, own], next: tables.vlan });
    flows.push(drop(tables.admission, 1, [port], "forgedTransmit"));
  }
  for (const segment of vlans.sends) {
    if (segment.tagged) {
      for (const vlan of vlanMatches(segment)) {
        flows.push({ table: tables.vlan, priority: 10, match: [port, vlan], actions: copies, next: tables.filterIn });
      }
      continue;
    }
    const tag: readonly Action[] =
      segment.from === 0
        ? []
        : [{ kind: "pushVlan" }, { kind: "set", field: "vlanVid", value: BigInt(0x1000 | segment.from) }];
    const untagged: FieldMatch = { field: "vlanVid", value: 0n };
    flows.push({
      table: tables.vlan,
      priority: 10,
      match: [port, untagged],
      actions: [...copies, ...tag],
      next: tables.filterIn,
    });
  }
  if (setting.vlan.kind === "trunk") {
    flows.push(drop(tables.vlan, 2, [port, { field: "vlanVid", value: 0n }], "untaggedOnTrunk"));
    flows.push(drop(tables.vlan, 1, [port], "vlanNotAllowed"));
  } else {
    flows.push(drop(tables.vlan, 1, [port], "taggedOnAccess"));
  }
  return [...flows, ...filterInFlows(setting, port), ...limitFlows(setting, port, record.number)];
}

function filterInFlows({ filters = [] }: PortSetting, port: FieldMatch): readonly Flow[] {
  return filters.flatMap((rule, at) => {
    if (rule.direction === "out") return [];
    return filterMatches(rule).map((match): Flow => {
      const priority = 60_000 - at;
      if (rule.action.kind === "drop") return drop(tables.filterIn, priority, [port, ...match], "filtered");
      return { table: tables.filterIn, priority, match: [port, ...match], next: tables.limitBits };
    });
  });
}

function limitFlows({ shapingIn }: PortSetting, port: FieldMatch, number: number): readonly Flow[] {
  if (shapingIn === undefined) return [];
  const limit = (table: number, meter: number, next: number): Flow => ({
    table,
    priority: 10,
    match: [port],
    meter,
    next,
  });
  return [
    limit(tables.limitBits, meterIds.bits(number), tables.limitPackets),
    ...(shapingIn.packetsPerSecond === 0 ? [] : [limit(tables.limitPackets, meterIds.packets(number), tables.verdict)]),
  ];
}

/**
 * A host may send from the addresses that its ports have. One that was cut off, and does not know it, can so reach nobody with the address of a port that
 * has gone elsewhere.
 */
function tunnelFlows({ bridge, members, live, probes }: SwitchScene): readonly Flow[] {
  const flows: Flow[] = [];
  const others = members.filter((host) => host !== bridge.host);
  for (const host of others) {
    const tunnel = bridge.tunnel(host, "frames");
    if (tunnel !== undefined) {
      const actions: readonly Action[] = [{ kind: "set", field: "reg2", value: 1n }];
      flows.push(classify(tunnel, { actions, next: tables.fromTunnel }), probeFlow(tunnel));
      if (live.some((port) => port.record.host === host && port.setting.security.forgedTransmits)) {
        const match: Flow["match"] = [{ field: "inPort", value: BigInt(tunnel) }];
        flows.push({ table: tables.fromTunnel, priority: 1, match, next: tables.deliver });
      }
    }
    const copies = bridge.tunnel(host, "copies");
    if (copies === undefined) continue;
    for (const { number, actions } of probes) {
      const match: Flow["match"] = [
        { field: "inPort", value: BigInt(copies) },
        { field: "vlanVid", value: BigInt(0x1000 | number) },
      ];
      flows.push({ table: tables.classify, priority: 10, match, actions: [{ kind: "popVlan" }, ...actions] });
    }
  }
  const hostsByMac = new Map<string, Set<string>>();
  for (const { record } of live) {
    hostsByMac.set(record.mac, (hostsByMac.get(record.mac) ?? new Set()).add(record.host));
  }
  for (const [mac, hosts] of hostsByMac) {
    const source: FieldMatch = { field: "ethSrc", value: macValue(mac) };
    flows.push({ table: tables.fromTunnel, priority: 10, match: [source] });
    for (const host of hosts) {
      const tunnel = bridge.tunnel(host, "frames");
      if (tunnel === undefined) continue;
      const match: Flow["match"] = [{ field: "inPort", value: BigInt(tunnel) }, source];
      flows.push({ table: tables.fromTunnel, priority: 20, match, next: tables.deliver });
    }
  }
  return flows;
}
