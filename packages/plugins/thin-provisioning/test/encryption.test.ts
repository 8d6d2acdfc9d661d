import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isVdcError, VdcError } from "@vdc-os/core";
import { createTestRandom } from "@vdc-os/core/testing";
import type { Attachment } from "@vdc-os/core/storage/v1";
import type { NbdClient } from "@vdc-os/nbd";
import { backingFolder, Qcow2Image } from "@vdc-os/qcow2";
import { describe, expect, it } from "vitest";
import { type OpenThinPoolOptions, ThinPool } from "../src/thin-pool.ts";
import { ThinStorageProvider } from "../src/thin-storage-provider.ts";
import { hasQemu } from "./qemu-tools.ts";
import { type HostKind, hostsOf } from "./test-host.ts";
import { connectTo, context, createTestPool, mib, type TestPool } from "./test-pool.ts";
import { createTestSecrets, keys, type TestSecrets } from "./test-secrets.ts";

const marker = Buffer.from("what the guest wrote, and nobody may read ");
const sector = Buffer.alloc(4096, marker);
const capacityBytes = 8 * mib;

interface EncryptedPool extends TestPool {
  readonly secrets: TestSecrets;
}

async function createPool(kind: HostKind, config: Partial<OpenThinPoolOptions> = {}): Promise<EncryptedPool> {
  const secrets = createTestSecrets();
  return Object.assign(await createTestPool(kind, { secrets, ...config }), { secrets });
}

let generation = 0;

function attach({ provider }: TestPool, volumeId: string, more = {}): Promise<Attachment> {
  return provider.attachVolume(
    { volumeId, host: "host-a", access: "readWrite", generation: ++generation, ...more },
    context(),
  );
}

async function detach({ provider }: TestPool, { volumeId, host, generation }: Attachment): Promise<void> {
  await provider.detachVolume({ volumeId, host, generation }, context());
}

/** Does something with a client of a volume that is attached meanwhile. */
async function connected<T>(
  test: TestPool,
  volumeId: string,
  work: (client: NbdClient, attachment: Attachment) => Promise<T>,
): Promise<T> {
  const attachment = await attach(test, volumeId);
  const client = await connectTo(attachment);
  try {
    return await work(client, attachment);
  } finally {
    await client.close().catch(() => {});
    await detach(test, attachment);
  }
}

async function make(test: TestPool, name = "disk", more: Readonly<Record<string, string>> = {}): Promise<string> {
  const parameters = { encryption: "luks", keyRef: "key-1", ...more };
  return (await test.provider.createVolume({ name, capacityBytes, parameters }, context())).volumeId;
}

async function read(client: NbdClient, offset: number): Promise<Buffer> {
  const data = Buffer.alloc(4096);
  await client.read(data, offset);
  return data;
}

function encryptionOf({ provider }: TestPool): NonNullable<typeof provider.facets.encryption> {
  const { encryption } = provider.facets;
  if (encryption === undefined) throw new Error("the facet must be there");
  return encryption;
}

function rotate(test: TestPool, volumeId: string, keyRef: string): Promise<void> {
  return encryptionOf(test).rotateKey({ volumeId, keyRef }, context());
}

/** What an operation fails with: its code and reason. */
async function failure(action: Promise<unknown>): Promise<readonly [string, string]> {
  const error = await action.then(
    () => new VdcError("INTERNAL", "it succeeded"),
    (thrown: unknown) => thrown,
  );
  if (!isVdcError(error)) throw error;
  for (const key of Object.values(keys)) expect(JSON.stringify(error.toJSON())).not.toContain(key);
  return [error.code, error.reason];
}

/** The files below a folder that hold some bytes, with those that are seen through a process's memory of them: sockets and pipes are none. */
function filesWith(folder: string, ...wanted: readonly (string | Buffer)[]): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => statSync(path).isFile())
    .filter((path) => {
      const content = readFileSync(path);
      return wanted.some((bytes) => content.includes(bytes));
    });
}

const secretBytes = [...Object.values(keys), ...Object.values(keys).map((key) => Buffer.from(key).toString("base64"))];

