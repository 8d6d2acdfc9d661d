import type { Gate } from "../../src/dataplane/switch-port.ts";
import type { VlanSetting } from "../../src/dataplane/vlan-membership.ts";

/** Everything about a port that decides whom it reaches. */
export interface MatrixPort {
  /** The number of its host; undefined while it isn't connected. */
  readonly host: number | undefined;
  readonly vlan: VlanSetting;
  readonly blocked: boolean;
  readonly gate: Gate;
  readonly up: boolean;
}

/** A switch over several hosts. */
export interface MatrixConfig {
  readonly ports: readonly MatrixPort[];
  /** Pairs of hosts between which there is no tunnel, the smaller number first. */
  readonly cut: readonly (readonly [number, number])[];
}

/** What arrives: the frame with this tag, or with none. */
export interface Arrival {
  readonly tag: number | undefined;
}

/** The VLAN in which a frame with this tag travels when this port sends it; undefined when the port doesn't take it in. */
function travelsIn(vlan: VlanSetting, tag: number | undefined): number | undefined {
  if (vlan.kind === "trunk") {
    const id = tag ?? vlan.native;
    return id !== undefined && vlan.ranges.some(({ from, to }) => from <= id && id <= to) ? id : undefined;
  }
  if (tag !== undefined) return undefined;
  if (vlan.kind === "none") return 0;
  if (vlan.kind === "access") return vlan.id;
  return vlan.role === "promiscuous" ? vlan.primary : vlan.secondary;
}

/** How a frame that travels in a VLAN arrives at a port; undefined when it doesn't. `primaries` names the primary of each secondary. */
function arrivesIn(vlan: VlanSetting, travelling: number, primaries: ReadonlyMap<number, number>): Arrival | undefined {
  switch (vlan.kind) {
    case "none":
      return travelling === 0 ? { tag: undefined } : undefined;
    case "access":
      return travelling === vlan.id ? { tag: undefined } : undefined;
    case "trunk":
      if (!vlan.ranges.some(({ from, to }) => from <= travelling && travelling <= to)) return undefined;
      return { tag: travelling === vlan.native ? undefined : travelling };
    case "pvlan": {
      const toAll = travelling === vlan.primary;
      const toPromiscuous = vlan.role === "promiscuous" && primaries.get(travelling) === vlan.primary;
      const toCommunity = vlan.role === "community" && travelling === vlan.secondary;
      return toAll || toPromiscuous || toCommunity ? { tag: undefined } : undefined;
    }
  }
}

/**
 * Who gets what a port sends with a tag or without: the truth table's row, by the number of the receiving port. It knows neither
 * addresses nor tables, as reachability must not depend on what was learned.
 */
export function reaches(
  { ports, cut }: MatrixConfig,
  from: number,
  tag: number | undefined,
  primaries: ReadonlyMap<number, number>,
): ReadonlyMap<number, Arrival> {
  const row = new Map<number, Arrival>();
  const sender = ports[from];
  if (sender?.host === undefined || sender.blocked || sender.gate !== "open" || !sender.up) return row;
  const travelling = travelsIn(sender.vlan, tag);
  if (travelling === undefined) return row;
  for (const [to, { host, vlan, blocked, gate, up }] of ports.entries()) {
    if (to === from || host === undefined || blocked || gate === "drop" || !up) continue;
    const [low, high] = [Math.min(host, sender.host), Math.max(host, sender.host)];
    if (cut.some(([a, b]) => a === low && b === high)) continue;
    const arrival = arrivesIn(vlan, travelling, primaries);
    if (arrival !== undefined) row.set(to, arrival);
  }
  return row;
}
