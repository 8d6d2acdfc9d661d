import type { DataPlaneConfig } from "../../src/dataplane/data-plane-config.ts";
import { median } from "@vdc-os/testing";
import { DataPlaneClient } from "../load/data-plane-client.ts";
import { macText } from "../load/frames.ts";
import type { FrameCostOptions } from "./frame-cost.ts";

/** Ports spread over port groups, each group a VLAN. */
function configOf(ports: number, groups: number, generation: number): DataPlaneConfig {
  return {
    generation,
    switches: [
      {
        key: "bench",
        vniBase: 4096,
        peers: [],
        ports: Array.from({ length: ports }, (_, index) => ({
          key: `port-${index}`,
          settings: { macAddress: macText(index), vlan: { kind: "access" as const, id: 1 + (index % groups) } },
        })),
      },
    ],
  };
}

/** What it costs to configure a port when there are 10,000 in 1,000 port groups, against 100 in 10; in a data plane of its own each time. */
export async function configuringPorts({ rounds, report }: FrameCostOptions): Promise<void> {
  const runs: { readonly few: PortCost; readonly many: PortCost }[] = [];
  for (let round = 0; round < rounds; round++) {
    const few = (): Promise<PortCost> => portCost(100, 10);
    const many = (): Promise<PortCost> => portCost(10_000, 1000);
    if (round % 2 === 0) runs.push({ few: await few(), many: await many() });
    else {
      const first = await many();
      runs.push({ few: await few(), many: first });
    }
  }
  const middle = (figure: (cost: PortCost) => number, side: "few" | "many"): number =>
    median(runs.map((run) => figure(run[side])));
  report({
    name: "CPU to configure a port: 10,000 in 1,000 groups over 100",
    bound: { atMost: 1.5 },
    ratios: runs.map(({ few, many }) => many.cpuMicroseconds / few.cpuMicroseconds),
    detail: [
      `${middle((cost) => cost.cpuMicroseconds, "many").toFixed(0)} against ${middle((cost) => cost.cpuMicroseconds, "few").toFixed(0)} us a port`,
      `${(middle((cost) => cost.milliseconds, "many") / 1000).toFixed(2)} s in all`,
      `${(middle((cost) => cost.bytes, "many") / 1024).toFixed(1)} KiB a port`,
    ].join(", "),
  });
}

interface PortCost {
  readonly cpuMicroseconds: number;
  readonly milliseconds: number;
  /** What a port holds in memory, in bytes. */
  readonly bytes: number;
}

async function portCost(ports: number, groups: number): Promise<PortCost> {
  await using plane = DataPlaneClient.start();
  // The first one compiles; what it leaves is not the ports'.
  await plane.apply(configOf(2000, 200, 1));
  await plane.apply(configOf(0, 1, 2));
  const before = await plane.heapBytes();
  const config = configOf(ports, groups, 3);
  const { cpuMicroseconds, milliseconds } = await plane.apply(config);
  const after = await plane.heapBytes();
  return {
    cpuMicroseconds: cpuMicroseconds / ports,
    milliseconds,
    bytes: (after - before) / ports,
  };
}
