import { readTag, tagVlan, UNTAGGED } from "../../src/dataplane/ethernet-frame.ts";
import { BROADCAST_MAC } from "../../src/dataplane/mac-address.ts";
import { frame } from "../engine-bench.ts";
import type { MatrixSubject, Probe, ProbeArrival } from "./matrix-subject.ts";
import { PRIMARY, PRIVATE_VLANS, TAGS } from "./random-matrix.ts";
import { type Arrival, type MatrixConfig, reaches } from "./reachability-oracle.ts";

const PRIMARIES: ReadonlyMap<number, number> = new Map([
  [PRIMARY, PRIMARY],
  ...PRIVATE_VLANS.map(({ primary, secondary }) => [secondary, primary] as const),
]);

/** What was looked at so far. */
export interface TableCount {
  tables: number;
  frames: number;
  arrivals: number;
}

/**
 * Looks at the whole table: what each port sends with each tag, to all and to each. Returns what is wrong, a line for each frame: one that
 * didn't arrive, one that did, or one that has another tag than it should.
 */
export async function wrongCells(subject: MatrixSubject, config: MatrixConfig, count: TableCount): Promise<string[]> {
  const probes: Probe[] = [];
  const expected: string[] = [];
  const add = (from: number, to: number | "all", tag: number | undefined, arrivals: readonly string[]): void => {
    probes.push({ id: probes.length, from, to, tag });
    expected.push([...arrivals].sort().join(", "));
  };
  for (const from of config.ports.keys()) {
    for (const tag of [undefined, ...TAGS]) {
      const row = reaches(config, from, tag, PRIMARIES);
      const all = [...row].map(([to, arrival]) => text(to, arrival));
      add(from, "all", tag, all);
      for (const to of config.ports.keys()) {
        const arrival = row.get(to);
        add(from, to, tag, arrival === undefined ? [] : [text(to, arrival)]);
      }
    }
  }
  const arrivals = await subject.exchange(probes);
  const seen: string[][] = probes.map(() => []);
  for (const { id, at, tag } of arrivals) seen[id]?.push(text(at, { tag }));
  count.tables += 1;
  count.frames += probes.length;
  count.arrivals += arrivals.length;
  return probes.flatMap(({ id, from, to, tag }) => {
    const got = (seen[id] ?? []).sort().join(", ");
    const wanted = expected[id];
    if (got === wanted) return [];
    return [`p${from} to ${to === "all" ? to : `p${to}`}, tag ${tag}: at [${got}], should be at [${wanted}]`];
  });
}

/** A probe's frame, between ports with these addresses. */
export function probeFrame({ id, from, to, tag }: Probe, macOf: (port: number) => number): Buffer {
  return frame(to === "all" ? BROADCAST_MAC : macOf(to), macOf(from), { id, ...(tag === undefined ? {} : { tag }) });
}

/** The probe that arrived at a port with these bytes. */
export function readProbe(at: number, bytes: Buffer): ProbeArrival {
  const control = readTag(bytes, 0, bytes.length);
  const tag = control === UNTAGGED ? undefined : tagVlan(control);
  return { id: bytes.readUInt32BE(tag === undefined ? 14 : 18), at, tag };
}

function text(at: number, { tag }: Arrival): string {
  return `p${at}${tag === undefined ? "" : ` tagged ${tag}`}`;
}
