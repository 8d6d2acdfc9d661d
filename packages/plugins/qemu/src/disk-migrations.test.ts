import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { createOperationContext } from "@vdc-os/core";
import type { DiskMigration, Vm } from "@vdc-os/core/compute/v1";
import { connectQmp } from "@vdc-os/qmp";
import { describe, expect, onTestFinished, test } from "vitest";
import { guestImage, guestSpec, lacksQemu } from "../test/guest.ts";
import { serveDisk, type ServedDisk } from "../test/served-disk.ts";
import { consoleLine, operation, TestHost } from "../test/test-host.ts";
import { monitorCall } from "./mirror-job.ts";
import type { QemuHypervisor } from "./qemu-hypervisor.ts";

const sizeBytes = 32 << 20;
const diskId = "disk0";

interface Scene {
  readonly host: TestHost;
  hypervisor: QemuHypervisor;
  readonly vm: Vm;
  readonly source: ServedDisk;
  readonly target: ServedDisk;
  facet(): NonNullable<QemuHypervisor["facets"]["storageMigration"]>;
}

/** A VM on a disk, and a volume that it can move to. */
async function makeScene(signal: AbortSignal): Promise<Scene> {
  const host = await TestHost.create();
  onTestFinished(() => host.dispose());
  const hypervisor = await host.open();
  const serve = async (name: string): Promise<ServedDisk> => {
    const disk = await serveDisk(host.socket(name), sizeBytes);
    onTestFinished(() => disk.close());
    return disk;
  };
  const source = await serve("a.nbd");
  const target = await serve("b.nbd");
  source.content.fill(0x5a, 8 << 20, 12 << 20);
  target.content.fill(0xff, 0, 1 << 20);
  const disks = [{ id: diskId, readOnly: false, transport: source.transport }];
  const spec = guestSpec(await guestImage(), "", { disks });
  const { vmId } = await hypervisor.createVm({ name: "web", spec }, operation());
  const vm = await hypervisor.startVm({ vmId, generation: 1 }, operation());
  await consoleLine(hypervisor, vmId, /^VDC-READY/, signal);
  const scene: Scene = {
    host,
    hypervisor,
    vm,
    source,
    target,
    facet() {
      const { storageMigration } = scene.hypervisor.facets;
      if (storageMigration === undefined) throw new Error("the facet is absent");
      return storageMigration;
    },
  };
  return scene;
}

/** Runs a command in the guest and waits for the line that it ends with. */
async function type(scene: Scene, command: string, pattern: RegExp, signal: AbortSignal): Promise<string> {
  await scene.hypervisor.writeConsole({ vmId: scene.vm.vmId, text: `${command}\n` }, operation());
  return consoleLine(scene.hypervisor, scene.vm.vmId, pattern, signal);
}

async function until(scene: Scene, migrationId: string, state: DiskMigration["state"]): Promise<DiskMigration> {
  const { vmId } = scene.vm;
  for (const giveUp = performance.now() + 20_000; ; await sleep(20)) {
    const now = await scene.facet().diskMigrationStatus({ vmId, diskId, migrationId }, operation());
    if (now.state === state) return now;
    if (performance.now() > giveUp) throw new Error(`it is ${now.state}: ${now.message}`);
  }
}

const ref = (scene: Scene, migrationId: string) => ({ vmId: scene.vm.vmId, generation: 1, diskId, migrationId });
const writer =
  "i=0; while [ ! -f /stop ]; do i=$((i+1)); head -c 65536 /dev/urandom | dd of=/dev/vda bs=65536 seek=$((i % 400)) conv=notrunc,fsync 2>/dev/null; done & echo GOES";
const digest = "touch /stop; wait; sleep 0.3; sync; echo 3 >/proc/sys/vm/drop_caches; sha256sum /dev/vda";
const sha256 = (content: Buffer): string => createHash("sha256").update(content).digest("hex");

