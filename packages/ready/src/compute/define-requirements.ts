import { must, mustEqual, mustReject } from "../suite/must.ts";
import { type ComputeRequirement, define, listAll, pullPlug, run, stampOf } from "./compute-instance.ts";

const clause = 'Hypervisor: "`createVm` defines, `startVm` runs. Both are idempotent."';

/** What defining, finding and forgetting VMs must do. */
export const defineRequirements: readonly ComputeRequirement[] = [
  {
    id: "compute.create.defines",
    title: "a VM that is created is off, and has the name, the spec and the owner that were given",
    clause,
    level: "core",
    async run(test) {
      const owner = stampOf("dc-1");
      const { spec } = test.instance;
      const created = await test.provider.createVm({ name: "web", spec, owner }, test.operation());
      mustEqual(created.state, "off", "the state of a VM that was created");
      mustEqual([created.name, created.spec, created.owner], ["web", spec, owner], "what was given");
      mustEqual(await test.provider.getVm({ vmId: created.vmId }, test.operation()), created, "what getVm returns");
    },
  },
  {
    id: "compute.create.idempotent",
    title: "creating the same VM again returns the one there is, also when both calls are made at once",
    clause: 'CreateVm.name: "Makes the call idempotent, with the spec."',
    level: "core",
    async run(test) {
      const vms = await Promise.all([define(test, "web"), define(test, "web"), define(test, "web")]);
      vms.push(await define(test, "web"));
      mustEqual(new Set(vms.map(({ vmId }) => vmId)).size, 1, "the number of VMs that were made");
      mustEqual((await listAll(test)).flatMap(({ items }) => items).length, 1, "the number of VMs in the list");
    },
  },
  {
    id: "compute.create.conflict",
    title: "a name that is taken by a VM with another spec is refused",
    clause: 'Operation createVm: errors ["ALREADY_EXISTS", ...]',
    level: "core",
    async run(test) {
      const { vmId } = await define(test, "web");
      const memoryBytes = test.instance.spec.memoryBytes + (1 << 20);
      await mustReject(define(test, "web", { memoryBytes }), "ALREADY_EXISTS", "creating it with another spec");
      const { spec } = await test.provider.getVm({ vmId }, test.operation());
      mustEqual(spec, test.instance.spec, "the spec after that");
    },
  },
  {
    id: "compute.get.absent",
    title: "a VM that is not there is not found",
    clause: 'Operation getVm: errors ["NOT_FOUND"]',
    level: "core",
    async run(test) {
      await mustReject(test.provider.getVm({ vmId: "no-such" }, test.operation()), "NOT_FOUND", "getVm");
    },
  },
  {
    id: "compute.delete.forgets",
    title: "a VM that is deleted is gone, its name is free, and its id is not used again",
    clause: 'Hypervisor.deleteVm: "Forgets a VM"',
    level: "core",
    async run(test) {
      const { vmId } = await define(test, "web");
      await test.provider.deleteVm({ vmId }, test.operation());
      await mustReject(test.provider.getVm({ vmId }, test.operation()), "NOT_FOUND", "getVm after deleteVm");
      const memoryBytes = test.instance.spec.memoryBytes + (1 << 20);
      must((await define(test, "web", { memoryBytes })).vmId !== vmId, "a new VM must have a new id");
    },
  },
  {
    id: "compute.delete.absent",
    title: "deleting what is absent succeeds",
    clause: 'Hypervisor.deleteVm: "Deleting what is absent succeeds."',
    level: "core",
    async run(test) {
      await test.provider.deleteVm({ vmId: "no-such" }, test.operation());
      const { vmId } = await define(test, "web");
      await test.provider.deleteVm({ vmId }, test.operation());
      await test.provider.deleteVm({ vmId }, test.operation());
    },
  },
  {
    id: "compute.delete.running",
    title: "a VM that runs can't be deleted, and goes on",
    clause: 'Hypervisor.deleteVm: "one that runs fails with `FAILED_PRECONDITION`"',
    level: "core",
    async run(test) {
      const { vmId } = await run(test, "web");
      await mustReject(test.provider.deleteVm({ vmId }, test.operation()), "FAILED_PRECONDITION", "deleting it");
      mustEqual((await test.provider.getVm({ vmId }, test.operation())).state, "running", "its state after that");
      await pullPlug(test, vmId);
      await test.provider.deleteVm({ vmId }, test.operation());
    },
  },
  {
    id: "compute.list.paging",
    title: "a list by pages has each VM once, and no page is longer than asked",
    clause: 'PageRequest.limit: "At most this many items."',
    level: "core",
    async run(test) {
      const made: string[] = [];
      for (const name of ["a", "b", "c", "d", "e"]) made.push((await define(test, name)).vmId);
      const pages = await listAll(test, { limit: 2 });
      must(
        pages.every(({ items }) => items.length <= 2),
        "a page must not be longer than its limit",
      );
      mustEqual(
        pages.flatMap(({ items }) => items.map(({ vmId }) => vmId)).sort(),
        made.sort(),
        "the VMs of all pages",
      );
    },
  },
  {
    id: "compute.list.token",
    title: "a page token that the hypervisor did not give is refused",
    clause: 'PageRequest.pageToken: "A token that is unknown or too old fails with `ABORTED`"',
    level: "extended",
    async run(test) {
      await define(test, "web");
      const call = test.provider.listVms({ pageToken: "none-of-yours" }, test.operation());
      await mustReject(call, "ABORTED", "a list with an unknown token");
    },
  },
  {
    id: "compute.list.filter",
    title: "a list can be asked for the VMs of one datacenter, or of one name",
    clause: "Hypervisor.listVms: { ownerDatacenter, name }",
    level: "core",
    async run(test) {
      const { spec } = test.instance;
      for (const [name, owner] of [
        ["a", stampOf("dc-1")],
        ["b", stampOf("dc-2")],
        ["c", stampOf("dc-1")],
      ] as const) {
        await test.provider.createVm({ name, spec, owner }, test.operation());
      }
      await define(test, "d");
      const namesOf = async (filter: Parameters<typeof listAll>[1]): Promise<readonly string[]> =>
        (await listAll(test, filter)).flatMap(({ items }) => items.map(({ name }) => name)).sort();
      mustEqual(await namesOf({ ownerDatacenter: "dc-1", limit: 1 }), ["a", "c"], "the VMs of dc-1");
      mustEqual(await namesOf({ name: "b" }), ["b"], "the VMs named b");
      mustEqual(await namesOf({ name: "b", ownerDatacenter: "dc-1" }), [], "the VMs named b of dc-1");
    },
  },
];
