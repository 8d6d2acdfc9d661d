import { isVdcError } from "@vdc-os/core";
import { createTestRandom } from "@vdc-os/core/testing";
import { describe, expect, it } from "vitest";
import {
  attach,
  connected,
  createPool,
  detach,
  encryptionOf,
  failure,
  imagesOf,
  make,
  opens,
  read,
  reconnect,
  rotate,
  sector,
} from "./encrypted-pool.ts";
import { connectTo, context } from "./test-pool.ts";
import { keys } from "./test-secrets.ts";

describe("the change of a key", () => {
  it("keeps a volume's content and takes its old key from all its images, while they are written and read", async () => {
    await using test = await createPool("process");
    const { provider } = test;
    const volumeId = await make(test);
    const clones: string[] = [];
    await connected(test, volumeId, async (client) => {
      await client.write(sector, 0);
      const { snapshotId } = await provider.facets.snapshots.createSnapshot({ name: "s", volumeId }, context());
      const parent = { kind: "snapshot", snapshotId } as const;
      for (const name of ["c1", "c2"])
        clones.push((await provider.facets.layering.createOverlay({ name, parent }, context())).volumeId);
      const [cloneId = ""] = clones;
      await connected(test, cloneId, async (cloned) => {
        await cloned.write(Buffer.alloc(4096, 2), 4096);
        let writing = true;
        let written = 0;
        const writer = (async () => {
          while (writing) await client.write(Buffer.alloc(4096, (written++ % 200) + 1), 65_536 + (written % 16) * 4096);
        })();
        await rotate(test, volumeId, "key-2");
        writing = false;
        await writer;
        expect(written).toBeGreaterThan(0);
        expect(await encryptionOf(test).encryptionStatus({ volumeId }, context())).toEqual({
          encrypted: true,
          cipher: "aes-256-xts",
          keyRef: "key-2",
        });
        // A clone has its own key, and reads through images of another.
        expect((await encryptionOf(test).encryptionStatus({ volumeId: cloneId }, context())).keyRef).toBe("key-1");
        expect((await read(cloned, 0)).equals(sector)).toBe(true);
        // Both open their chains again.
        await provider.facets.snapshots.createSnapshot({ name: "after", volumeId: cloneId }, context());
        await provider.facets.snapshots.createSnapshot({ name: "after-too", volumeId }, context());
        await cloned.write(Buffer.alloc(4096, 3), 12_288);
        expect((await read(cloned, 0)).equals(sector)).toBe(true);
        expect((await read(client, 0)).equals(sector)).toBe(true);
      });
      for (const image of imagesOf(test)) {
        const isClones = clones.some((id) => image.includes(id));
        expect([await opens(image, keys["key-1"]), await opens(image, keys["key-2"])]).toEqual([isClones, !isClones]);
      }
    });
    test.secrets.values.delete("key-1");
    await connected(test, volumeId, async (client) => expect((await read(client, 0)).equals(sector)).toBe(true));
    expect(await failure(attach(test, clones[1] ?? ""))).toEqual(["PERMISSION_DENIED", "VDC_KEY_UNAVAILABLE"]);
  });

  it("leaves one key in the end, whenever the storage process is killed meanwhile", { timeout: 120_000 }, async () => {
    await using test = await createPool("process");
    const [host] = test.hosts;
    const random = createTestRandom(11);
    const volumeId = await make(test);
    const attachment = await attach(test, volumeId);
    const first = await connectTo(attachment);
    await first.write(sector, 0);
    await test.provider.facets.snapshots.createSnapshot({ name: "s", volumeId }, context());
    await first.close();
    for (let round = 0; round < (process.env.VDC_DEEP ? 40 : 4); round++) {
      const keyRef = round % 2 === 0 ? "key-2" : "key-1";
      const client = await reconnect(attachment);
      await client.write(Buffer.alloc(4096, round + 1), 4096);
      const rotating = rotate(test, volumeId, keyRef).then(
        () => true,
        (error: unknown) => {
          if (!isVdcError(error)) throw error;
          return false;
        },
      );
      await new Promise((resolve) => setTimeout(resolve, random.next() * 120));
      await host.kill();
      await client.close().catch(() => {});
      const isDone = await rotating;
      await host.restart();
      const again = await reconnect(attachment);
      expect((await read(again, 0)).equals(sector)).toBe(true);
      expect((await read(again, 4096)).equals(Buffer.alloc(4096, round + 1))).toBe(true);
      await again.close();
      // What was cut short is finished by itself.
      const isLeft = (): boolean => test.pool.catalog.get(volumeId).record.encryption?.nextKey !== undefined;
      for (const giveUp = Date.now() + 45_000; isLeft(); ) {
        if (Date.now() > giveUp) throw new Error("the change of the key is not finished");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const status = await encryptionOf(test).encryptionStatus({ volumeId }, context());
      if (isDone) expect(status.keyRef).toBe(keyRef);
      const [now, other] = status.keyRef === "key-2" ? (["key-2", "key-1"] as const) : (["key-1", "key-2"] as const);
      for (const image of imagesOf(test)) {
        expect([await opens(image, keys[now]), await opens(image, keys[other])]).toEqual([true, false]);
      }
    }
    await detach(test, attachment);
  });

  it("is completed when the host can be reached again, without anybody asking anew", async () => {
    await using test = await createPool("process");
    const [host] = test.hosts;
    const volumeId = await make(test);
    const attachment = await attach(test, volumeId);
    host.unreachable = true;
    expect(await failure(rotate(test, volumeId, "key-2"))).toEqual(["UNAVAILABLE", "VDC_UNAVAILABLE"]);
    expect((await encryptionOf(test).encryptionStatus({ volumeId }, context())).keyRef).toBe("key-1");
    await test.reopen();
    host.unreachable = false;
    while (test.pool.catalog.get(volumeId).record.encryption?.nextKey !== undefined) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect((await encryptionOf(test).encryptionStatus({ volumeId }, context())).keyRef).toBe("key-2");
    const [image = ""] = imagesOf(test);
    expect([await opens(image, keys["key-1"]), await opens(image, keys["key-2"])]).toEqual([false, true]);
    await detach(test, attachment);
  });
});
