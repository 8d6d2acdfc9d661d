import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOperationContext } from "@vdc-os/core";
import type { SwitchSpec } from "@vdc-os/core/network/v1";
import { openSwitchControl } from "../../src/control/open-switch-control.ts";
import { FakeHost } from "../../test/fake-host.ts";
import { openSetting, testSpec } from "../../test/switch-cluster.ts";
import { median } from "@vdc-os/testing";
import { macText } from "../load/frames.ts";
import { MemoryStore } from "../load/memory-store.ts";
import { eventually } from "../sandbox/readiness.ts";
import type { FrameCostOptions } from "./frame-cost.ts";

/**
 * What it costs to connect a port through the provider, from the call until the host has realised it: the desired state in the store, the
 * host's configuration, its file, and the data plane. Manager and host run in this process, so that its processor time is both's.
 */
export async function connectingPorts({ rounds, quick, report }: FrameCostOptions): Promise<void> {
  const manyPorts = quick ? 2000 : 10_000;
  await connectCost(200, 20);
  const runs: { readonly few: Cost; readonly many: Cost }[] = [];
  for (let round = 0; round < Math.min(rounds, 3); round++) {
    runs.push({ few: await connectCost(100, 10), many: await connectCost(manyPorts, 1000) });
  }
  report({
    name: `CPU to connect a port: ${manyPorts} in 1,000 groups over 100`,
    bound: { atMost: 1.5 },
    ratios: runs.map(({ few, many }) => many.cpuMilliseconds / few.cpuMilliseconds),
    detail: [
      `${median(runs.map(({ many }) => many.cpuMilliseconds)).toFixed(2)} against ${median(runs.map(({ few }) => few.cpuMilliseconds)).toFixed(2)} ms a port`,
      `${(median(runs.map(({ many }) => many.milliseconds)) / 1000).toFixed(1)} s until all are realised`,
    ].join(", "),
  });
}

interface Cost {
  /** Of a port. */
  readonly cpuMilliseconds: number;
  /** Of all. */
  readonly milliseconds: number;
}

async function connectCost(ports: number, groups: number): Promise<Cost> {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "vdc-bench-connect-"));
  stack.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
  const host = stack.use(new FakeHost("a", directory));
  const aborted = new AbortController();
  const control = await openSwitchControl({
    config: { name: "net", requestTimeoutMs: 60_000 },
    store: new MemoryStore(),
    hosts: { has: (name) => name === "a", get: () => host },
    signal: aborted.signal,
  });
  stack.defer(() => control.close());
  const operation = (): ReturnType<typeof createOperationContext> => createOperationContext({ timeoutMs: 120_000 });
  const portGroups = Array.from({ length: groups }, (_, index): SwitchSpec["portGroups"][number] => ({
    key: `group-${index}`,
    name: `group-${index}`,
    binding: "ephemeral",
    setting: { ...openSetting, vlan: { kind: "access", id: 1 + index } },
  }));
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const spec = testSpec(["a"], { portGroups });
  await control.applySwitch({ spec, generation: 1 }, operation());
  const port = (index: number): Promise<unknown> =>
    control.connectPort(
      {
        switchId: spec.switchId,
        portGroup: `group-${index % groups}`,
        portKey: `port-${index}`,
        host: "a",
        mac: macText(index),
        generation: 1,
      },
      operation(),
    );
  await Promise.all(Array.from({ length: ports }, (_, index) => port(index)));
  await eventually(async () => {
    const { members } = await control.switchStatus({ switchId: spec.switchId }, operation());
    if (members.some(({ state }) => state !== "up")) throw new Error("the host has not realised all ports");
  });
  const { user, system } = process.cpuUsage(cpu);
  return { cpuMilliseconds: (user + system) / 1000 / ports, milliseconds: performance.now() - start };
}
