import fc from "fast-check";
import { expect, it } from "vitest";
import { DataPlaneMesh } from "./data-plane-mesh.ts";
import { EngineMesh } from "./engine-mesh.ts";
import type { MatrixSubject } from "./matrix-subject.ts";
import { change, type MatrixChange, PRIVATE_VLANS, randomChanges, randomMatrix } from "./random-matrix.ts";
import type { MatrixConfig } from "./reachability-oracle.ts";
import { type TableCount, wrongCells } from "./truth-table.ts";

async function check(
  subject: MatrixSubject,
  { initial, changes }: { readonly initial: MatrixConfig; readonly changes: readonly MatrixChange[] },
  count: TableCount,
): Promise<void> {
  let config = initial;
  await subject.apply(config);
  expect(await wrongCells(subject, config, count)).toEqual([]);
  for (const each of changes) {
    config = change(config, each);
    await subject.apply(config);
    expect(await wrongCells(subject, config, count)).toEqual([]);
  }
  await subject.checkCounters();
}

function report(name: string, ports: number, { tables, frames, arrivals }: TableCount): void {
  console.log(
    `${name}: ${tables} tables of ${ports} × ${ports} ports × 8 tags, ${frames} frames sent, ${arrivals} arrived`,
  );
  // Otherwise agreement would mean that nothing gets anywhere.
  expect(arrivals).toBeGreaterThan(frames / 20);
}

it("reaches whom the configuration says, and nobody else, before and after every change", async () => {
  const options = { ports: 12, hosts: 3 };
  const count = { tables: 0, frames: 0, arrivals: 0 };
  await fc.assert(
    fc.asyncProperty(randomMatrix(options), randomChanges(options), async (initial, changes) => {
      const mesh = new EngineMesh({ hosts: options.hosts, privateVlans: PRIVATE_VLANS });
      await check(mesh, { initial, changes }, count);
    }),
    { seed: 41, numRuns: process.env.VDC_DEEP ? 3_000 : 120 },
  );
  report("engines on three hosts", options.ports, count);
});

it("does so with NICs on sockets and VXLAN between the hosts", async () => {
  const options = { ports: 6, hosts: 2 };
  const count = { tables: 0, frames: 0, arrivals: 0 };
  await fc.assert(
    fc.asyncProperty(randomMatrix(options), randomChanges(options), async (initial, changes) => {
      await using mesh = await DataPlaneMesh.start({ ...options, privateVlans: PRIVATE_VLANS });
      await check(mesh, { initial, changes }, count);
    }),
    { seed: 42, numRuns: process.env.VDC_DEEP ? 600 : 40 },
  );
  report("data planes on two hosts", options.ports, count);
});