/** All images of a pool. */
function imagesOf({ pool }: TestPool): readonly string[] {
  return readdirSync(pool.layout.volumes, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".qcow2"))
    .map((name) => join(pool.layout.volumes, name));
}

/** Whether a key opens an image by itself. */
async function opens(path: string, key: string): Promise<boolean> {
  try {
    const image = await Qcow2Image.open(path, {
      readOnly: true,
      lock: false,
      passphrase: Buffer.from(key),
      resolveBacking: () => ({
        source: { sizeBytes: 0, read: async () => {}, readSync: () => {}, map: () => [], close: async () => {} },
      }),
    });
    await image.close();
    return true;
  } catch (error) {
    if ((error as { readonly code?: string }).code === "WRONG_PASSPHRASE") return false;
    throw error;
  }
}

/** Connects again and again until the export is there, as a VM does within its reconnect-delay. */
async function reconnect(attachment: Attachment): Promise<NbdClient> {
  const giveUp = Date.now() + 20_000;
  for (;;) {
    try {
      return await connectTo(attachment);
    } catch (error) {
      if (Date.now() > giveUp) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

describe("an encrypted volume", () => {
  it("leaves nothing readable in the pool's folder, and its key nowhere", async () => {
    await using test = await createPool("process");
    const plain = await test.provider.createVolume({ name: "plain", capacityBytes }, context());
    const volumeId = await make(test);
    await connected(test, volumeId, async (client) => {
      for (let at = 0; at < 64; at++) await client.write(sector, at * 12_288);
      await client.flush();
      await test.provider.facets.snapshots.createSnapshot({ name: "s", volumeId }, context());
      await client.write(sector, 500 * 4096);
      await client.trim(0, 4096);
      // Attached, with a journal; what is not flushed is there too.
      expect(filesWith(test.folder, marker)).toEqual([]);
      expect(filesWith(test.folder, ...secretBytes)).toEqual([]);
      const processes = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid));
      for (const pid of processes) {
        for (const file of ["cmdline", "environ"]) {
          let content: Buffer;
          try {
            content = readFileSync(`/proc/${pid}/${file}`);
          } catch {
            // It has ended, or is another user's.
            continue;
          }
          for (const secret of secretBytes) expect(content.includes(secret), `${file} of process ${pid}`).toBe(false);
        }
      }
    });
    const clone = await test.provider.facets.layering.createOverlay(
      { name: "clone", parent: { kind: "volume", volumeId } },
      context(),
    );
    await connected(test, clone.volumeId, (client) => client.write(sector, 100 * 4096));
    await test.provider.facets.layering.copyUp({ volumeId: clone.volumeId }, context());
    await rotate(test, volumeId, "key-2");
    expect(filesWith(test.folder, marker)).toEqual([]);
    expect(filesWith(test.folder, ...secretBytes)).toEqual([]);
    // The test would find what is there to be found.
    await connected(test, plain.volumeId, (client) => client.write(sector, 0));
    expect(filesWith(test.folder, marker)).toEqual([test.pool.layout.image(plain.volumeId)]);
  });

  it.skipIf(!hasQemu)("is LUKS to QEMU, which reads all its images with the key and none without", async () => {
    await using test = await createPool("here");
    const { provider, pool } = test;
    const volumeId = await make(test);
    await connected(test, volumeId, async (client) => {
      await client.write(sector, 0);
      await provider.facets.snapshots.createSnapshot({ name: "s", volumeId }, context());
      await client.write(Buffer.alloc(4096, 7), 65_536);
    });
    const clone = await provider.facets.layering.createOverlay(
      { name: "clone", parent: { kind: "volume", volumeId } },
      context(),
    );
    await connected(test, clone.volumeId, (client) => client.write(Buffer.alloc(4096, 9), 2 * mib));
    await rotate(test, volumeId, "key-2");
    const files = Object.entries(keys).map(([name, value]) => {
      const file = join(test.folder, name);
      writeFileSync(file, value);
      return ["--object", `secret,id=${name},file=${file}`];
    });
    const qemu = (tool: string, ...args: readonly string[]): string => {
      // QEMU measures what a passphrase costs, and gives up where the machine is too busy for that.
      for (let attempt = 1; ; attempt++) {
        try {
          return execFileSync(tool, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
        } catch (error) {
          if (attempt === 5 || !String(error).includes("accurate CPU usage")) throw error;
        }
      }
    };
    for (const image of imagesOf(test)) {
      const info = JSON.parse(qemu("qemu-img", "info", "--output=json", image)) as {
        readonly encrypted?: boolean;
        readonly "format-specific": { readonly data: { readonly encrypt?: Readonly<Record<string, unknown>> } };
      };
      expect(info.encrypted).toBe(true);
      expect(info["format-specific"].data.encrypt).toMatchObject({
        format: "luks",
        "cipher-alg": "aes-256",
        "cipher-mode": "xts",
      });
      expect(() => execFileSync("qemu-io", ["-r", "-c", "read 0 512", image], { stdio: "pipe" })).toThrow();
    }
    const lower = `driver=qcow2,file.filename=${pool.layout.image(volumeId)},encrypt.key-secret=key-2`;
    const [snapshot] = (await provider.facets.snapshots.listSnapshots({}, context())).items;
    const layer = pool.layout.layer(volumeId, snapshot?.snapshotId ?? "");
    const chain = `${lower},backing.driver=qcow2,backing.file.filename=${layer},backing.encrypt.key-secret=key-2`;
    const objects = files.flat();
    const text = qemu(
      "qemu-io",
      ...objects,
      "-r",
      "--image-opts",
      "-c",
      "read -v 0 64",
      "-c",
      "read -P 7 65536 4096",
      chain,
    );
    expect(text).toContain("what.the.guest.w");
    expect(text).not.toContain("verification failed");
    const upper =
      `driver=qcow2,file.filename=${pool.layout.image(clone.volumeId)},encrypt.key-secret=key-1,` +
      chain.replace(/(^|,)(?=driver|file|encrypt|backing)/g, "$1backing.");
    const raw = join(test.folder, "clone.raw");
    qemu("qemu-img", "convert", ...objects, "--image-opts", "-O", "raw", upper, raw);
    const exported = join(test.folder, "exported.raw");
    await provider.facets.importExport.exportVolume(
      { volumeId: clone.volumeId, destination: { path: exported, format: "raw" } },
      context(),
    );
    expect(readFileSync(raw).equals(readFileSync(exported))).toBe(true);
    expect(readFileSync(raw).subarray(0, 4096).equals(sector)).toBe(true);
    for (const disk of [`driver=qcow2,file.filename=${layer},encrypt.key-secret=key-2`, chain, upper]) {
      expect(qemu("qemu-img", "check", ...objects, "--image-opts", disk)).toContain("No errors");
    }
  });

  it("waits for its key after its storage process was killed, and gets it when it can be had", async () => {
    await using test = await createPool("process");
    const { provider, hosts } = test;
    const volumeId = await make(test);
    const attachment = await attach(test, volumeId);
    const client = await connectTo(attachment);
    await client.write(sector, 0);
    const { snapshotId } = await provider.facets.snapshots.createSnapshot({ name: "s", volumeId }, context());
    const shown = await provider.facets.snapshots.attachSnapshot({ snapshotId, host: "host-a" }, context());
    // Answered, and never flushed.
    await client.write(sector, 8192);
    test.secrets.unreachable = true;
    await hosts[0].kill();
    await hosts[0].restart();
    await expect(connectTo(attachment)).rejects.toThrow();
    expect(await provider.health({ volumeId }, context())).toMatchObject({
      condition: "degraded",
      message: expect.stringContaining("waits for its key"),
    });
    expect(await failure(provider.facets.resize.resizeVolume({ volumeId, capacityBytes: 9 * mib }, context()))).toEqual(
      ["UNAVAILABLE", "VDC_KEY_NEEDED"],
    );
    test.secrets.unreachable = false;
    const again = await reconnect(attachment);
    expect((await read(again, 0)).equals(sector)).toBe(true);
    expect((await read(again, 8192)).equals(sector)).toBe(true);
    const reader = await reconnect(shown as unknown as Attachment);
    expect((await read(reader, 0)).equals(sector)).toBe(true);
    expect(await provider.health({ volumeId }, context())).toMatchObject({ condition: "healthy" });
    await reader.close();
    await again.close();

    // A manager that was restarted brings keys as well.
    await hosts[0].kill();
    await test.reopen();
    await hosts[0].restart();
    const third = await reconnect(attachment);
    expect((await read(third, 8192)).equals(sector)).toBe(true);
    await third.close();

    // What is revoked while it waits is not served again.
    test.secrets.unreachable = true;
    await hosts[0].kill();
    await hosts[0].restart();
    await test.provider.revokeAttachment({ volumeId, generation: attachment.generation }, context());
    test.secrets.unreachable = false;
    const next = await attach(test, volumeId);
    await expect(connectTo(attachment)).rejects.toThrow();
    await detach(test, next);
  });

  it("keeps its content and loses its old key in all its images, while it is written and read", async () => {
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

  it("has one key in the end, whenever its storage process is killed while that is changed", async () => {
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
      for (const giveUp = Date.now() + 20_000; isLeft(); ) {
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

  it("is given its key when its host can be reached again, without anybody asking anew", async () => {
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

  it("is merged, reverted, reclaimed, grown, tracked and copied up as any other", async () => {
    await using test = await createPool("here");
    const { provider } = test;
    const { snapshots, resize, discard, changedBlocks, layering } = provider.facets;
    const volumeId = await make(test, "disk", { detectZeroes: "true" });
    const { checkpoint } = await changedBlocks.createCheckpoint({ volumeId, name: "c" }, context());
    await connected(test, volumeId, async (client) => {
      for (let at = 0; at < 256; at++) await client.write(sector, at * 4096);
      const first = await snapshots.createSnapshot({ name: "first", volumeId }, context());
      await client.write(Buffer.alloc(4096, 1), 0);
      await client.trim(131_072, 65_536);
      await resize.resizeVolume({ volumeId, capacityBytes: 12 * mib }, context());
      await snapshots.deleteSnapshot({ snapshotId: first.snapshotId }, context());
      await discard.reclaim({ volumeId }, context());
      expect((await read(client, 8192)).equals(sector)).toBe(true);
      expect((await read(client, 131_072)).equals(Buffer.alloc(4096))).toBe(true);
    });
    const changed: number[] = [];
    for await (const { offset } of changedBlocks.changedExtents({ volumeId, since: checkpoint }, context()))
      changed.push(offset);
    expect(changed).toContain(0);
    const second = await snapshots.createSnapshot({ name: "second", volumeId }, context());
    await connected(test, volumeId, (client) => client.write(Buffer.alloc(4096, 5), 8192));
    await snapshots.revertToSnapshot({ volumeId, snapshotId: second.snapshotId }, context());
    await discard.reclaim({ volumeId }, context());
    await resize.resizeVolume({ volumeId, capacityBytes: 16 * mib }, context());
    await connected(test, volumeId, async (client) => {
      expect((await read(client, 0)).equals(Buffer.alloc(4096, 1))).toBe(true);
      expect((await read(client, 8192)).equals(sector)).toBe(true);
    });
    const parent = { kind: "snapshot", snapshotId: second.snapshotId } as const;
    const clone = (await layering.createOverlay({ name: "clone", parent }, context())).volumeId;
    await rotate(test, clone, "key-2");
    await layering.copyUp({ volumeId: clone }, context());
    await connected(test, clone, async (client) => expect((await read(client, 8192)).equals(sector)).toBe(true));
    for (const image of imagesOf(test)) {
      await using opened = await Qcow2Image.open(image, {
        readOnly: true,
        resolveBacking: backingFolder(test.pool.layout.volumes),
        passphrase: Object.values(keys).map((key) => Buffer.from(key)),
      });
      expect(await opened.check()).toMatchObject({ corruptions: 0, leaks: 0 });
    }
    expect(filesWith(test.pool.layout.root, marker)).toEqual([]);
  });
});

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
