import type { PortSetting, SwitchSpec, VlanSetting } from "@vdc-os/core/network/v1";
import type { FieldMatch } from "@vdc-os/openflow";
import { maskedRange } from "./value-ranges.ts";

/** VLANs from one to another, both included; 0 is the untagged network. */
export interface Segment {
  readonly from: number;
  readonly to: number;
  /** Whether the VM's frames have the tag. */
  readonly tagged: boolean;
}

/** Which VLANs a port sends in and gets frames of. */
export interface PortVlans {
  readonly sends: readonly Segment[];
  readonly receives: readonly Segment[];
}

/** The secondary VLANs of each primary one, of a whole switch. */
export type PrivateVlans = ReadonlyMap<number, readonly number[]>;

/** The private VLANs that any port of a switch can be in. */
export function privateVlansOf(spec: SwitchSpec, own: readonly (PortSetting | undefined)[]): PrivateVlans {
  const found = new Map<number, Set<number>>();
  for (const setting of [...spec.portGroups.map((group) => group.setting), ...own]) {
    if (setting?.vlan.kind !== "pvlan" || setting.vlan.role === "promiscuous") continue;
    const { primary, secondary } = setting.vlan;
    found.set(primary, (found.get(primary) ?? new Set()).add(secondary));
  }
  return new Map([...found].map(([primary, secondaries]) => [primary, [...secondaries]]));
}

/** What a port's setting says about VLANs. */
export function vlansOf(vlan: VlanSetting, privateVlans: PrivateVlans): PortVlans {
  const untagged = (id: number): Segment => ({ from: id, to: id, tagged: false });
  switch (vlan.kind) {
    case "none":
      return { sends: [untagged(0)], receives: [untagged(0)] };
    case "access":
      return { sends: [untagged(vlan.id)], receives: [untagged(vlan.id)] };
    case "trunk": {
      const listed = merged(vlan.ranges);
      const { native } = vlan;
      const carriesNative = native !== undefined && listed.some(({ from, to }) => from <= native && native <= to);
      const tagged = (without?: number): readonly Segment[] =>
        listed.flatMap(({ from, to }) => {
          const parts =
            without === undefined || without < from || without > to
              ? [{ from, to }]
              : [
                  { from, to: without - 1 },
                  { from: without + 1, to },
                ];
          return parts.filter((part) => part.from <= part.to).map((part) => ({ ...part, tagged: true }));
        });
      return {
        sends: [...tagged(), ...(carriesNative ? [untagged(native)] : [])],
        receives: [...tagged(carriesNative ? native : undefined), ...(carriesNative ? [untagged(native)] : [])],
      };
    }
    case "pvlan": {
      const { primary, secondary, role } = vlan;
      const others =
        role === "promiscuous" ? (privateVlans.get(primary) ?? []) : role === "community" ? [secondary] : [];
      return {
        sends: [untagged(role === "promiscuous" ? primary : secondary)],
        receives: [primary, ...others].map(untagged),
      };
    }
  }
}

/** Matches for the frames of these VLANs, within the switch. */
export function vlanMatches({ from, to }: { readonly from: number; readonly to: number }): readonly FieldMatch[] {
  if (to === 0) return [{ field: "vlanVid", value: 0n }];
  return maskedRange(from, to, 12).map(({ value, mask }) => ({
    field: "vlanVid",
    value: BigInt(0x1000 | value),
    mask: BigInt(0x1000 | mask),
  }));
}

/** What is the same throughout: these VLANs, and the items whose segments hold them. */
export interface SharedVlans<T> {
  readonly from: number;
  readonly to: number;
  readonly items: readonly { readonly item: T; readonly tagged: boolean }[];
}

/** Cuts the VLANs of many items so that each part is held by the same items throughout. */
export function sharedVlans<T>(
  all: readonly { readonly item: T; readonly segments: readonly Segment[] }[],
): readonly SharedVlans<T>[] {
  const single = new Map<number, { readonly item: T; readonly tagged: boolean }[]>();
  const wide: { readonly item: T; readonly segment: Segment }[] = [];
  const edges = new Set<number>();
  for (const { item, segments } of all) {
    for (const segment of segments) {
      edges.add(segment.from).add(segment.to + 1);
      if (segment.from !== segment.to) {
        wide.push({ item, segment });
        continue;
      }
      const there = single.get(segment.from) ?? [];
      there.push({ item, tagged: segment.tagged });
      single.set(segment.from, there);
    }
  }
  const sorted = [...edges].sort((a, b) => a - b);
  return sorted.slice(0, -1).flatMap((from, at) => {
    const to = (sorted[at + 1] ?? from + 1) - 1;
    const items = [
      ...(single.get(from) ?? []),
      ...wide
        .filter(({ segment }) => segment.from <= from && to <= segment.to)
        .map(({ item, segment }) => ({ item, tagged: segment.tagged })),
    ];
    return items.length === 0 ? [] : [{ from, to, items }];
  });
}

function merged(
  ranges: readonly { readonly from: number; readonly to: number }[],
): readonly { from: number; to: number }[] {
  const found: { from: number; to: number }[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = found.at(-1);
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to);
    else if (from <= to) found.push({ from, to });
  }
  return found;
}
