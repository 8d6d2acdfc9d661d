import { existsSync, readlinkSync, writeFileSync } from "node:fs";
import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { killProcess } from "@vdc-os/core/local";
import { NbdServer } from "@vdc-os/nbd";
import { describe, expect, test } from "vitest";
import { localPresenter, type Presented } from "../src/server/volume-presenter.ts";
import { mib, temporaryFolder } from "./csi-pair.ts";
import { describeWithFuse } from "./fuse-tools.ts";

const presenter = localPresenter();

describe("files and block devices", () => {
  test("are linked to, and the link alone goes", async () => {
    using folder = temporaryFolder();
    const [file, path] = [join(folder.path, "disk.raw"), join(folder.path, "target")];
    writeFileSync(file, "disk");
    const transport = { kind: "file", path: file, format: "raw" } as const;
    const standing = await presenter.present({ transport, path, access: "readWrite", narrowed: false });
    expect(readlinkSync(path)).toBe(file);
    expect(await presenter.isPresent(standing)).toBe(true);
    await presenter.withdraw(standing);
    await presenter.withdraw(standing);
    expect([existsSync(path), existsSync(file)]).toEqual([false, true]);
    expect(await presenter.isPresent(standing)).toBe(false);
  });

  test("can't be what they are not: another format, a network's, or read-only by a link", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "target");
    const failure = { code: "FAILED_PRECONDITION", reason: "VDC_CSI_PUBLISH_FAILED" };
    const refused = (transport: Parameters<typeof presenter.present>[0]["transport"], narrowed = false) =>
      expect(presenter.present({ transport, path, access: "readOnly", narrowed })).rejects.toMatchObject(failure);
    await refused({ kind: "file", path: "/disk.qcow2", format: "qcow2" });
    await refused({ kind: "iscsi", portal: "127.0.0.1", target: "iqn.x", lun: 0 });
    await refused({ kind: "file", path: "/disk.raw", format: "raw" }, true);
    expect(existsSync(path)).toBe(false);
  });
});

describeWithFuse("an NBD export as a file", () => {
  const served = async (folder: string, access: "readWrite" | "readOnly") => {
    const data = Buffer.alloc(mib);
    const server = new NbdServer();
    const socket = join(folder, "nbd.sock");
    await server.listenUnix(socket);
    server.addExport({
      name: "pool/disk@1",
      backend: {
        sizeBytes: mib,
        read: (target, offset) => void data.copy(target, 0, offset),
        write: (source, offset) => void source.copy(data, offset),
        flush: () => undefined,
      },
    });
    const transport = { kind: "nbd-unix", path: socket, exportName: "pool/disk@1" } as const;
    const path = join(folder, "with blank");
    return { data, server, path, standing: await presenter.present({ transport, path, access, narrowed: false }) };
  };

  test("is read and written; who has it open is cut off when it is withdrawn", async () => {
    using folder = temporaryFolder();
    const { data, server, path, standing } = await served(folder.path, "readWrite");
    expect((await stat(path)).size).toBe(mib);
    const file = await open(path, "r+");
    await file.write("hello", 4096);
    await file.sync();
    expect(data.subarray(4096, 4101).toString()).toBe("hello");
    // The server is in this process: a call that blocks it would wait for itself.
    expect((await readFile(path)).equals(data)).toBe(true);
    await presenter.withdraw(standing);
    await expect(file.write("late", 0)).rejects.toThrow();
    await file.close().catch(() => {});
    expect(existsSync(path)).toBe(false);
    await server.close();
  });

  test("that is read-only refuses writers", async () => {
    using folder = temporaryFolder();
    const { server, path, standing } = await served(folder.path, "readOnly");
    await expect(open(path, "r+")).rejects.toThrow();
    await presenter.withdraw(standing);
    await server.close();
  });

  test("whose process was killed does not stand any more, and is taken away all the same", async () => {
    using folder = temporaryFolder();
    const { server, path, standing } = await served(folder.path, "readWrite");
    await killProcess((standing as Extract<Presented, { kind: "fuse" }>).process);
    expect(await presenter.isPresent(standing)).toBe(false);
    await presenter.withdraw(standing);
    expect(existsSync(path)).toBe(false);
    await server.close();
  });

  test("that nobody serves fails with what the program said, and leaves nothing", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "target");
    const transport = { kind: "nbd-unix", path: join(folder.path, "none.sock"), exportName: "x" } as const;
    const made = presenter.present({ transport, path, access: "readWrite", narrowed: false });
    await expect(made).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "VDC_CSI_PUBLISH_FAILED" });
    expect([existsSync(path), existsSync(`${path}.log`)]).toEqual([false, false]);
  });
});
