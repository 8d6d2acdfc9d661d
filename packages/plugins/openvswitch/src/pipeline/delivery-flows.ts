import { type Action, type FieldMatch, type Flow, macValue } from "@vdc-os/openflow";
import { filterMatches } from "./filter-match.ts";
import { type LivePort, register, type SwitchScene } from "./switch-flows.ts";
import { tables } from "./tables.ts";
import { sharedVlans, vlanMatches } from "./vlan-segments.ts";

const group: FieldMatch = { field: "ethDst", value: 1n << 40n, mask: 1n << 40n };

interface Receiver {
  readonly port: LivePort;
  readonly tagged: boolean;
}

/**
 * Flows for where a frame goes. What comes from a tunnel goes to ports of this host alone, so that nothing turns in circles; one address that has just
 * left this host is the exception.
 */
export function deliveryFlows(scene: SwitchScene): readonly Flow[] {
  const { live } = scene;
  const special = new Set(live.filter((port) => port.nic !== undefined && isSpecial(scene, port)));
  const flows: Flow[] = [{ table: tables.deliver, priority: 0, match: [], next: tables.unknown }];
  const parts = sharedVlans(
    live.flatMap((port) => [
      { item: { port, receives: true }, segments: port.vlans.receives },
      ...(port.isLocal ? [{ item: { port, receives: false }, segments: port.vlans.sends }] : []),
    ]),
  );
  for (const { from, to, items } of parts) {
    // Frames of VLANs that no port here has can't be here.
    if (!items.some(({ item }) => item.port.isLocal)) continue;
    const receivers = items
      .filter(({ item }) => item.receives)
      .map(({ item, tagged }) => ({ port: item.port, tagged }));
    const part = new DeliveryPart(scene, { receivers, special, hasTag: from !== 0 });
    for (const vlan of vlanMatches({ from, to })) flows.push(...part.flows(vlan));
  }
  for (const port of special) flows.push(...egressFlows(scene, port));
  return flows;
}

/** The VLANs of one part, in which the same ports get the same frames. */
class DeliveryPart {
  readonly #scene: SwitchScene;
  readonly #special: ReadonlySet<LivePort>;
  readonly #hasTag: boolean;
  readonly #receivers: readonly Receiver[];
  readonly #byMac = new Map<string, Receiver[]>();

  constructor(
    scene: SwitchScene,
    options: {
      readonly receivers: readonly Receiver[];
      readonly special: ReadonlySet<LivePort>;
      readonly hasTag: boolean;
    },
  ) {
    this.#scene = scene;
    this.#receivers = options.receivers;
    this.#special = options.special;
    this.#hasTag = options.hasTag;
    for (const receiver of options.receivers) {
      const { mac } = receiver.port.record;
      const there = this.#byMac.get(mac);
      if (there === undefined) this.#byMac.set(mac, [receiver]);
      else there.push(receiver);
    }
  }

  flows(vlan: FieldMatch): readonly Flow[] {
    const everybody = this.#receivers;
    const listeners = everybody.filter(({ port }) => port.setting.security.promiscuous && port.isLocal);
    const flows = everybody.length === 0 ? [] : this.#pair(10, [group, vlan], everybody);
    const takers = everybody.filter(({ port }) => port.takesUnknown);
    if (takers.length > 0) flows.push(...this.#pair(5, [vlan], takers));
    for (const [mac, owners] of this.#byMac) {
      const match = [{ field: "ethDst", value: macValue(mac) } as const, vlan];
      flows.push(...this.#pair(20, match, [...new Set([...owners, ...listeners])], this.#movedTo(owners)));
    }
    return flows;
  }

  /** The tunnels to hosts to which ports have just moved from here. */
  #movedTo(owners: readonly Receiver[]): readonly number[] {
    const { bridge } = this.#scene;
    return owners.flatMap(({ port: { record } }) => {
      const { move } = record;
      if (move?.state !== "activated" || move.sourceHost !== bridge.host || record.host === bridge.host) return [];
      return bridge.tunnel(record.host, "frames") ?? [];
    });
  }

  /** The flow for frames of this host's VMs, and the one for frames from tunnels. */
  #pair(
    priority: number,
    match: Flow["match"],
    receivers: readonly Receiver[],
    onward: readonly number[] = [],
  ): Flow[] {
    const local = receivers.filter(({ port }) => port.isLocal);
    const { bridge } = this.#scene;
    const hosts = new Set(receivers.filter(({ port }) => !port.isLocal).map(({ port }) => port.record.host));
    const tunnels = [...hosts].flatMap((host) => bridge.tunnel(host, "frames") ?? []);
    const flow = (more: Flow["match"], through: readonly number[]): Flow => ({
      table: tables.deliver,
      priority,
      match: [...match, ...more],
      actions: this.#actions(local, through),
    });
    if (tunnels.length === 0) return [flow([], onward)];
    return [flow([register("reg2", 0)], tunnels), flow([register("reg2", 1)], onward)];
  }

