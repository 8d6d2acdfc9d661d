import { type OwnerStamp, VdcError } from "@vdc-os/core";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  attach,
  create,
  detach,
  mib,
  mustHold,
  namesOf,
  type StorageRequirement,
  writeBlocks,
} from "./storage-instance.ts";

export const stampOf = (datacenter: string): OwnerStamp => ({
  datacenter,
  tenant: "default",
  kind: "Volume",
  name: "disk",
  uid: `uid-${datacenter}`,
});

/** Creating, getting and deleting volumes. */
export const volumeRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.create.volume",
    title: "a volume is what was asked for, and can be had again by its id",
    clause: "createVolume: CreateVolume.name, capacityBytes, owner; getVolume returns a volume",
    level: "core",
    async run(test) {
      const owner = stampOf("dc-1");
      const made = await create(test, "disk-1", { owner });
      mustEqual([made.name, made.capacityBytes, made.owner], ["disk-1", 4 * mib, owner], "name, size and owner");
      must(made.exclusiveBytes <= made.allocatedBytes, "what deleting gives back must not exceed what is allocated");
      const found = await test.provider.getVolume({ volumeId: made.volumeId }, test.operation());
      mustEqual([found.volumeId, found.name, found.owner], [made.volumeId, "disk-1", owner], "what get returns");
    },
  },
  {
    id: "storage.create.zeroes",
    title: "a new volume reads as zeroes, from its first block to its last",
    clause: "createVolume: Creates a volume that reads as zeroes.",
    level: "core",
    async run(test) {
      const first = await create(test, "disk");
      await writeBlocks(test, first.volumeId, 1, { 0: 7, 1023: 7 });
      await test.provider.deleteVolume({ volumeId: first.volumeId }, test.operation());
      const { volumeId } = await create(test, "disk");
      await mustHold(test, volumeId, 1, { 0: 0, 511: 0, 1023: 0 });
    },
  },
  {
    id: "storage.create.idempotent",
    title: "the same name and spec again return the same volume",
    clause: "CreateVolume.name: the same name and spec returns the same volume",
    level: "core",
    async run(test) {
      const first = await create(test, "disk", { parameters: {} });
      const again = await create(test, "disk");
      mustEqual(again.volumeId, first.volumeId, "the id of a repeated create, without what is the default");
      mustEqual(await namesOf(test), ["disk"], "the names after a repeated create");
    },
  },
  {
    id: "storage.create.conflict",
    title: "a name that is taken by another spec is refused",
    clause: "CreateVolume.name: another spec fails with `ALREADY_EXISTS`",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await mustReject(create(test, "disk", { capacityBytes: 8 * mib }), "ALREADY_EXISTS", "a create of another size");
      await mustReject(
        create(test, "disk", { owner: stampOf("dc-2") }),
        "ALREADY_EXISTS",
        "a create for another owner",
      );
      const found = await test.provider.getVolume({ volumeId }, test.operation());
      mustEqual(found.capacityBytes, 4 * mib, "the size after a refused create");
    },
  },
  {
    id: "storage.create.concurrent",
    title: "many creates of one name at once make one volume",
    clause: "Creates are idempotent by name; one call at a time changes a volume; a second one fails with `ABORTED`",
    level: "core",
    async run(test) {
      const calls = await Promise.allSettled(Array.from({ length: 8 }, () => create(test, "disk")));
      const made = new Set(calls.flatMap((call) => (call.status === "fulfilled" ? [call.value.volumeId] : [])));
      mustEqual(made.size, 1, "the number of different volumes that equal creates returned");
      for (const call of calls) {
        if (call.status === "rejected") await mustReject(Promise.reject(call.reason), "ABORTED", "a concurrent create");
      }
      mustEqual(await namesOf(test), ["disk"], "the names after concurrent creates");
    },
  },
  {
    id: "storage.create.parameters",
    title: "unknown parameters are refused, and leave nothing",
    clause: "CreateVolume.parameters: Unknown ones fail with `INVALID_ARGUMENT`, and are never ignored.",
    level: "core",
    async run(test) {
      const parameters = { "no-such-parameter": "1" };
      await mustReject(create(test, "disk", { parameters }), "INVALID_ARGUMENT", "an unknown parameter");
      mustEqual(await namesOf(test), [], "the names after a refused create");
    },
  },
  {
    id: "storage.create.too-large",
    title: "a volume that can't be had is refused, and leaves nothing",
    clause: "createVolume: errors RESOURCE_EXHAUSTED, OUT_OF_RANGE",
    level: "core",
    async run(test) {
      const before = await test.provider.capacity({}, test.operation());
      const call = create(test, "disk", { capacityBytes: 2 ** 52 });
      await mustReject(call, ["RESOURCE_EXHAUSTED", "OUT_OF_RANGE"], "a volume of 4 PiB");
      mustEqual(await namesOf(test), [], "the names after a refused create");
      const after = await test.provider.capacity({}, test.operation());
      mustEqual(after.provisionedBytes, before.provisionedBytes, "what is promised after a refused create");
      await create(test, "disk");
    },
  },
  {
    id: "storage.create.cancelled",
    title: "a create that its caller gave up leaves a volume that a repeat returns, or none",
    clause:
      "OperationContext.signal aborts when the caller cancels; whatever was not acknowledged leaves nothing that a later call can't complete or undo",
    level: "core",
    async run(test) {
      const signal = AbortSignal.abort(new VdcError("CANCELLED", "given up"));
      const call = test.provider.createVolume({ name: "disk", capacityBytes: 4 * mib }, test.operation({ signal }));
      await mustReject(call, "CANCELLED", "a create whose caller has given up already");
      mustEqual(await namesOf(test), [], "the names after a create that was given up before it began");
      await create(test, "disk", { capacityBytes: 8 * mib });
    },
  },
  {
    id: "storage.delete.frees-name",
    title: "after a delete the volume is gone, its name free, and the next id new",
    clause: "Volume.volumeId: never reused; name: unique in the provider while the volume exists",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await test.provider.deleteVolume({ volumeId }, test.operation());
      await mustReject(test.provider.getVolume({ volumeId }, test.operation()), "NOT_FOUND", "get after delete");
      mustEqual(await namesOf(test), [], "the names after delete");
      const next = await create(test, "disk", { capacityBytes: 8 * mib });
      must(next.volumeId !== volumeId, "an id must never be used again");
    },
  },
  {
    id: "storage.delete.absent",
    title: "deleting what is absent succeeds",
    clause: "deleteVolume: deleting what is absent succeeds",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await test.provider.deleteVolume({ volumeId }, test.operation());
      await test.provider.deleteVolume({ volumeId }, test.operation());
      await test.provider.deleteVolume({ volumeId: "never-was" }, test.operation());
    },
  },
  {
    id: "storage.delete.attached",
    title: "an attached volume is not deleted, and the error names its host",
    clause: "deleteVolume: An attached volume fails with `FAILED_PRECONDITION` and names the host.",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const attachment = await attach(test, volumeId, 1);
      const call = test.provider.deleteVolume({ volumeId }, test.operation());
      const { message } = await mustReject(call, "FAILED_PRECONDITION", "delete of an attached volume");
      must(message.includes(test.instance.hosts[0]), `the error must name the host, and says '${message}'`);
      mustEqual(await namesOf(test), ["disk"], "the names after a refused delete");
      await detach(test, attachment);
      await test.provider.deleteVolume({ volumeId }, test.operation());
    },
  },
  {
    id: "storage.get.absent",
    title: "what is absent is not found, by every operation that needs it",
    clause: "getVolume, attachVolume, revokeAttachment, getAttachment, health: NOT_FOUND",
    level: "core",
    async run(test) {
      const volumeId = "never-was";
      const { provider } = test;
      await mustReject(provider.getVolume({ volumeId }, test.operation()), "NOT_FOUND", "getVolume");
      await mustReject(attach(test, volumeId, 1), "NOT_FOUND", "attachVolume");
      await mustReject(provider.getAttachment({ volumeId }, test.operation()), "NOT_FOUND", "getAttachment");
      const revoke = provider.revokeAttachment({ volumeId, generation: 1 }, test.operation());
      await mustReject(revoke, "NOT_FOUND", "revokeAttachment");
      await mustReject(provider.health({ volumeId }, test.operation()), "NOT_FOUND", "health");
    },
  },
  {
    id: "storage.health.well",
    title: "a volume and a pool with nothing wrong are healthy",
    clause: "health: Of a volume, or of the whole pool.",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const { condition } = await test.provider.health({ volumeId }, test.operation());
      mustEqual(condition, "healthy", "the condition of a new volume");
      await test.provider.health({}, test.operation());
    },
  },
  {
    id: "storage.durable.restart",
    title: "what was acknowledged is there after a kill: volumes, deletes, flushed data",
    clause: "Whatever was acknowledged survives `kill -9`",
    level: "core",
    async run(test) {
      const kept = await create(test, "kept", { owner: stampOf("dc-1") });
      const gone = await create(test, "gone");
      await writeBlocks(test, kept.volumeId, 1, { 3: 33 });
      await test.provider.deleteVolume({ volumeId: gone.volumeId }, test.operation());
      const provider = await test.wrap(await test.instance.reopen());
      const { items } = await provider.listVolumes({}, test.operation());
      mustEqual(
        items.map(({ volumeId, name, owner }) => [volumeId, name, owner]),
        [[kept.volumeId, "kept", stampOf("dc-1")]],
        "the volumes after a restart",
      );
      const { transport } = await attach(test, kept.volumeId, 2, { provider, access: "readOnly" });
      const client = await test.instance.openTransport(transport);
      const data = await client.read(3 * 4096, 4096);
      await client.close();
      must(
        data.every((byte) => byte === 33),
        "flushed data must be there after a restart",
      );
    },
  },
];
