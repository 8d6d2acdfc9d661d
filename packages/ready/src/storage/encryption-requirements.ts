import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  attach,
  blockBytes,
  blockOf,
  create,
  detach,
  limitsOf,
  mustHold,
  mustHoldInSnapshot,
  mustRead,
  snapshotOf,
  type StorageRequirement,
  type StorageTest,
  whileWritten,
  writeBlocks,
} from "./storage-instance.ts";

/** Facet `encryption`. */
export const encryptionRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.encryption.status",
    title:
      "a volume says how it is encrypted: by a cipher that the limits name, with a key of which it says no more than the reference",
    clause:
      "EncryptionFacet: Keys are references into a secret store: no operation carries or returns a key. Limits: `ciphers`",
    level: "core",
    facet: "encryption",
    async run(test) {
      const { ciphers } = limitsOf(test, "encryption");
      must(Array.isArray(ciphers) && ciphers.length > 0, "limits must name the ciphers");
      const { volumeId } = await create(test, "disk");
      const facet = test.facet("encryption");
      const { encrypted, cipher, keyRef } = await facet.encryptionStatus({ volumeId }, test.operation());
      if (encrypted)
        must(cipher !== undefined && ciphers.includes(cipher), `cipher '${cipher}' must be among the limits`);
      else mustEqual([cipher, keyRef], [undefined, undefined], "the cipher and key of a volume that is not encrypted");
      const [first] = test.instance.keyRefs ?? [];
      if (encrypted && first !== undefined) mustEqual(keyRef, first, "the key of a new volume");
      const absent = { volumeId: "never-was" };
      await mustReject(facet.encryptionStatus(absent, test.operation()), "NOT_FOUND", "encryptionStatus");
      await mustReject(facet.rotateKey({ ...absent, keyRef: "any" }, test.operation()), "NOT_FOUND", "rotateKey");
    },
  },
  {
    id: "storage.encryption.rotate",
    title: "a volume whose key was rotated holds what it held, says so, and says so after a kill",
    clause: "rotateKey: Makes the volume readable with the new key and no longer with the old one. Its content stays.",
    level: "extended",
    facet: "encryption",
    async run(test) {
      const [, next] = keyRefsOf(test);
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 1023: 2 });
      const facet = test.facet("encryption");
      const before = await facet.encryptionStatus({ volumeId }, test.operation());
      must(
        before.encrypted && before.keyRef !== next,
        "a new volume must be encrypted, with a key that is not the second",
      );
      await facet.rotateKey({ volumeId, keyRef: next }, test.operation());
      mustEqual(
        (await facet.encryptionStatus({ volumeId }, test.operation())).keyRef,
        next,
        "the key after it was rotated",
      );
      await mustHold(test, volumeId, 2, { 0: 1, 5: 0, 1023: 2 });
      // A repeat, as after an answer that was lost.
      await facet.rotateKey({ volumeId, keyRef: next }, test.operation());
      const call = facet.rotateKey({ volumeId, keyRef: "no-such-key" }, test.operation());
      await mustReject(call, "PERMISSION_DENIED", "a key that can't be read");
      const provider = await test.wrap(await test.instance.reopen());
      const kept = await provider.facets?.encryption?.encryptionStatus({ volumeId }, test.operation());
      mustEqual(kept?.keyRef, next, "the key after a restart");
    },
  },
  {
    id: "storage.encryption.online",
    title:
      "the key of an attached volume is changed under its owner, who notices nothing; or the change is refused, as the limits say",
    clause:
      "EncryptionFacet: Limits: `onlineRotation` (where it is false, rotating the key of an attached volume fails with `FAILED_PRECONDITION`)",
    level: "extended",
    facet: "encryption",
    async run(test) {
      const [, next] = keyRefsOf(test);
      const { volumeId } = await create(test, "disk");
      const facet = test.facet("encryption");
      await whileWritten(test, volumeId, 1, async (client) => {
        await client.write(0, blockOf(1));
        const rotating = facet.rotateKey({ volumeId, keyRef: next }, test.operation());
        if (limitsOf(test, "encryption").onlineRotation !== true) {
          await mustReject(rotating, "FAILED_PRECONDITION", "rotating the key of an attached volume");
          return;
        }
        await Promise.all([rotating, client.write(blockBytes, blockOf(2))]);
        await client.write(2 * blockBytes, blockOf(3));
        await mustRead(client, { 0: 1, 1: 2, 2: 3, 3: 0 });
        await client.flush();
        const { keyRef } = await facet.encryptionStatus({ volumeId }, test.operation());
        mustEqual(keyRef, next, "the key after it was rotated");
        await mustHoldAfter(test, volumeId);
      });
    },
  },
  {
    id: "storage.encryption.history",
    title: "what was taken of a volume before its key was changed reads as before",
    clause: "rotateKey: Makes the volume readable with the new key and no longer with the old one. Its content stays.",
    level: "extended",
    facet: "encryption",
    async run(test) {
      const [, next] = keyRefsOf(test);
      if (test.description.facets.snapshots?.status !== "available") return;
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 9: 2 });
      const snapshot = await snapshotOf(test, "before", volumeId);
      await writeBlocks(test, volumeId, 2, { 0: 3 });
      await test.facet("encryption").rotateKey({ volumeId, keyRef: next }, test.operation());
      await mustHold(test, volumeId, 3, { 0: 3, 9: 2 });
      await mustHoldInSnapshot(test, snapshot, { 0: 1, 9: 2 });
      await writeBlocks(test, volumeId, 4, { 9: 4 });
      await test.facet("snapshots").deleteSnapshot({ snapshotId: snapshot.snapshotId }, test.operation());
      await mustHold(test, volumeId, 5, { 0: 3, 9: 4, 10: 0 });
    },
  },
  {
    id: "storage.encryption.killed",
    title: "after the storage process was killed the owner goes on, whatever key the volume has by then",
    clause: "StorageProvider: Whatever was acknowledged survives `kill -9`. rotateKey: Its content stays.",
    level: "extended",
    facet: "encryption",
    async run(test) {
      const [, next] = keyRefsOf(test);
      const kill =
        test.instance.killStorageProcess?.bind(test.instance) ??
        test.skip("the factory gives no way to kill the storage process");
      const { volumeId } = await create(test, "disk");
      const facet = test.facet("encryption");
      const attachment = await attach(test, volumeId, 1);
      let written = 0;
      for (const keyRef of [undefined, next]) {
        const client = await test.instance.openTransport((await attach(test, volumeId, 1)).transport);
        if (keyRef !== undefined && limitsOf(test, "encryption").onlineRotation === true) {
          await facet.rotateKey({ volumeId, keyRef }, test.operation());
        }
        await client.write(written++ * blockBytes, blockOf(7));
        await client.flush();
        await kill(attachment);
        await client.close();
      }
      const again = await attach(test, volumeId, 1);
      const client = await test.instance.openTransport(again.transport);
      await mustRead(client, { 0: 7, 1: 7, 2: 0 });
      await client.close();
      await detach(test, again);
      await mustHold(test, volumeId, 2, { 0: 7, 1: 7, 2: 0 });
    },
  },
];

function keyRefsOf(test: StorageTest): readonly [string, string] {
  return test.instance.keyRefs ?? test.skip("the factory gives no keys");
}

/** What was written meanwhile is there for who reads it in a snapshot. */
async function mustHoldAfter(test: StorageTest, volumeId: string): Promise<void> {
  if (test.description.facets.snapshots?.status !== "available") return;
  await mustHoldInSnapshot(test, await snapshotOf(test, "after", volumeId), { 0: 1, 1: 2, 2: 3, 3: 0 });
}
