import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { Kernel, use } from "@vdc-os/core/kernel";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import { MemoryStateStore } from "@vdc-os/ready/state";
import { expect, it } from "vitest";
import plugin from "../src/index.ts";
import { FakeNic } from "./fake-nic.ts";
import { SpawnedHost } from "./spawned-host.ts";
import { testSpec } from "./switch-cluster.ts";

it("serves VMs from real processes, which outlive kill -9 and the manager", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "vdc-sw-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const hosts = ["a", "b"].map((host) => stack.use(new SpawnedHost(host, directory)));
  const store = new MemoryStateStore();
  const start = async (): Promise<Kernel> => {
    const kernel = new Kernel({
      plugins: [use(plugin, { config: { name: "net", datacenter: "dc-1", checkIntervalMs: 200 } })],
    });
    kernel.provide(stateStore, "state", new MemoryStateStore({ disk: store.disk }));
    for (const host of hosts) kernel.provide(hostRuntime, host.host, host);
    await kernel.start();
    return kernel;
  };
  let kernel = await start();
  stack.defer(async () => void (await kernel.stop()));
  let network = kernel.get(distributedSwitch, "net");
  await network.applySwitch({ spec: testSpec(["a", "b"]), generation: 1 });
  const linksUp = async (): Promise<void> => {
    for await (const item of network.watchSwitch({ switchId: "sw" })) {
      if (item.type === "resync") continue;
      const { members, ports } = item.object;
      if (!members.every(({ state, detail }) => state === "up" && detail === "")) continue;
      if (ports.every(({ link }) => link === "up")) return;
    }
  };
  await linksUp();
  const nics: FakeNic[] = [];
  for (const [index, host] of ["a", "b"].entries()) {
    const mac = `52:54:00:00:03:0${index}`;
    const { attachment } = await network.connectPort({
      switchId: "sw",
      portGroup: "red",
      portKey: `nic-${index}`,
      host,
      mac,
      generation: 1,
    });
    if (attachment.kind !== "qemu-stream") throw new Error("another attachment");
    nics.push(stack.use(await FakeNic.listen(attachment.path, mac)));
  }
  const [one, two] = nics as [FakeNic, FakeNic];
  // Not the VM's end: it is connected before the switch's end knows it.
  await linksUp();
  one.say("hello", "all");
  await two.heard("hello");

  await kernel.stop();
  expect(await hosts[0]?.listProcesses()).toMatchObject([{ processId: "switch-net", owner: { datacenter: "dc-1" } }]);
  hosts[0]?.kill("SIGKILL");
  await one.until(({ connections, connected }) => connections >= 2 && connected);
  one.say("without a manager", "all");
  await two.heard("without a manager");

  kernel = await start();
  network = kernel.get(distributedSwitch, "net");
  await linksUp();
  expect(two.connections).toBe(1);
  two.say("and back", one);
  await one.heard("and back");
  const [statistics] = await network.portStatistics({ switchId: "sw", portKeys: ["nic-1"] });
  expect(statistics).toMatchObject({ framesIn: "1", framesOut: "2" });
});