  /** First whatever takes the frame with its tag, then the tag goes, and the others get it. */
  #actions(local: readonly Receiver[], tunnels: readonly number[]): readonly Action[] {
    const here = local.filter(({ port }) => port.nic !== undefined);
    const plain = here.filter(({ port }) => !this.#special.has(port));
    const output = (port: number): Action => ({ kind: "output", port });
    const outputs = (receivers: readonly Receiver[]): readonly Action[] =>
      receivers.flatMap(({ port: { nic } }) => (nic === undefined ? [] : [output(nic)]));
    const untagged = outputs(plain.filter(({ tagged }) => !tagged));
    return [
      ...here.filter(({ port }) => this.#special.has(port)).map(({ port }) => throughEgress(port.record.number)),
      ...tunnels.map(output),
      ...outputs(plain.filter(({ tagged }) => tagged)),
      ...(untagged.length > 0 && this.#hasTag ? [{ kind: "popVlan" } as const] : []),
      ...untagged,
    ];
  }
}

/** Whether what leaves by a port is looked at, or copied, on its way. */
function isSpecial(scene: SwitchScene, { record, setting }: LivePort): boolean {
  const hasRules = (setting.filters ?? []).some(({ direction }) => direction !== "in");
  return hasRules || scene.copies(record.portKey, "out").length > 0 || scene.shown(record.portKey).length > 0;
}

function throughEgress(number: number): Action {
  const actions: readonly Action[] = [
    { kind: "set", field: "reg3", value: BigInt(number) },
    { kind: "resubmit", table: tables.filterOut },
  ];
  return { kind: "clone", actions };
}

function egressFlows(scene: SwitchScene, { record, setting, nic }: LivePort): readonly Flow[] {
  const port = register("reg3", record.number);
  const shown = scene.shown(record.portKey);
  const flows: Flow[] = [
    // What it sent itself does not come back.
    { table: tables.filterOut, priority: 65_000, match: [port, register("reg0", record.number)] },
    { table: tables.filterOut, priority: 1, match: [port], next: tables.leave },
    { table: tables.droppedOut, priority: 10, match: [port], actions: shown },
  ];
  (setting.filters ?? []).forEach((rule, at) => {
    if (rule.direction === "in") return;
    const next = rule.action.kind === "drop" ? tables.droppedOut : tables.leave;
    for (const match of filterMatches(rule)) {
      flows.push({ table: tables.filterOut, priority: 60_000 - at, match: [port, ...match], next });
    }
  });
  if (nic === undefined) return flows;
  const out: readonly Action[] = [{ kind: "output", port: nic }, ...scene.copies(record.portKey, "out"), ...shown];
  const withoutTag: readonly Action[] = [{ kind: "popVlan" }, ...out];
  const { vlan } = setting;
  const leave = (priority: number, match: Flow["match"], actions: readonly Action[]): Flow => ({
    table: tables.leave,
    priority,
    match: [port, ...match],
    actions,
  });
  if (vlan.kind === "none") flows.push(leave(1, [], out));
  // A tag can only be taken off where a flow looks for one.
  else if (vlan.kind !== "trunk")
    flows.push(leave(1, [{ field: "vlanVid", value: 0x1000n, mask: 0x1000n }], withoutTag));
  else {
    flows.push(leave(1, [], out));
    if (vlan.native !== undefined) {
      flows.push(leave(2, [{ field: "vlanVid", value: BigInt(0x1000 | vlan.native) }], withoutTag));
    }
  }
  return flows;
}
