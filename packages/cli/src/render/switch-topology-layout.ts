import type { MemberState } from "@vdc-os/core/network/v1";

/** A port in a picture. */
export interface TopologyPort {
  /** `web-1/nic0`, or the port's key. */
  readonly label: string;
  readonly portGroup: string;
  /** For people: `10`. */
  readonly vlan: string;
  readonly link: "up" | "down";
  readonly problem?: string;
  /** What the VM sends and gets, in bits per second, where it was measured. */
  readonly rates?: { readonly sends: number; readonly gets: number; readonly drops: number };
}

/** A host in a picture. */
export interface TopologyHost {
  readonly host: string;
  readonly state: MemberState;
  readonly detail: string;
  readonly uplinks: readonly { readonly name: string; readonly link?: "up" | "down" }[];
  readonly ports: readonly TopologyPort[];
}

/** A switch, as it is drawn. */
export interface SwitchTopology {
  readonly name: string;
  readonly network: string;
  readonly transport: string;
  readonly mtu: number;
  readonly portGroups: readonly { readonly name: string; readonly vlan: string }[];
  readonly hosts: readonly TopologyHost[];
}

/** A host and its place. */
export interface PlacedHost {
  readonly host: TopologyHost;
  readonly x: number;
  readonly y: number;
  readonly height: number;
  readonly row: number;
}

/** Lengths of the picture, in pixels. */
export const topologySizes = {
  margin: 24,
  cardWidth: 372,
  gap: 28,
  switchTop: 84,
  switchHeight: 58,
  drop: 34,
  header: 50,
  portRow: 38,
  uplinkRow: 30,
  foot: 10,
} as const;

/** How many hosts stand beside each other at most. */
const widest = 4;

/** Where each host's card stands: in rows below the switch, each row as high as its highest card. Pure. */
export function layoutTopology(hosts: readonly TopologyHost[]): {
  readonly placed: readonly PlacedHost[];
  readonly width: number;
  readonly height: number;
} {
  const { margin, cardWidth, gap, switchTop, switchHeight, drop } = topologySizes;
  const columns = Math.max(1, Math.min(widest, hosts.length));
  const placed: PlacedHost[] = [];
  let y = switchTop + switchHeight + drop;
  for (let first = 0, row = 0; first < hosts.length; first += columns, row++) {
    const inRow = hosts.slice(first, first + columns);
    const heights = inRow.map(heightOf);
    inRow.forEach((host, column) => {
      const x = margin + column * (cardWidth + gap);
      placed.push({ host, x, y, height: heights[column] ?? 0, row });
    });
    y += Math.max(...heights) + drop;
  }
  return {
    placed,
    width: margin * 2 + columns * cardWidth + (columns - 1) * gap,
    height: y - drop + margin,
  };
}

function heightOf({ ports, uplinks }: TopologyHost): number {
  const { header, portRow, uplinkRow, foot } = topologySizes;
  const body = Math.max(1, ports.length) * portRow;
  return header + body + (uplinks.length > 0 ? uplinkRow : 0) + foot;
}
