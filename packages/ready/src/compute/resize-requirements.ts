import type { DiskResizeFacet, Vm } from "@vdc-os/core/compute/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  type ComputeRequirement,
  type ComputeTest,
  type ComputeVolume,
  define,
  pullPlug,
  reopen,
} from "./compute-instance.ts";

const clause = 'DiskResizeFacet.resizeDisk: "Makes the guest see what the volume was grown to."';
const diskId = "disk0";
const before = 4 << 20;
const after = 8 << 20;

interface Scene {
  readonly vm: Vm;
  readonly volume: ComputeVolume;
  grow(capacityBytes: number): Promise<void>;
}

/** A VM that runs on a volume which can be grown. */
async function makeScene(test: ComputeTest): Promise<Scene> {
  const { makeVolume } = test.instance;
  if (makeVolume === undefined) test.skip("the factory makes no volumes");
  const volume = await makeVolume(before);
  if (volume.grow === undefined) test.skip("the factory's volumes can't be grown");
  const { transport } = volume;
  const { diskResize } = test.description.facets;
  const able = diskResize?.status === "available" ? diskResize.limits.transports : undefined;
  if (Array.isArray(able) && !able.includes(transport.kind)) {
    test.skip(`the factory's volumes are reached by '${transport.kind}', by which no disk is grown`);
  }
  const { vmId } = await define(test, "web", { disks: [{ id: diskId, transport, readOnly: false }] });
  const vm = await test.provider.startVm({ vmId, generation: 3 }, test.operation());
  return { vm, volume, grow: volume.grow.bind(volume) };
}

function resize(
  test: ComputeTest,
  { vm }: Scene,
  capacityBytes: number,
  facet: DiskResizeFacet = test.facet("diskResize"),
): Promise<void> {
  const generation = vm.generation ?? 3;
  return facet.resizeDisk({ vmId: vm.vmId, generation, diskId, capacityBytes }, test.operation());
}

/** The size that a guest sees is told by what it refuses to shrink from. */
async function mustSee(test: ComputeTest, scene: Scene, capacityBytes: number, facet?: DiskResizeFacet): Promise<void> {
  await mustReject(resize(test, scene, capacityBytes - (1 << 20), facet), "OUT_OF_RANGE", "a size below what it sees");
  await resize(test, scene, capacityBytes, facet);
}

