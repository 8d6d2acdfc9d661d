import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { VmSpec } from "@vdc-os/core/compute/v1";
import { describe, expect, onTestFinished, test } from "vitest";
import { guestImage, guestSpec, lacksQemu } from "../test/guest.ts";
import { spawnRuntime } from "../test/spawn-runtime.ts";
import { consoleLine, operation, TestHost } from "../test/test-host.ts";
import { findVmProcesses } from "./process-table.ts";

/** The moments between two steps of creating, starting, stopping and deleting a VM. */
const moments: readonly string[] = [
  // 1: defined. 2: the start is intended. 3: the process is known. 4: the CPUs run. 5: the stop is intended. 6: it is off.
  ...[1, 2, 3, 4, 5, 6].map((count) => `record:${count}:after`),
  ...[3, 4, 6].map((count) => `record:${count}:before`),
  "spawn:1:after",
  // 3: the record. 5: the sockets. 6: the folder.
  ...[3, 5, 6].map((count) => `remove:${count}:after`),
];

function runRuntime(host: TestHost, spec: VmSpec, moment?: string): ChildProcess {
  const child = spawnRuntime(host, { spec, ...(moment === undefined ? {} : { moment }) });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

describe.skipIf(lacksQemu())("a runtime that is killed", () => {
  test("leaves its VM running, and the next one goes on with it", async ({ signal }) => {
    const host = await TestHost.create();
    onTestFinished(() => host.dispose());
    const child = runRuntime(host, guestSpec(await guestImage()));
    const over = new AbortController();
    child.once("exit", () => over.abort(new Error("the runtime ended by itself")));
    const [line] = await once(child.stdout!.setEncoding("utf8"), "data", { signal: over.signal });
    const vmId = String(line).trim();
    child.kill("SIGKILL");
    await once(child, "exit");

    const before = await findVmProcesses(host.directory);
    expect(before).toHaveLength(1);
    const hypervisor = await host.open();
    expect(await hypervisor.getVm({ vmId }, operation())).toMatchObject({ state: "running", generation: 1 });
    expect(await findVmProcesses(host.directory)).toEqual(before);
    await consoleLine(hypervisor, vmId, /^VDC-READY/, signal);
    await hypervisor.writeConsole({ vmId, text: "echo still here\n" }, operation());
    await consoleLine(hypervisor, vmId, /^still here$/, signal);
    expect((await hypervisor.stopVm({ vmId, mode: "guest" }, operation(signal))).state).toBe("off");
    expect(await findVmProcesses(host.directory)).toEqual([]);
  });

  test.each(moments)("at '%s' leaves no QEMU that nothing knows of, and never two", async (moment) => {
    const host = await TestHost.create();
    onTestFinished(() => host.dispose());
    const spec = guestSpec(await guestImage());
    const child = runRuntime(host, spec, moment);
    const [, signal] = await once(child, "exit");
    expect(signal, "the moment must come").toBe("SIGKILL");

    const hypervisor = await host.open();
    const [found] = (await hypervisor.listVms({}, operation())).items;
    if (found !== undefined) expect(["off", "running"]).toContain(found.state);
    expect(await findVmProcesses(host.directory)).toHaveLength(found?.state === "running" ? 1 : 0);

    const { vmId } = await hypervisor.createVm({ name: "web", spec }, operation());
    if (found !== undefined) expect(vmId).toBe(found.vmId);
    expect((await hypervisor.startVm({ vmId, generation: 1 }, operation())).state).toBe("running");
    expect(await findVmProcesses(host.directory)).toHaveLength(1);
    await hypervisor.stopVm({ vmId, mode: "hard" }, operation());
    await hypervisor.deleteVm({ vmId }, operation());
    expect(await findVmProcesses(host.directory)).toEqual([]);
  });
});
