import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { Kernel, use } from "@vdc-os/core/kernel";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { type StartedHostRuntime, startHostRuntime } from "@vdc-os/host";
import stateStorePlugin from "@vdc-os/plugin-sqlite-state-store";
import { expect, it } from "vitest";
import plugin from "../src/index.ts";
import { FakeNic } from "./fake-nic.ts";
import { testSpec } from "./switch-cluster.ts";

it("serves VMs from processes of real hosts, which outlive kill -9 and the manager", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "vdc-sw-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const hosts: StartedHostRuntime[] = [];
  for (const hostId of ["a", "b"]) {
    const host = await startHostRuntime({ directory: join(directory, hostId), hostId, firstBackOffMs: 20 });
    stack.defer(() => host.close({ removeProcesses: true }));
    hosts.push(host);
  }
  const start = async (): Promise<Kernel> => {
    const kernel = new Kernel({
      plugins: [
        use(stateStorePlugin, { config: { path: join(directory, "state.db") } }),
        use(plugin, { config: { name: "net", datacenter: "dc-1", checkIntervalMs: 200 } }),
      ],
    });
    for (const { hostId, runtime } of hosts) kernel.provide(hostRuntime, hostId, runtime);
    await kernel.start();
    return kernel;
  };
  const kernel = await start();
  stack.defer(async () => void (await kernel.stop()));
  const network = kernel.get(distributedSwitch, "net");
  await network.applySwitch({ spec: testSpec(["a", "b"]), generation: 1 });
  await linksUp();
  expect(two.connections).toBe(1);
  two.say("and back", one);
  await one.heard("and back");
  const [statistics] = await network.portStatistics({ switchId: "sw", portKeys: ["nic-1"] });
  expect(statistics).toMatchObject({ framesIn: "1", framesOut: "2" });
});
