import { createOperationContext } from "@vdc-os/core";
import { hypervisor } from "@vdc-os/core/compute/v1";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { createTestClock } from "@vdc-os/core/testing";
import { describe, expect, it } from "vitest";
import { SimulatedWorld } from "../world/simulated-world.ts";
import { simulatedHost } from "./simulated-host.ts";

const context = createOperationContext();
const signal = new AbortController().signal;
const boot = { kind: "kernel", kernel: "/none", commandLine: "" } as const;

function stamp(datacenter: string) {
  return { datacenter, tenant: "default", kind: "VirtualMachine", name: "web", uid: "u" };
}

function create() {
  const world = new SimulatedWorld({ clock: createTestClock() });
  const link = simulatedHost({ world, name: "host-1" });
  const open = (options: { readonly ephemeral?: boolean } = {}) =>
    link.open({ datacenter: "dc-1", directory: "/none", ephemeral: options.ephemeral ?? false, signal });
  const run = async (name: string, datacenter: string): Promise<void> => {
    const spec = { cpus: 1, memoryBytes: 1 << 20, boot, disks: [], nics: [] };
    const { vmId } = await world.hypervisor("host-1").createVm({ name, spec, owner: stamp(datacenter) }, context);
    await world.hypervisor("host-1").startVm({ vmId, generation: 1 }, context);
  };
  const names = async (): Promise<readonly string[]> =>
    (await world.hypervisor("host-1").listVms({}, context)).items.map(({ name, state }) => `${name} ${state}`);
  return { world, link, open, run, names };
}

describe("a simulated host", () => {
  it("provides its runtime and its hypervisor under its name", async () => {
    const { open } = create();
    const connection = await open();
    expect(connection.providers()).toEqual([
      { point: "vdc.host", name: "host-1" },
      { point: "vdc.compute", name: "host-1" },
    ]);
    const inventory = await connection.provider(hostRuntime, "host-1").inventory({}, context);
    expect(inventory).toMatchObject({ hostId: "host-1", failureDomain: "host-1" });
    const { accelerator } = await connection.provider(hypervisor, "host-1").computeInventory({}, context);
    expect(accelerator.kind).toBe("simulated");
    expect(() => connection.provider(hypervisor, "host-2")).toThrowError(/provides no/);
    await connection.close({ stop: false });
    expect(await connection.closed).toBe("it was closed");
  });

  it("leaves its machines running, or takes the datacenter's away", async () => {
    const { open, run, names, link } = create();
    await run("ours", "dc-1");
    await run("theirs", "dc-2");
    await (await open()).close({ stop: false });
    expect(await names()).toEqual(["ours running", "theirs running"]);
    await (await open()).close({ stop: true });
    expect(await names()).toEqual(["theirs running"]);
    await link.sweep({ directory: "/none", datacenter: undefined });
    expect(await names()).toEqual([]);
  });

  it("takes an ephemeral datacenter's machines away when that leaves", async () => {
    const { open, run, names } = create();
    await run("ours", "dc-1");
    await (await open({ ephemeral: true })).close({ stop: false });
    expect(await names()).toEqual([]);
  });

  it("loses its machines with its power, and answers again with a new boot id", async () => {
    const { world, open, run, names } = create();
    await run("ours", "dc-1");
    const connection = await open();
    const before = await world.hostRuntime("host-1").inventory({}, context);
    world.host("host-1").fail();
    expect(await connection.closed).toContain("fail");
    await expect(names()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(open()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    world.host("host-1").restore();
    expect(await names()).toEqual(["ours off"]);
    const after = await world.hostRuntime("host-1").inventory({}, context);
    expect(after.hostId).toBe(before.hostId);
    expect(after.bootId).not.toBe(before.bootId);
  });

  it("keeps its machines when only the way to it is cut", async () => {
    const { world, open, run, names } = create();
    await run("ours", "dc-1");
    const connection = await open();
    world.host("host-1").partition();
    expect(await connection.closed).toContain("cut");
    world.host("host-1").restore();
    expect(await names()).toEqual(["ours running"]);
  });
});