describe.skipIf(lacksQemu())("a disk that moves while its guest writes", () => {
  test("has every write, also when the host's runtime is opened anew in between", async ({ signal }) => {
    const scene = await makeScene(signal);
    const { vmId } = scene.vm;
    await type(scene, writer, /^GOES/, signal);
    const before = scene.source.writes;
    const begun = await scene
      .facet()
      .startDiskMigration({ ...ref(scene, "m1"), target: scene.target.transport }, operation());
    expect(begun).toMatchObject({ migrationId: "m1", diskId });
    scene.hypervisor = await scene.host.open();
    const ready = await until(scene, "m1", "ready");
    expect(ready.totalBytes).toBeGreaterThanOrEqual(4 << 20);
    expect(ready.copiedBytes).toBe(ready.totalBytes);
    expect(scene.source.writes).toBeGreaterThan(before);
    const done = await scene.facet().completeDiskMigration(ref(scene, "m1"), operation());
    expect(done.state).toBe("done");
    const frozen = scene.source.writes;
    const found = await type(scene, digest, /^[0-9a-f]{64} /, signal);
    expect(found.slice(0, 64)).toBe(sha256(scene.target.content));
    expect(scene.source.writes).toBe(frozen);
    const vm = await scene.hypervisor.getVm({ vmId }, operation());
    expect(vm).toMatchObject({ state: "running", startedAt: scene.vm.startedAt });
    expect(vm.spec.disks[0]?.transport).toEqual(scene.target.transport);

    // Again, and later: the same answer, and the same disk.
    expect(await scene.facet().completeDiskMigration(ref(scene, "m1"), operation())).toEqual(done);
    const cancel = scene.facet().cancelDiskMigration(ref(scene, "m1"), operation());
    await expect(cancel).rejects.toMatchObject({ reason: "VDC_MIGRATION_DONE" });
    await scene.source.close();
    await scene.hypervisor.stopVm({ vmId, mode: "hard" }, operation());
    const again = await scene.hypervisor.startVm({ vmId, generation: 2 }, operation());
    expect(again.state).toBe("running");
  });

  test("is switched by the next runtime, when the one before was killed in the middle of that", async ({ signal }) => {
    const scene = await makeScene(signal);
    const { vmId } = scene.vm;
    await scene.facet().startDiskMigration({ ...ref(scene, "m1"), target: scene.target.transport }, operation());
    await until(scene, "m1", "ready");
    await scene.hypervisor.close();
    // What a runtime has done that was killed before it could record the switch.
    const monitor = await connectQmp(scene.host.socket(`${vmId}.qmp`), { timeoutMs: 5_000 });
    const [job] = await monitor.execute("query-jobs");
    await monitorCall(monitor, "job-complete", { id: job?.id });
    for (let status = ""; status !== "pending"; await sleep(10)) {
      status = (await monitor.execute("query-jobs"))[0]?.status ?? "gone";
      expect(status).not.toBe("gone");
    }
    monitor.close();
    scene.hypervisor = await scene.host.open();
    const found = await type(
      scene,
      "echo hello | dd of=/dev/vda conv=notrunc,fsync 2>/dev/null; echo WROTE",
      /^WROTE/,
      signal,
    );
    expect(found).toBe("WROTE");
    expect((await until(scene, "m1", "done")).message).toBe("");
    expect(scene.target.content.toString("latin1", 0, 5)).toBe("hello");
    expect(scene.source.content.toString("latin1", 0, 5)).not.toBe("hello");
  });

  test("stays where it was when that is cancelled, and can move later", async ({ signal }) => {
    const scene = await makeScene(signal);
    const { vmId } = scene.vm;
    await type(scene, writer, /^GOES/, signal);
    const start = (migrationId: string): Promise<DiskMigration> =>
      scene.facet().startDiskMigration({ ...ref(scene, migrationId), target: scene.target.transport }, operation());
    await start("m1");
    await expect(start("m2")).rejects.toMatchObject({ reason: "VDC_DISK_MIGRATING" });
    await scene.facet().cancelDiskMigration(ref(scene, "m1"), operation());
    await scene.facet().cancelDiskMigration(ref(scene, "m1"), operation());
    expect((await start("m1")).state).toBe("cancelled");
    expect((await scene.hypervisor.getVm({ vmId }, operation())).state).toBe("running");
    // In every moment of a copy, and of a copy that is ready.
    for (let round = 0; round < (process.env.VDC_DEEP ? 500 : 10); round++) {
      await start(`again-${round}`);
      await sleep((round * 13) % 130);
      await scene.facet().cancelDiskMigration(ref(scene, `again-${round}`), operation());
    }
    const frozen = scene.target.writes;
    const found = await type(scene, digest, /^[0-9a-f]{64} /, signal);
    expect(found.slice(0, 64)).toBe(sha256(scene.source.content));
    expect(scene.target.writes).toBe(frozen);
    await start("m2");
    await until(scene, "m2", "ready");
    await scene.facet().completeDiskMigration(ref(scene, "m2"), operation());
    expect(scene.target.content.equals(scene.source.content)).toBe(true);
    expect((await scene.hypervisor.getVm({ vmId }, operation())).spec.disks[0]?.transport).toEqual(
      scene.target.transport,
    );
  });

  test("stays where it was when the target fails, and its guest goes on", async ({ signal }) => {
    const scene = await makeScene(signal);
    await type(scene, writer, /^GOES/, signal);
    await scene.facet().startDiskMigration({ ...ref(scene, "m1"), target: scene.target.transport }, operation());
    scene.target.fail();
    expect((await until(scene, "m1", "failed")).message).toBe("a volume reported an error ('failed')");
    const found = await type(scene, digest, /^[0-9a-f]{64} /, signal);
    expect(found.slice(0, 64)).toBe(sha256(scene.source.content));
    const { vmId } = scene.vm;
    expect((await scene.hypervisor.getVm({ vmId }, operation())).spec.disks[0]?.transport).toEqual(
      scene.source.transport,
    );
  });

  test("stays where it was when the VM ends, or the target can't be had", async ({ signal }) => {
    const scene = await makeScene(signal);
    const { vmId } = scene.vm;
    const unreachable = {
      ...scene.target.transport,
      path: scene.host.socket("none.nbd"),
    } as typeof scene.target.transport;
    const none = scene.facet().startDiskMigration({ ...ref(scene, "m0"), target: unreachable }, operation());
    await expect(none).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "VDC_DISK_UNREACHABLE" });
    const status = scene.facet().diskMigrationStatus({ vmId, diskId, migrationId: "m0" }, operation());
    await expect(status).rejects.toMatchObject({ code: "NOT_FOUND" });
    const small = await serveDisk(scene.host.socket("c.nbd"), 1 << 20);
    onTestFinished(() => small.close());
    await scene
      .facet()
      .startDiskMigration({ ...ref(scene, "m1"), target: small.transport }, operation())
      .catch((error: unknown) => expect(error).toMatchObject({ code: "FAILED_PRECONDITION" }));
    await scene.facet().startDiskMigration({ ...ref(scene, "m2"), target: scene.target.transport }, operation());
    await until(scene, "m2", "ready");
    await scene.hypervisor.stopVm({ vmId, mode: "hard" }, operation());
    expect((await until(scene, "m2", "failed")).message).toBe("the VM ended: stopped");
    const vm = await scene.hypervisor.getVm({ vmId }, operation());
    expect(vm.spec.disks[0]?.transport).toEqual(scene.source.transport);
    const start = (): Promise<DiskMigration> =>
      scene.facet().startDiskMigration({ ...ref(scene, "m3"), target: scene.target.transport }, operation());
    await expect(start()).rejects.toMatchObject({ reason: "VDC_VM_NOT_RUNNING" });
    await scene.hypervisor.stopVm({ vmId, mode: "hard", generation: 2 }, operation());
    await expect(start()).rejects.toMatchObject({ reason: "VDC_FENCED" });
  });
});

