import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hasQemu, qemuCheck, qemuImg, qemuIo } from "./qemu-tools.ts";
import { connectTo, context, createTestPool, mib } from "./test-pool.ts";

describe.skipIf(!hasQemu)("the pool's files and exports, judged by QEMU", () => {
  it("serves QEMU, and leaves images that it finds sound", async () => {
    await using test = await createTestPool("here");
    const { provider } = test;
    const { volumeId } = await provider.createVolume({ name: "disk", capacityBytes: 64 * mib }, context());
    const attach = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
    const { transport } = await provider.attachVolume(attach, context());
    if (transport.kind !== "nbd-unix") throw new Error("it is not served");
    await qemuIo(transport.path, transport.exportName, "write -P 17 1M 3M", "flush", "read -P 17 1M 3M");
    await qemuIo(transport.path, transport.exportName, "write -z 2M 1M", "discard 3M 512k", "read -P 0 2M 1M");
    await provider.detachVolume(attach, context());
    const image = test.pool.layout.image(volumeId);
    qemuCheck(image);

    const layering = provider.facets.layering;
    const child = await layering.createOverlay({ name: "child", parent: { kind: "volume", volumeId } }, context());
    const second = { ...attach, volumeId: child.volumeId };
    const served = await provider.attachVolume(second, context());
    if (served.transport.kind !== "nbd-unix") throw new Error("it is not served");
    const { path, exportName } = served.transport;
    await qemuIo(path, exportName, "read -P 17 1M 1M", "write -P 34 10M 64k", "flush");
    // An old client that connects again asks for an export that is no more.
    await provider.attachVolume({ ...second, generation: 2 }, context());
    await expect(qemuIo(path, exportName, "read 0 512")).rejects.toThrow();
    await provider.detachVolume({ ...second, generation: 2 }, context());
    const childImage = test.pool.layout.image(child.volumeId);
    qemuCheck(childImage);

    const raw = join(test.folder, "child.raw");
    await provider.facets.importExport.exportVolume(
      { volumeId: child.volumeId, destination: { path: raw, format: "raw" } },
      context(),
    );
    expect(qemuImg("compare", "-f", "raw", "-F", "qcow2", raw, childImage)).toContain("identical");
    await layering.copyUp({ volumeId: child.volumeId }, context());
    qemuCheck(childImage);
    expect(qemuImg("compare", "-f", "raw", "-F", "qcow2", raw, childImage)).toContain("identical");
    expect(qemuImg("info", "--output=json", childImage)).not.toContain("backing-filename");
    const imported = await provider.facets.importExport.importVolume(
      { name: "imported", source: { path: raw, format: "raw" } },
      context(),
    );
    expect(qemuImg("compare", "-f", "raw", "-F", "qcow2", raw, test.pool.layout.image(imported.volumeId))).toContain(
      "identical",
    );
    await provider.facets.resize.resizeVolume({ volumeId: child.volumeId, capacityBytes: 128 * mib }, context());
    qemuCheck(childImage);
  });

  it("keeps what was flushed when the storage process is killed under writes, and serves on after its restart", async () => {
    await using test = await createTestPool("process");
    const { provider } = test;
    const [host] = test.hosts;
    const { volumeId } = await provider.createVolume({ name: "disk", capacityBytes: 32 * mib }, context());
    const attach = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
    const attachment = await provider.attachVolume(attach, context());
    // What each block must hold at least: the last round that was flushed before the kill.
    const flushed = new Map<number, number>();
    for (let round = 1; round <= (process.env.VDC_DEEP ? 20 : 4); round++) {
      const client = await connectTo(attachment);
      let acknowledged = 0;
      const dying = Promise.withResolvers<void>();
      const writing = (async () => {
        for (let step = 0; ; step++) {
          const blocks = Array.from({ length: 16 }, (_, index) => ((step * 16 + index) * 7) % 500);
          await Promise.all(blocks.map((block) => client.write(Buffer.alloc(4096, round), block * 65_536)));
          await client.flush();
          for (const block of blocks) flushed.set(block, round);
          if (++acknowledged === round * 3) dying.resolve();
        }
      })();
      const ended = writing.catch(() => {});
      await dying.promise;
      await host.kill();
      await ended;
      await host.restart();
      const reader = await connectTo(attachment);
      for (const [block, least] of flushed) {
        const data = Buffer.alloc(4096);
        await reader.read(data, block * 65_536);
        const [value = 0] = data;
        expect(data.every((byte) => byte === value)).toBe(true);
        expect(value).toBeGreaterThanOrEqual(least);
      }
      await reader.close();
    }
    await provider.detachVolume(attach, context());
    qemuCheck(test.pool.layout.image(volumeId));
  });

  it("does not serve a revoked owner again when the storage process is restarted", async () => {
    await using test = await createTestPool("process");
    const { provider } = test;
    const { volumeId } = await provider.createVolume({ name: "disk", capacityBytes: 8 * mib }, context());
    const attach = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
    const first = await provider.attachVolume(attach, context());
    await provider.revokeAttachment({ volumeId, generation: 1 }, context());
    await test.hosts[0].kill();
    await test.hosts[0].restart();
    await expect(connectTo(first)).rejects.toThrow();
    // A process that was killed while it served is taken for dead, and told by the record when it starts.
    const second = await provider.attachVolume({ ...attach, generation: 2 }, context());
    await test.hosts[0].kill();
    await provider.revokeAttachment({ volumeId, generation: 2 }, context());
    await test.hosts[0].restart();
    await expect(connectTo(second)).rejects.toThrow();
  });
});
