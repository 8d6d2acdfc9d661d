import fc from "fast-check";
import { expect, it } from "vitest";
import { readTag, tagVlan, UNTAGGED } from "../../src/dataplane/ethernet-frame.ts";
import { BROADCAST_MAC } from "../../src/dataplane/mac-address.ts";
import { frame, nic } from "../engine-bench.ts";
import { EngineMesh } from "./engine-mesh.ts";
import { change, PRIMARY, PRIVATE_VLANS, randomChanges, randomMatrix, TAGS } from "./random-matrix.ts";
import { type Arrival, type MatrixConfig, reaches } from "./reachability-oracle.ts";

const PRIMARIES = new Map([
  [PRIMARY, PRIMARY],
  ...PRIVATE_VLANS.map(({ primary, secondary }) => [secondary, primary] as const),
]);

function asText(to: number, { tag }: Arrival): string {
  return `p${to}${tag === undefined ? "" : ` tagged ${tag}`}`;
}

/** The whole table: for each port and each tag, to all and to each. Returns what is wrong, one line per frame. */
function wrongCells(mesh: EngineMesh, config: MatrixConfig, count: { frames: number; arrivals: number }): string[] {
  const wrong: string[] = [];
  const probe = (from: number, to: number | "all", tag: number | undefined, expected: readonly string[]): void => {
    const bytes = frame(to === "all" ? BROADCAST_MAC : nic(to), nic(from), tag === undefined ? {} : { tag });
    const arrived = mesh.send(from, bytes).map(({ to: at, bytes: each }) => {
      const control = readTag(each, 0, each.length);
      return asText(at, { tag: control === UNTAGGED ? undefined : tagVlan(control) });
    });
    count.frames += 1;
    count.arrivals += arrived.length;
    const [got, wanted] = [arrived.sort().join(", "), [...expected].sort().join(", ")];
    if (got !== wanted) {
      wrong.push(`p${from} to ${to === "all" ? to : `p${to}`}, tag ${tag}: at [${got}], should be at [${wanted}]`);
    }
  };
  for (const from of config.ports.keys()) {
    for (const tag of [undefined, ...TAGS]) {
      const row = reaches(config, from, tag, PRIMARIES);
      probe(
        from,
        "all",
        tag,
        [...row].map(([to, arrival]) => asText(to, arrival)),
      );
      for (const to of config.ports.keys()) {
        const arrival = row.get(to);
        probe(from, to, tag, arrival === undefined ? [] : [asText(to, arrival)]);
      }
    }
  }
  return wrong;
}

it("reaches whom the configuration says, and nobody else, before and after every change", () => {
  const options = { ports: 12, hosts: 3 };
  const count = { frames: 0, arrivals: 0 };
  let tables = 0;
  fc.assert(
    fc.property(randomMatrix(options), randomChanges(options), (initial, changes) => {
      const mesh = new EngineMesh({ hosts: options.hosts, privateVlans: PRIVATE_VLANS });
      let config = initial;
      mesh.apply(config);
      expect(wrongCells(mesh, config, count)).toEqual([]);
      tables += 1;
      for (const each of changes) {
        config = change(config, each);
        mesh.apply(config);
        expect(wrongCells(mesh, config, count)).toEqual([]);
        tables += 1;
      }
      mesh.checkCounters();
    }),
    { seed: 41, numRuns: process.env.VDC_DEEP ? 5_000 : 150 },
  );
  console.log(
    `reachability: ${tables} tables of 12 × 12 ports × 8 tags, ${count.frames} frames sent, ${count.arrivals} arrived`,
  );
  expect(count.arrivals).toBeGreaterThan(count.frames / 20);
});
