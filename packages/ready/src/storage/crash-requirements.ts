import type { Attachment, Volume } from "@vdc-os/core/storage/v1";
import { isVdcError } from "@vdc-os/core";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { DoomedStorage, volumesOf } from "./doomed-storage.ts";
import {
  attach,
  blockOf,
  create,
  detach,
  mib,
  mustHold,
  type StorageRequirement,
  type StorageTest,
  whileWritten,
  writeBlocks,
} from "./storage-instance.ts";

const survives =
  'StorageProvider: "Whatever was acknowledged survives `kill -9`; whatever was not leaves nothing behind that a later call can\'t complete or undo."';

/** What is under way when the provider is killed. */
export const copies: readonly number[] = [0, 1, 2, 3];

/** A volume of 1 MiB whose first and last block hold a value. */
export async function written(test: StorageTest, name: string, value: number): Promise<Volume> {
  const volume = await create(test, name, { capacityBytes: mib });
  await writeBlocks(test, volume.volumeId, 1, { 0: value, 255: value });
  return volume;
}

/** The name of a copy's volume. */
export const diskName = (copy: number): string => `disk-${copy}`;

/** A volume for each copy, with a content of its own. */
export async function writtenDisks(test: StorageTest): Promise<readonly Volume[]> {
  const disks: Volume[] = [];
  for (const copy of copies) disks.push(await written(test, diskName(copy), 1 + copy));
  return disks;
}

const idIn = (disks: readonly Volume[], copy: number): string => (disks[copy] as Volume).volumeId;

/** Fails unless what is promised is what the volumes have, each once. */
async function mustPromiseEachOnce(test: StorageTest): Promise<void> {
  let sum = 0;
  for (const volumeId of (await volumesOf(test)).values()) {
    sum += (await test.provider.getVolume({ volumeId }, test.operation())).capacityBytes;
  }
  const { provisionedBytes } = await test.provider.capacity({}, test.operation());
  mustEqual(provisionedBytes, sum, "what is promised after a kill: the size of each volume once");
}

