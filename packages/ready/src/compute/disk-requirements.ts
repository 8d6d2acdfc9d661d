import type { DiskMigration, Vm } from "@vdc-os/core/compute/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  type ComputeRequirement,
  type ComputeTest,
  type ComputeVolume,
  define,
  pullPlug,
  reopen,
} from "./compute-instance.ts";

const clause = 'StorageMigrationFacet: "At every moment exactly one volume is the disk"';
const diskId = "disk0";
const capacityBytes = 4 << 20;
const longestMs = 20_000;

interface Scene {
  readonly vm: Vm;
  readonly source: ComputeVolume;
  readonly target: ComputeVolume;
  readonly content: Uint8Array;
}

async function makeVolumes(test: ComputeTest): Promise<Omit<Scene, "vm">> {
  const { makeVolume } = test.instance;
  if (makeVolume === undefined) test.skip("the factory makes no volumes");
  const [source, target] = [await makeVolume(capacityBytes), await makeVolume(capacityBytes)];
  const content = new Uint8Array(capacityBytes).fill(0x5a, 1 << 20, 3 << 20);
  await source.write(content);
  await target.write(new Uint8Array(capacityBytes).fill(0xff, 0, 2 << 20));
  return { source, target, content };
}

/** A VM that runs on a volume, and another volume. */
async function makeScene(test: ComputeTest): Promise<Scene> {
  const volumes = await makeVolumes(test);
  const disks = [{ id: diskId, transport: volumes.source.transport, readOnly: false }];
  const { vmId } = await define(test, "web", { disks });
  return { ...volumes, vm: await test.provider.startVm({ vmId, generation: 3 }, test.operation()) };
}

function ref({ vm: { vmId } }: Scene, migrationId: string) {
  return { vmId, generation: 3, diskId, migrationId };
}

function start(test: ComputeTest, scene: Scene, migrationId: string): Promise<DiskMigration> {
  const input = { ...ref(scene, migrationId), target: scene.target.transport };
  return test.facet("storageMigration").startDiskMigration(input, test.operation());
}

async function makeReady(test: ComputeTest, scene: Scene, migrationId: string): Promise<void> {
  const { clock } = test.operation();
  const giveUp = clock.monotonic() + longestMs;
  for (let now = await start(test, scene, migrationId); now.state !== "ready"; ) {
    mustEqual(now.state, "copying", "the state on the way to ready");
    must(clock.monotonic() < giveUp, "a small disk must be copied in time");
    await clock.sleep(20);
    const { generation: _, ...named } = ref(scene, migrationId);
    now = await test.facet("storageMigration").diskMigrationStatus(named, test.operation());
  }
}

async function mustBeDisk(test: ComputeTest, { vm }: Scene, volume: ComputeVolume, what: string): Promise<void> {
  const now = await test.provider.getVm({ vmId: vm.vmId }, test.operation());
  mustEqual(now.spec.disks[0]?.transport, volume.transport, what);
}