/** What showing a running guest its disk's new size must do. */
export const resizeRequirements: readonly ComputeRequirement[] = [
  {
    id: "compute.resize.grows",
    title:
      "a running guest sees the size that its disk's volume was grown to, its VM was never off, and nothing is lost",
    clause,
    level: "extended",
    facet: "diskResize",
    async run(test) {
      const scene = await makeScene(test);
      const { vmId } = scene.vm;
      await mustSee(test, scene, before);
      await scene.grow(after);
      await resize(test, scene, after);
      await mustSee(test, scene, after);
      const vm = await test.provider.getVm({ vmId }, test.operation());
      mustEqual([vm.state, vm.startedAt], [scene.vm.state, scene.vm.startedAt], "the VM, and since when it runs");
      mustEqual(vm.spec, scene.vm.spec, "the VM's spec");
      await pullPlug(test, vmId);
      must((await scene.volume.read()).length === after, "the volume must have the size that it was grown to");
    },
  },
  {
    id: "compute.resize.keeps",
    title: "what a disk held before it grew, it holds after that, and zeroes follow",
    clause,
    level: "extended",
    facet: "diskResize",
    async run(test) {
      const scene = await makeScene(test);
      await pullPlug(test, scene.vm.vmId);
      await scene.volume.write(new Uint8Array(before).fill(0x5a, 1 << 20));
      await test.provider.startVm({ vmId: scene.vm.vmId, generation: 3 }, test.operation());
      await scene.grow(after);
      await resize(test, scene, after);
      await pullPlug(test, scene.vm.vmId);
      const expected = new Uint8Array(after).fill(0x5a, 1 << 20, before);
      must(
        Buffer.from(await scene.volume.read()).equals(expected),
        "the volume must hold what it held, and then zeroes",
      );
    },
  },
  {
    id: "compute.resize.idempotent",
    title: "a size that the guest sees already is shown again without a failure",
    clause: "resizeDisk is idempotent",
    level: "extended",
    facet: "diskResize",
    async run(test) {
      const scene = await makeScene(test);
      await resize(test, scene, before);
      await scene.grow(after);
      await resize(test, scene, after);
      await resize(test, scene, after);
    },
  },
  {
    id: "compute.resize.smaller",
    title: "a disk is never made smaller under its guest",
    clause: 'DiskResizeFacet.resizeDisk: "A smaller size than it sees now fails with `OUT_OF_RANGE`"',
    level: "extended",
    facet: "diskResize",
    async run(test) {
      const scene = await makeScene(test);
      await mustReject(resize(test, scene, before / 2), "OUT_OF_RANGE", "a smaller size");
      await pullPlug(test, scene.vm.vmId);
      must((await scene.volume.read()).length === before, "the volume must have the size that it had");
    },
  },
  {
    id: "compute.resize.volume",
    title: "a guest is not shown more than its volume has",
    clause,
    level: "extended",
    facet: "diskResize",
    async run(test) {
      const scene = await makeScene(test);
      const call = resize(test, scene, after);
      await mustReject(call, ["FAILED_PRECONDITION", "OUT_OF_RANGE"], "a size that the volume does not have");
      await resize(test, scene, before);
      await pullPlug(test, scene.vm.vmId);
      must((await scene.volume.read()).length === before, "the volume must have the size that it had");
    },
  },
  {
    id: "compute.resize.stays",
    title: "after a power cycle a guest sees what its volume has, whether or not it was told before",
    clause,
    level: "extended",
    facet: "diskResize",
    async run(test) {
      const scene = await makeScene(test);
      const { vmId } = scene.vm;
      await scene.grow(after);
      await resize(test, scene, after);
      await pullPlug(test, vmId);
      await test.provider.startVm({ vmId, generation: 3 }, test.operation());
      await mustSee(test, scene, after);
      await pullPlug(test, vmId);
      await scene.grow(2 * after);
      await test.provider.startVm({ vmId, generation: 3 }, test.operation());
      await mustSee(test, scene, 2 * after);
    },
  },
  {
    id: "compute.resize.reopen",
    title: "what a guest was shown is known after the hypervisor was killed, and its disk can grow on",
    clause: 'Hypervisor: "VMs go on when the runtime or the manager ends, and are found again when it returns."',
    level: "extended",
    facet: "diskResize",
    async run(test) {
      const scene = await makeScene(test);
      await scene.grow(after);
      await resize(test, scene, after);
      const facet = (await reopen(test)).facets?.diskResize;
      must(facet !== undefined, "the facet must be there after that");
      await mustSee(test, scene, after, facet);
      await scene.grow(2 * after);
      await resize(test, scene, 2 * after, facet);
      await mustSee(test, scene, 2 * after, facet);
    },
  },
  {
    id: "compute.resize.fenced",
    title: "an owner with an older generation grows nothing",
    clause:
      'Hypervisor: "A start with a lower generation than one seen before is fenced, so that a VM never runs for two owners."',
    level: "extended",
    facet: "diskResize",
    async run(test) {
      const scene = await makeScene(test);
      await scene.grow(after);
      const input = { vmId: scene.vm.vmId, generation: 2, diskId, capacityBytes: after };
      const call = test.facet("diskResize").resizeDisk(input, test.operation());
      await mustReject(call, "FAILED_PRECONDITION", "a resize with an older generation");
      await mustSee(test, scene, before);
    },
  },
  {
    id: "compute.resize.absent",
    title: "a disk or a VM that is not there is not found, and a VM that is off has no guest to tell",
    clause: 'DiskResizeFacet: "a running guest learns that its disk has grown"',
    level: "extended",
    facet: "diskResize",
    async run(test) {
      const scene = await makeScene(test);
      const { vmId } = scene.vm;
      const { resizeDisk } = test.facet("diskResize");
      const known = { vmId, generation: 3, diskId, capacityBytes: after };
      await mustReject(
        resizeDisk({ ...known, diskId: "none" }, test.operation()),
        "NOT_FOUND",
        "a disk that is not there",
      );
      await mustReject(resizeDisk({ ...known, vmId: "none" }, test.operation()), "NOT_FOUND", "a VM that is not there");
      await pullPlug(test, vmId);
      await mustReject(resizeDisk(known, test.operation()), "FAILED_PRECONDITION", "a VM that is off");
    },
  },
];