describe.skipIf(lacksQemu())("a disk that grows", () => {
  test("is seen to by its guest, which goes on to write", async ({ signal }) => {
    const scene = await makeScene(signal);
    const { vmId } = scene.vm;
    const { diskResize } = scene.hypervisor.facets;
    await type(scene, writer, /^GOES/, signal);
    scene.source.grow(2 * sizeBytes);
    const size = { vmId, generation: 1, diskId, capacityBytes: 2 * sizeBytes };
    await diskResize?.resizeDisk(size, operation());
    await diskResize?.resizeDisk(size, operation());
    expect(await type(scene, "echo SIZE $(cat /sys/block/vda/size)", /^SIZE/, signal)).toBe("SIZE 131072");
    const found = await type(scene, digest, /^[0-9a-f]{64} /, signal);
    expect(found.slice(0, 64)).toBe(sha256(scene.source.content));
    const smaller = diskResize?.resizeDisk({ ...size, capacityBytes: sizeBytes }, operation());
    await expect(smaller).rejects.toMatchObject({ code: "OUT_OF_RANGE" });
    const larger = diskResize?.resizeDisk({ ...size, capacityBytes: 3 * sizeBytes }, operation());
    await expect(larger).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });
});

describe.skipIf(lacksQemu())("a disk that is copied", () => {
  test("is the same, whatever the target held before", async () => {
    const host = await TestHost.create();
    onTestFinished(() => host.dispose());
    const hypervisor = await host.open();
    const source = await serveDisk(host.socket("a,b.nbd"), sizeBytes);
    const target = await serveDisk(host.socket("b.nbd"), sizeBytes);
    onTestFinished(() => Promise.all([source.close(), target.close()]).then(() => undefined));
    source.content.fill(0x5a, 8 << 20, 12 << 20);
    target.content.fill(0xff, 0, 1 << 20);
    const fractions: number[] = [];
    const copy = hypervisor.facets.diskCopy?.copyDisk(
      { source: source.transport, target: target.transport },
      createOperationContext({ onProgress: ({ fraction }) => void fractions.push(fraction ?? 0) }),
    );
    await copy;
    expect(target.content.equals(source.content)).toBe(true);
    expect(fractions.at(-1)).toBe(1);
    const aborted = hypervisor.facets.diskCopy?.copyDisk(
      { source: source.transport, target: target.transport },
      operation(AbortSignal.abort(new Error("enough"))),
    );
    await expect(aborted).rejects.toThrow(/enough/);
  });
});
