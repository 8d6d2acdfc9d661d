import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Attachment } from "@vdc-os/core/storage/v1";
import { backingFolder, Qcow2Image } from "@vdc-os/qcow2";
import { describe, expect, it } from "vitest";
import {
  attach,
  capacityBytes,
  connected,
  createPool,
  detach,
  failure,
  filesWith,
  imagesOf,
  make,
  marker,
  read,
  reconnect,
  rotate,
  secretBytes,
  sector,
} from "./encrypted-pool.ts";
import { hasQemu } from "./qemu-tools.ts";
import { connectTo, context, mib } from "./test-pool.ts";
import { keys } from "./test-secrets.ts";

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

  it("waits for its key after its storage process was killed, and gets it when it can be had", {
    timeout: 120_000,
  }, async () => {
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
