import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Datacenter, type DatacenterMode, isConditionTrue, readyCondition } from "@vdc-os/sdk";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeBootDisk } from "../datacenter/boot-disk.ts";
import { missingPrograms } from "@vdc-os/testing";
import { openRealDatacenter } from "../datacenter/open-real-datacenter.ts";
import { type DatacenterProcess, findProcesses, findSockets, killProcess } from "../datacenter/owned-processes.ts";
import { patienceMs } from "../datacenter/patience.ts";

const skip = missingPrograms(["qemu-system-x86_64"], "what becomes of VMs without their manager is not tested");

describe.skipIf(skip)("a manager that is killed", () => {
  let base: string;
  let manager: ChildProcess | undefined;
  let dc: Datacenter | undefined;

  const open = (mode: DatacenterMode): Promise<Datacenter> =>
    openRealDatacenter({ directory: join(base, "dc"), outside: join(base, "o"), virtualMachines: true, mode });
  const processes = async (what: DatacenterProcess["what"]): Promise<readonly number[]> =>
    (await findProcesses(join(base, "dc"))).filter((found) => found.what === what).map(({ pid }) => pid);

  /** Has a manager start a VM, and kills it. */
  async function startAndKill(mode: DatacenterMode): Promise<void> {
    const entry = fileURLToPath(new URL("./doomed-manager.ts", import.meta.url));
    const child = spawn(process.execPath, [entry, join(base, "dc"), join(base, "o"), mode], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    manager = child;
    const exit = once(child, "exit");
    await Promise.race([
      once(child.stdout, "data"),
      exit.then(() => {
        throw new Error("the manager ended by itself");
      }),
    ]);
    child.kill("SIGKILL");
    await exit;
  }

  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), "vl"));
    await mkdir(join(base, "o"));
    await writeFile(join(base, "o", "golden.raw"), makeBootDisk("golden"));
  });

  afterEach(async () => {
    manager?.kill("SIGKILL");
    await dc?.destroy();
    dc = undefined;
    const left = await findProcesses(base);
    for (const { pid } of left) killProcess(pid);
    const sockets = await findSockets(base);
    await rm(base, { recursive: true, force: true });
    expect(left).toEqual([]);
    expect(sockets).toEqual([]);
  });

  test("leaves the VMs of a durable datacenter running, and the next one adopts them", async () => {
    await startAndKill("durable");
    const [before, ...more] = await processes("qemu");
    expect(before).toBeDefined();
    expect(more).toEqual([]);
    dc = await open("durable");
    await until(async () => isConditionTrue((await dc?.vms.get("vm"))?.conditions ?? [], readyCondition, 1));
    // The guest was never interrupted: what it writes goes on, from its first letter.
    await dc.vms.waitForConsole("vm", /(abcdefghijklmnopqrstuvwxyz){2}/, { timeoutMs: patienceMs });
    expect(await processes("qemu")).toEqual([before]);
    // Nor does it hold on to anything that its manager must have.
    await dc.vms.deleteAndWait("vm", { timeoutMs: patienceMs });
    expect(await processes("qemu")).toEqual([]);
  });

  test("takes the hosts of an ephemeral datacenter with it, after a while", async () => {
    await startAndKill("ephemeral");
    expect(await processes("qemu")).toHaveLength(1);
    await until(async () => (await findProcesses(join(base, "dc"))).length === 0);
    dc = await open("ephemeral");
    expect(await dc.vms.list()).toEqual([]);
    expect(await dc.volumes.list()).toEqual([]);
    expect(await readdir(join(base, "dc", "pool", "volumes"))).toEqual([]);
  });

  test("leaves nothing in an ephemeral datacenter that the next one finds, however soon it comes", async () => {
    await startAndKill("ephemeral");
    const before = await processes("runtime");
    dc = await open("ephemeral");
    expect(await processes("qemu")).toEqual([]);
    for (const pid of await processes("runtime")) expect(before).not.toContain(pid);
    expect(await dc.vms.list()).toEqual([]);
    expect(await dc.volumes.list()).toEqual([]);
  });
});

/** Waits until something is so. It is asked again after each pause, since what it asks for can't be awaited. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const giveUp = performance.now() + patienceMs;
  while (!(await isSo())) {
    if (performance.now() > giveUp) throw new Error(`it did not come true within ${patienceMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