/** Kills in the middle of what makes, removes, attaches and grows volumes. */
export const crashRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.crash.create",
    title:
      "when the provider is killed while volumes are made, each is there once or not at all, and the answered ones are; a repeat has it, empty, and nothing is lost or leaked",
    clause: survives,
    level: "core",
    async run(test) {
      const doomed = await DoomedStorage.start(test);
      const kept = await written(doomed.test, "kept", 9);
      const make = async (at: StorageTest, copy: number): Promise<string> =>
        (await create(at, diskName(copy), { capacityBytes: mib })).volumeId;
      const { after, answered } = await doomed.killWhile({ items: copies, call: make });
      const found = await volumesOf(after);
      for (const copy of copies) {
        const name = diskName(copy);
        const told = answered.get(copy);
        if (told !== undefined) mustEqual(found.get(name), told, `the id of '${name}', whose create was answered`);
        const made = await make(after, copy);
        const present = found.get(name) ?? made;
        mustEqual(made, present, `the id of '${name}' when its create is repeated after a kill`);
        mustEqual(await make(after, copy), made, `the id of '${name}' when its create is repeated once more`);
        await mustHold(after, made, 1, { 0: 0, 255: 0 });
      }
      mustEqual([...(await volumesOf(after)).keys()], [...copies.map(diskName), "kept"], "the names after a kill");
      await mustPromiseEachOnce(after);
      await mustHold(after, kept.volumeId, 2, { 0: 9, 1: 0, 255: 9 });
      await doomed.mustBeAsBefore(after);
    },
  },
  {
    id: "storage.crash.delete",
    title:
      "when the provider is killed while volumes are deleted, each is whole or gone, and the answered ones are gone; a repeat ends it, the name is free, and nothing is lost or leaked",
    clause: survives,
    level: "core",
    async run(test) {
      const doomed = await DoomedStorage.start(test);
      const kept = await written(doomed.test, "kept", 9);
      const disks = await writtenDisks(doomed.test);
      const remove = (at: StorageTest, copy: number): Promise<void> =>
        at.provider.deleteVolume({ volumeId: idIn(disks, copy) }, at.operation());
      const { after, answered } = await doomed.killWhile({ items: copies, call: remove });
      const found = await volumesOf(after);
      for (const copy of copies) {
        const [name, volumeId] = [diskName(copy), idIn(disks, copy)];
        const isThere = found.has(name);
        must(!isThere || !answered.has(copy), `'${name}', whose deletion was answered, must be gone after a kill`);
        if (isThere) await mustHold(after, volumeId, 2, { 0: 1 + copy, 1: 0, 255: 1 + copy });
        await remove(after, copy);
        const get = after.provider.getVolume({ volumeId }, after.operation());
        await mustReject(get, "NOT_FOUND", `get of '${name}' when its deletion was repeated`);
      }
      mustEqual([...(await volumesOf(after)).keys()], ["kept"], "the names when the deletions were repeated");
      const next = await create(after, diskName(0), { capacityBytes: mib });
      must(next.volumeId !== idIn(disks, 0), "an id must never be used again");
      await mustHold(after, next.volumeId, 1, { 0: 0, 255: 0 });
      await mustPromiseEachOnce(after);
      await mustHold(after, kept.volumeId, 2, { 0: 9, 255: 9 });
      await doomed.mustBeAsBefore(after);
    },
  },
  {
    id: "storage.crash.attach",
    title:
      "when the provider is killed while volumes are attached, detached and revoked, each is done or not, and the answered ones are; a repeat ends it, and the next owner writes",
    clause: `${survives} AttachVolume.generation: "Higher than that of any attachment before; equal to that of the present one repeats the call."`,
    level: "core",
    async run(test) {
      const doomed = await DoomedStorage.start(test);
      const disks = await writtenDisks(doomed.test);
      const [host, other] = test.instance.hosts;
      const kindOf = (copy: number) => (["attach", "detach", "revoke"] as const)[copy % 3] ?? "attach";
      for (const copy of copies) if (kindOf(copy) !== "attach") await attach(doomed.test, idIn(disks, copy), 2);
      const change = async (at: StorageTest, copy: number): Promise<void> => {
        const volumeId = idIn(disks, copy);
        if (kindOf(copy) === "attach") await attach(at, volumeId, 2);
        else if (kindOf(copy) === "detach")
          await at.provider.detachVolume({ volumeId, host, generation: 2 }, at.operation());
        else await at.provider.revokeAttachment({ volumeId, generation: 4 }, at.operation());
      };
      const { after, answered } = await doomed.killWhile({ items: copies, call: change });
      for (const copy of copies) {
        const volumeId = idIn(disks, copy);
        const [kind, name, isDone] = [kindOf(copy), diskName(copy), answered.has(copy)];
        const found = await attachmentOf(after, volumeId);
        if (isDone) mustEqual(found?.generation, kind === "attach" ? 2 : undefined, `who has '${name}' after a kill`);
        must(found === undefined || found.generation === 2, `'${name}' must have no owner that nobody asked for`);
        try {
          await change(after, copy);
          const now = await attachmentOf(after, volumeId);
          mustEqual(now?.generation, kind === "attach" ? 2 : undefined, `who has '${name}' when it is repeated`);
        } catch (error) {
          // A generation that was seen, and whose attachment was not made, is fenced by now.
          const isFenced = kind === "attach" && found === undefined && !isDone;
          if (!isFenced || !isVdcError(error, "FAILED_PRECONDITION")) throw error;
        }
        await mustReject(attach(after, volumeId, 1), "FAILED_PRECONDITION", "an owner of long ago, after a kill");
        if (kind === "revoke") await mustReject(attach(after, volumeId, 4), "FAILED_PRECONDITION", "a revoked owner");
        const next = await attach(after, volumeId, 5, { host: other });
        const client = await test.instance.openTransport(next.transport);
        await client.write(4096, blockOf(50 + copy));
        await client.flush();
        await client.close();
        await mustReject(attach(after, volumeId, 2), "FAILED_PRECONDITION", "the owner before, after a kill");
        await detach(after, next);
        await mustHold(after, volumeId, 6, { 0: 1 + copy, 1: 50 + copy, 255: 1 + copy });
      }
      await doomed.mustBeAsBefore(after);
    },
  },
  {
    id: "storage.crash.resize",
    title:
      "when the provider is killed while volumes grow, each has its old size or the new one, and the answered ones the new; a repeat ends it, and nothing is lost or leaked",
    clause: survives,
    level: "extended",
    facet: "resize",
    async run(test) {
      const doomed = await DoomedStorage.start(test);
      const disks = await writtenDisks(doomed.test);
      const grow = async (at: StorageTest, copy: number): Promise<number> => {
        const input = { volumeId: idIn(disks, copy), capacityBytes: 2 * mib };
        return (await at.facet("resize").resizeVolume(input, at.operation())).capacityBytes;
      };
      const { after, answered } = await doomed.killWhile({ items: copies, call: grow });
      for (const copy of copies) {
        const [name, volumeId] = [diskName(copy), idIn(disks, copy)];
        const { capacityBytes } = await after.provider.getVolume({ volumeId }, after.operation());
        const isOld = capacityBytes === disks[copy]?.capacityBytes && !answered.has(copy);
        const size = await grow(after, copy);
        must(size >= 2 * mib, `'${name}' must have grown when that is repeated, and has ${size} bytes`);
        must(
          isOld || capacityBytes === size,
          `the size of '${name}' must be the old or the new, and is ${capacityBytes}`,
        );
        await mustHold(after, volumeId, 2, { 0: 1 + copy, 255: 1 + copy, 256: 0, 511: 0 });
        await whileWritten(after, volumeId, 3, (client) => client.write(511 * 4096, blockOf(7)));
      }
      await mustPromiseEachOnce(after);
      await doomed.mustBeAsBefore(after);
    },
  },
];

async function attachmentOf(test: StorageTest, volumeId: string): Promise<Attachment | undefined> {
  return (await test.provider.getAttachment({ volumeId }, test.operation())).attachment;
}
