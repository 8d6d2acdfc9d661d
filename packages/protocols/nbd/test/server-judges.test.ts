import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createMemoryDisk, type MemoryDisk } from "../test/memory-disk.ts";
import { runTool, toolsPresent } from "../test/tool.ts";
import { NbdServer, openRawFile } from "../src/index.ts";

const MIB = 1024 * 1024;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nbd-peers-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("our server, judged by other clients", () => {
  let server: NbdServer;
  let disk: MemoryDisk;
  let uri: string;

  beforeEach(async () => {
    server = new NbdServer();
    disk = createMemoryDisk(64 * MIB);
    const changed = [
      { length: MIB, dirty: false },
      { length: 63 * MIB, dirty: true },
    ];
    const bitmaps = () => [
      { name: "nightly", extents: (offset: number) => (offset < MIB ? changed : changed.slice(1)) },
    ];
    server.addExport({
      name: "d",
      backend: { ...disk, sparseReads: true, bitmaps },
      description: "a disk in memory",
    });
    server.addExport({ name: "ro", backend: createMemoryDisk(MIB), readOnly: true });
    const path = join(folder, "s");
    await server.listenUnix(path);
    uri = `nbd+unix:///d?socket=${path}`;
  });

  afterEach(async () => {
    await server.close();
  });

  test.skipIf(!toolsPresent("nbdinfo"))("nbdinfo lists exports and what they can do", async () => {
    const { exports: list } = JSON.parse(await runTool("nbdinfo", "--list", "--json", uri)) as {
      readonly exports: readonly Record<string, unknown>[];
    };
    expect(list).toMatchObject([
      {
        "export-name": "d",
        description: "a disk in memory",
        "export-size": 64 * MIB,
        contexts: ["base:allocation", "qemu:dirty-bitmap:nightly"],
        is_read_only: false,
        can_df: true,
        can_flush: true,
        can_fua: true,
        can_multi_conn: true,
        can_trim: true,
        can_zero: true,
        can_cache: false,
        can_fast_zero: false,
        block_size_maximum: 32 * MIB,
      },
      { "export-name": "ro", is_read_only: true, can_trim: false, can_zero: false },
    ]);
    for (const what of ["connect", "df", "flush", "fua", "multi-conn", "trim", "write", "zero", "structured-reply"]) {
      await runTool("nbdinfo", "--can", what, uri);
    }
    await runTool("nbdinfo", "--is", "read-only", uri.replace("/d?", "/ro?"));
    await expect(runTool("nbdinfo", "--can", "cache", uri)).rejects.toThrow();
    expect(await runTool("nbdinfo", "--size", uri)).toBe(`${64 * MIB}\n`);
  });

  test.skipIf(!toolsPresent("nbdinfo", "qemu-img"))("nbdinfo and qemu-img read a dirty bitmap", async () => {
    const map = await runTool("nbdinfo", "--map=qemu:dirty-bitmap:nightly", "--json", uri);
    expect(JSON.parse(map)).toMatchObject([
      { offset: 0, length: MIB, type: 0 },
      { offset: MIB, length: 63 * MIB, type: 1 },
    ]);
    const path = uri.slice(uri.indexOf("=") + 1);
    const image = `driver=nbd,server.type=unix,server.path=${path},export=d,x-dirty-bitmap=qemu:dirty-bitmap:nightly`;
    // With this option QEMU tells what is dirty as holes do: by "data": false.
    const qemuMap = JSON.parse(await runTool("qemu-img", "map", "--output=json", "--image-opts", image));
    expect(qemuMap).toMatchObject([
      { start: 0, length: MIB, data: true },
      { start: MIB, length: 63 * MIB, data: false },
    ]);
  });

  test.skipIf(!toolsPresent("nbdinfo", "qemu-io"))("qemu-io and nbdinfo agree on data, zeroes and holes", async () => {
    const steps = ["write -P 7 1M 2M", "write -z 2M 64k", "discard 3M 64k", "write -f -P 9 8M 4k", "flush"];
    const checks = ["read -P 7 1M 1M", "read -P 0 2M 64k", "read -P 9 8M 4k", "read -P 0 32M 32M", "aio_write 40M 1M"];
    const commands = [...steps, ...checks].flatMap((command) => ["-c", command]);
    expect(await runTool("qemu-io", "-f", "raw", ...commands, uri)).not.toContain("verification failed");
    const map = JSON.parse(await runTool("nbdinfo", "--map", "--json", uri)) as readonly Record<string, unknown>[];
    expect(map.slice(0, 4)).toMatchObject([
      { offset: 0, length: MIB, type: 3 },
      { offset: MIB, length: MIB, type: 0 },
      { offset: 2 * MIB, length: 65536, type: 2 },
      { offset: 2 * MIB + 65536, length: MIB - 65536, type: 0 },
    ]);
    const ro = uri.replace("/d?", "/ro?");
    await expect(runTool("qemu-io", "-f", "raw", "-c", "write 0 4k", ro)).rejects.toThrow();
    expect(await runTool("qemu-io", "-r", "-f", "raw", "-c", "read -P 0 0 1M", ro)).toContain("read 1048576/1048576");
  });

  test.skipIf(!toolsPresent("nbdcopy", "qemu-img"))("nbdcopy and qemu-img copy in both directions", async () => {
    const source = Buffer.alloc(64 * MIB);
    for (let at = 0; at < source.length; at += 3 * MIB) source.fill(`block ${at} `, at, at + MIB);
    const file = join(folder, "in.img");
    const back = join(folder, "out.img");
    await writeFile(file, source);
    await runTool("nbdcopy", "--connections=4", file, uri);
    expect(disk.bytes.equals(source)).toBe(true);
    await runTool("nbdcopy", "--connections=4", uri, back);
    expect((await readFile(back)).equals(source)).toBe(true);
    expect(await runTool("qemu-img", "compare", "-f", "raw", "-F", "raw", file, uri)).toContain("identical");
    disk.bytes.fill(1);
    await runTool("qemu-img", "convert", "-n", "-W", "-m", "8", "-f", "raw", "-O", "raw", file, uri);
    expect(disk.bytes.equals(source)).toBe(true);
  });

  test.skipIf(!toolsPresent("fio"))("fio verifies random writes on a file, over TCP too", async () => {
    const file = openRawFile(join(folder, "disk.raw"), { sizeBytes: 32 * MIB });
    try {
      server.addExport({ name: "file", backend: file });
      const port = await server.listenTcp(0, { tls: "off" });
      for (const target of [uri.replace("/d?", "/file?"), `nbd://127.0.0.1:${port}/file`]) {
        const out = await runTool(
          "fio",
          ...["--name=v", "--ioengine=nbd", `--uri=${target}`, "--rw=randrw", "--bsrange=512-128k", "--iodepth=16"],
          ...[
            "--size=32m",
            "--io_size=24m",
            "--verify=crc32c",
            "--verify_fatal=1",
            "--verify_state_save=0",
            "--fsync=64",
            "--randseed=5",
          ],
          "--output-format=json",
        );
        const { jobs } = JSON.parse(out.slice(out.indexOf("{"))) as {
          readonly jobs: readonly { readonly error: number }[];
        };
        expect(jobs.map(({ error }) => error)).toEqual([0]);
      }
    } finally {
      await server.close();
      file.close();
    }
  });
});