/** What moving and copying disks must do. */
export const diskRequirements: readonly ComputeRequirement[] = [
  {
    id: "compute.migration.moves",
    title:
      "a disk that was moved is the target, with all that the source held, and stays so after a power cycle; its VM was never off",
    clause,
    level: "extended",
    facet: "storageMigration",
    async run(test) {
      const scene = await makeScene(test);
      const { vmId } = scene.vm;
      await makeReady(test, scene, "m1");
      await mustBeDisk(test, scene, scene.source, "the disk before the switch");
      const done = await test.facet("storageMigration").completeDiskMigration(ref(scene, "m1"), test.operation());
      mustEqual(done.state, "done", "the state after the switch");
      await mustBeDisk(test, scene, scene.target, "the disk after the switch");
      const after = await test.provider.getVm({ vmId }, test.operation());
      mustEqual([after.state, after.startedAt], [scene.vm.state, scene.vm.startedAt], "the VM, and since when it runs");
      await pullPlug(test, vmId);
      must(Buffer.from(await scene.target.read()).equals(scene.content), "the target must hold what the source held");
      await test.provider.startVm({ vmId, generation: 4 }, test.operation());
      await mustBeDisk(test, scene, scene.target, "the disk after a power cycle");
    },
  },
  {
    id: "compute.migration.idempotent",
    title: "a migration that is started or completed again is the same one, and a disk has one at a time",
    clause: 'StorageMigrationFacet.startDiskMigration: "Calling it again returns how far the migration is"',
    level: "extended",
    facet: "storageMigration",
    async run(test) {
      const scene = await makeScene(test);
      await makeReady(test, scene, "m1");
      mustEqual((await start(test, scene, "m1")).state, "ready", "the state after it was started again");
      await mustReject(start(test, scene, "m2"), "FAILED_PRECONDITION", "starting another one");
      const facet = test.facet("storageMigration");
      const done = await facet.completeDiskMigration(ref(scene, "m1"), test.operation());
      const again = await facet.completeDiskMigration(ref(scene, "m1"), test.operation());
      mustEqual(again, done, "what completing it again returns");
    },
  },
  {
    id: "compute.migration.cancel",
    title: "a migration that is cancelled leaves the source, can be cancelled again, and can't begin again",
    clause: 'StorageMigrationFacet.cancelDiskMigration: "Stays with the source."',
    level: "extended",
    facet: "storageMigration",
    async run(test) {
      const scene = await makeScene(test);
      const facet = test.facet("storageMigration");
      await facet.cancelDiskMigration(ref(scene, "never"), test.operation());
      await start(test, scene, "m1");
      await facet.cancelDiskMigration(ref(scene, "m1"), test.operation());
      await facet.cancelDiskMigration(ref(scene, "m1"), test.operation());
      await mustBeDisk(test, scene, scene.source, "the disk after the cancel");
      mustEqual((await start(test, scene, "m1")).state, "cancelled", "the state after it was started again");
      const { state } = await test.provider.getVm({ vmId: scene.vm.vmId }, test.operation());
      mustEqual(state, "running", "the VM's state");
      await makeReady(test, scene, "m2");
    },
  },
  {
    id: "compute.migration.done",
    title: "a migration that is done can't be cancelled",
    clause: 'StorageMigrationFacet.cancelDiskMigration: "one that is `done` fails with `FAILED_PRECONDITION`"',
    level: "extended",
    facet: "storageMigration",
    async run(test) {
      const scene = await makeScene(test);
      const facet = test.facet("storageMigration");
      await makeReady(test, scene, "m1");
      await facet.completeDiskMigration(ref(scene, "m1"), test.operation());
      const cancel = facet.cancelDiskMigration(ref(scene, "m1"), test.operation());
      await mustReject(cancel, "FAILED_PRECONDITION", "cancelling it");
      await mustBeDisk(test, scene, scene.target, "the disk after that");
    },
  },
  {
    id: "compute.migration.fenced",
    title: "an owner with an older generation moves nothing",
    clause: 'DiskMigrationRef.generation: "A lower one than was seen before is fenced."',
    level: "extended",
    facet: "storageMigration",
    async run(test) {
      const scene = await makeScene(test);
      const input = { ...ref(scene, "m1"), generation: 2, target: scene.target.transport };
      const call = test.facet("storageMigration").startDiskMigration(input, test.operation());
      await mustReject(call, "FAILED_PRECONDITION", "a start with an older generation");
    },
  },
  {
    id: "compute.migration.ends",
    title: "a VM that ends before the switch has its source, and its migration has failed",
    clause: 'StorageMigrationFacet: "A VM that ends during the copying has its source"',
    level: "extended",
    facet: "storageMigration",
    async run(test) {
      const scene = await makeScene(test);
      await makeReady(test, scene, "m1");
      await pullPlug(test, scene.vm.vmId);
      mustEqual((await start(test, scene, "m1")).state, "failed", "the state after the VM ended");
      await mustBeDisk(test, scene, scene.source, "the disk after that");
      must(Buffer.from(await scene.source.read()).equals(scene.content), "the source must hold what it held");
    },
  },
  {
    id: "compute.migration.reopen",
    title: "a migration is known after the hypervisor was killed, and can be completed",
    clause: 'StorageMigrationFacet: "whoever dies around it, the VM\'s spec names the volume that is right"',
    level: "extended",
    facet: "storageMigration",
    async run(test) {
      const scene = await makeScene(test);
      await makeReady(test, scene, "m1");
      const provider = await reopen(test);
      const facet = provider.facets?.storageMigration;
      must(facet !== undefined, "the facet must be there after that");
      const done = await facet.completeDiskMigration(ref(scene, "m1"), test.operation());
      mustEqual(done.state, "done", "the state after the switch");
      const vm = await provider.getVm({ vmId: scene.vm.vmId }, test.operation());
      mustEqual(vm.spec.disks[0]?.transport, scene.target.transport, "the disk after the switch");
    },
  },
  {
    id: "compute.copy.copies",
    title: "a volume that was copied to is what the source is, whatever it held before",
    clause: 'DiskCopyFacet.copyDisk: "Copies the whole of the source over the target"',
    level: "extended",
    facet: "diskCopy",
    async run(test) {
      const { source, target, content } = await makeVolumes(test);
      const input = { source: source.transport, target: target.transport };
      await test.facet("diskCopy").copyDisk(input, test.operation());
      must(Buffer.from(await target.read()).equals(content), "the target must hold what the source holds");
    },
  },
];
