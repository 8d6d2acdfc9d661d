import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ThinPool } from "../src/thin-pool.ts";
import { ThinStorageProvider } from "../src/thin-storage-provider.ts";
import {
  attach,
  capacityBytes,
  connected,
  createPool,
  detach,
  encryptionOf,
  failure,
  filesWith,
  imagesOf,
  make,
  marker,
  opens,
  read,
  rotate,
  sector,
} from "./encrypted-pool.ts";
import { hostsOf } from "./test-host.ts";
import { connectTo, context, createTestPool, mib } from "./test-pool.ts";
import { keys } from "./test-secrets.ts";

describe("keys", () => {
  it("are refused with a reason, and what they are for is left as it was", async () => {
    await using test = await createPool("here");
    const { provider, secrets } = test;
    const create = (parameters: Readonly<Record<string, string>>) =>
      failure(provider.createVolume({ name: "x", capacityBytes, parameters }, context()));
    expect(await create({ encryption: "luks" })).toEqual(["INVALID_ARGUMENT", "VDC_KEY_REFERENCE"]);
    expect(await create({ keyRef: "Not A Name" })).toEqual(["INVALID_ARGUMENT", "VDC_KEY_REFERENCE"]);
    expect(await create({ encryption: "rot13" })).toEqual(["INVALID_ARGUMENT", "VDC_UNKNOWN_PARAMETER"]);
    expect(await create({ keyRef: "absent" })).toEqual(["PERMISSION_DENIED", "VDC_KEY_UNAVAILABLE"]);
    expect(await create({ keyRef: "key-1@9" })).toEqual(["PERMISSION_DENIED", "VDC_KEY_UNAVAILABLE"]);
    secrets.values.set("weak", ["swordfish"]);
    expect(await create({ keyRef: "weak" })).toEqual(["INVALID_ARGUMENT", "VDC_KEY_TOO_WEAK"]);
    secrets.values.set("long", ["x".repeat(513)]);
    expect(await create({ keyRef: "long" })).toEqual(["PERMISSION_DENIED", "VDC_KEY_UNAVAILABLE"]);
    secrets.unreachable = true;
    expect(await create({ keyRef: "key-1" })).toEqual(["UNAVAILABLE", "VDC_UNAVAILABLE"]);
    secrets.unreachable = false;
    expect((await provider.listVolumes({}, context())).items).toEqual([]);

    const volumeId = await make(test);
    expect(await failure(attach(test, volumeId, { mode: "direct" }))).toEqual([
      "UNIMPLEMENTED",
      "VDC_ENCRYPTED_DIRECT",
    ]);
    expect(await failure(rotate(test, volumeId, "absent"))).toEqual(["PERMISSION_DENIED", "VDC_KEY_UNAVAILABLE"]);
    expect(await failure(rotate(test, volumeId, "weak"))).toEqual(["INVALID_ARGUMENT", "VDC_KEY_TOO_WEAK"]);
    const plain = (await provider.createVolume({ name: "plain", capacityBytes }, context())).volumeId;
    expect(await encryptionOf(test).encryptionStatus({ volumeId: plain }, context())).toEqual({ encrypted: false });
    expect(await failure(rotate(test, plain, "key-1"))).toEqual(["FAILED_PRECONDITION", "VDC_NOT_ENCRYPTED"]);

    // What has another value now does not open it, and the present owner is not cut off for that.
    const attachment = await attach(test, volumeId);
    const client = await connectTo(attachment);
    secrets.values.delete("key-1");
    expect(await failure(attach(test, volumeId))).toEqual(["PERMISSION_DENIED", "VDC_KEY_UNAVAILABLE"]);
    await client.write(sector, 0);
    await client.close();
    await detach(test, attachment);
    secrets.values.set("key-1", [keys["key-2"]]);
    expect(await failure(attach(test, volumeId))).toEqual(["PERMISSION_DENIED", "VDC_WRONG_KEY"]);
    expect(await failure(provider.facets.resize.resizeVolume({ volumeId, capacityBytes: 9 * mib }, context()))).toEqual(
      ["PERMISSION_DENIED", "VDC_WRONG_KEY"],
    );
    expect((await provider.getAttachment({ volumeId }, context())).attachment).toBeUndefined();
    secrets.values.set("key-1", [keys["key-1"]]);
    await connected(test, volumeId, async (client) => expect((await read(client, 0)).equals(sector)).toBe(true));
  });

  it("are of one version: a newer one opens nothing until the volume is given it", async () => {
    await using test = await createPool("here");
    const volumeId = await make(test);
    await connected(test, volumeId, (client) => client.write(sector, 0));
    const newer = "a-newer-value-of-the-first-key-0c77";
    test.secrets.values.set("key-1", [keys["key-1"], newer]);
    await connected(test, volumeId, async (client) => expect((await read(client, 0)).equals(sector)).toBe(true));
    await rotate(test, volumeId, "key-1");
    const [image = ""] = imagesOf(test);
    expect([await opens(image, keys["key-1"]), await opens(image, newer)]).toEqual([false, true]);
    await rotate(test, volumeId, "key-1@1");
    expect([await opens(image, keys["key-1"]), await opens(image, newer)]).toEqual([true, false]);
    expect((await encryptionOf(test).encryptionStatus({ volumeId }, context())).keyRef).toBe("key-1@1");
    // The same spec is the same volume, whatever its key is now.
    expect(await make(test)).toBe(volumeId);
  });

  it("of a pool are those of all that is made in it", async () => {
    await using test = await createPool("here", { keyRef: "key-1" });
    const { provider } = test;
    const describe = async () => (await provider.describe({ scope: {} }, context())).attributes.encryptedAtRest;
    expect(await describe()).toBe(true);
    const { volumeId } = await provider.createVolume({ name: "disk", capacityBytes }, context());
    const source = { path: join(test.folder, "image.raw"), format: "raw" };
    writeFileSync(source.path, Buffer.concat([sector, Buffer.alloc(mib)]));
    const imported = await provider.facets.importExport.importVolume({ name: "imported", source }, context());
    const overlay = await provider.facets.layering.createOverlay(
      { name: "o", parent: { kind: "volume", volumeId } },
      context(),
    );
    for (const made of [volumeId, imported.volumeId, overlay.volumeId]) {
      expect((await encryptionOf(test).encryptionStatus({ volumeId: made }, context())).keyRef).toBe("key-1");
    }
    await connected(test, imported.volumeId, async (client) =>
      expect((await read(client, 0)).equals(sector)).toBe(true),
    );
    expect(filesWith(test.pool.layout.root, marker)).toEqual([]);
    expect(await describe()).toBe(true);
  });

  it("of a pool encrypt the overlays of what was there in the clear, and it says that not all is encrypted", async () => {
    await using test = await createPool("here");
    const { volumeId } = await test.provider.createVolume({ name: "old", capacityBytes }, context());
    await connected(test, volumeId, (client) => client.write(Buffer.alloc(4096, 1), 0));
    test.pool.close();
    const directory = test.pool.layout.root;
    test.pool = await ThinPool.open({
      name: "fast",
      directory,
      hosts: hostsOf(test.hosts),
      secrets: test.secrets,
      keyRef: "key-1",
    });
    test.provider = new ThinStorageProvider(test.pool);
    const { provider } = test;
    expect((await provider.describe({ scope: {} }, context())).attributes.encryptedAtRest).toBe(false);
    const overlay = await provider.facets.layering.createOverlay(
      { name: "o", parent: { kind: "volume", volumeId } },
      context(),
    );
    await connected(test, overlay.volumeId, async (client) => {
      await client.write(sector, 4096);
      expect((await read(client, 0)).equals(Buffer.alloc(4096, 1))).toBe(true);
    });
    expect(filesWith(directory, marker)).toEqual([]);
  });

  it("need a secret store: without one the facet is absent, and the pool's own key is refused", async () => {
    await using test = await createTestPool("here");
    expect(test.provider.facets.encryption).toBeUndefined();
    const { facets } = await test.provider.describe({ scope: {} }, context());
    expect(facets.encryption).toMatchObject({ status: "unavailable", reason: expect.stringContaining("secret store") });
    expect(await failure(make(test))).toEqual(["PERMISSION_DENIED", "VDC_KEY_UNAVAILABLE"]);
    const options = { name: "other", directory: join(test.folder, "other"), hosts: hostsOf([]), keyRef: "key-1" };
    await expect(ThinPool.open(options)).rejects.toMatchObject({ reason: "VDC_NO_SECRET_STORE" });
  });
});
