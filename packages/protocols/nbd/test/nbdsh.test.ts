import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { NbdServer } from "../src/index.ts";
import { createMemoryDisk, type MemoryDisk } from "./memory-disk.ts";
import { runTool } from "./tool.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Debian's Python has the bindings; another one that comes first in the path would not find them. */
const PYTHON = "/usr/bin/python3";

function nbdsh(...lines: readonly string[]): Promise<string> {
  return runTool(PYTHON, "-c", `import nbd, errno\nh = nbd.NBD()\n${lines.join("\n")}`);
}

const hasLibnbd = await runTool(PYTHON, "-c", "import nbd").then(
  () => true,
  () => {
    const text = "not installed: python3-libnbd; what nbdsh would judge is not tested";
    if (process.env.CI) throw new Error(text);
    console.warn(`SKIPPED: ${text}`);
    return false;
  },
);

describe.skipIf(!hasLibnbd)("our server, judged by libnbd's scripts", () => {
  let folder: string;
  let server: NbdServer;
  let disk: MemoryDisk;
  let connect: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "nbd-nbdsh-"));
    const path = join(folder, "s");
    server = new NbdServer();
    disk = createMemoryDisk(16 * MIB);
    disk.write(Buffer.alloc(4096, "x"), MIB);
    const changed = [
      { length: MIB, dirty: true },
      { length: 15 * MIB, dirty: false },
    ];
    const bitmaps = () => [{ name: "b", extents: (offset: number) => (offset < MIB ? changed : changed.slice(1)) }];
    const cache = () => {};
    server.addExport({ name: "d", backend: { ...disk, bitmaps, cache, sparseReads: true, fastZeroes: true } });
    server.addExport({ name: "ro", backend: createMemoryDisk(MIB), readOnly: true, description: "for reading" });
    await server.listenUnix(path);
    connect = `h.connect_uri("nbd+unix:///d?socket=${path}")`;
  });

  afterEach(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  test("a sparse read comes in parts, and whole with DF", async () => {
    const out = await nbdsh(
      connect,
      "parts = []",
      "def f(buf, off, status, err):",
      "    parts.append((off, len(buf), status == nbd.READ_HOLE))",
      "buf = h.pread_structured(2 << 20, 0, f)",
      "assert buf[1 << 20:(1 << 20) + 4096] == b'x' * 4096 and buf[:1 << 20] == bytes(1 << 20)",
      "print(sorted(parts))",
      "parts = []",
      "h.pread_structured(2 << 20, 0, f, nbd.CMD_FLAG_DF)",
      "print(parts)",
    );
    expect(out.split("\n").slice(0, 2)).toEqual([
      "[(0, 1048576, True), (1048576, 4096, False), (1052672, 1044480, True)]",
      "[(0, 2097152, False)]",
    ]);
  });

  test("contexts are listed, selected and answered together", async () => {
    const out = await nbdsh(
      "h.add_meta_context('base:allocation')",
      "h.add_meta_context('qemu:dirty-bitmap:b')",
      connect,
      "got = []",
      "def f(context, offset, entries, err):",
      "    got.append((context, offset, list(entries)))",
      "h.block_status(16 << 20, 0, f)",
      "print(sorted(got))",
      "got = []",
      "h.block_status(16 << 20, 0, f, nbd.CMD_FLAG_REQ_ONE)",
      "print(sorted(got))",
    );
    expect(out.split("\n").slice(0, 2)).toEqual([
      "[('base:allocation', 0, [1048576, 3, 4096, 0, 15724544, 3]), ('qemu:dirty-bitmap:b', 0, [1048576, 1, 15728640, 0])]",
      "[('base:allocation', 0, [1048576, 3]), ('qemu:dirty-bitmap:b', 0, [1048576, 1])]",
    ]);
  });

  test("every command and flag does what it says", async () => {
    await nbdsh(
      connect,
      "assert h.can_cache() and h.can_fast_zero() and h.can_df() and h.can_fua() and h.can_multi_conn()",
      "assert h.get_block_size(nbd.SIZE_MAXIMUM) == 32 << 20 and h.get_block_size(nbd.SIZE_MINIMUM) == 1",
      "h.pwrite(b'abc' * 1000, 4095, nbd.CMD_FLAG_FUA)",
      "assert h.pread(3000, 4095) == b'abc' * 1000",
      "h.zero(8192, 4096, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FAST_ZERO)",
      "assert h.pread(8192, 4096) == bytes(8192)",
      "h.cache(1 << 20, 0)",
      "h.trim(1 << 20, 0)",
      "h.flush()",
      "h.shutdown()",
    );
    expect(disk.calls).toMatchObject({ trim: 1, writeZeroes: 1, flush: 2 });
  });

  test("what a client may not do fails by its name, though libnbd's own checks are off", async () => {
    const refused = (call: string, name: string): string[] => [
      "try:",
      `    ${call}`,
      "    assert False",
      "except nbd.Error as e:",
      `    assert e.errno == '${name}', (e.errno, e.string)`,
    ];
    await nbdsh(
      "h.set_strict_mode(0)",
      connect,
      ...refused("h.pread(2, (16 << 20) - 1)", "EINVAL"),
      ...refused("h.pwrite(b'12', (16 << 20) - 1)", "ENOSPC"),
      ...refused("h.zero(2, (16 << 20) - 1)", "ENOSPC"),
      ...refused("h.trim(2, (16 << 20) - 1)", "EINVAL"),
      ...refused("h.pread(1, 0, 1 << 9)", "EINVAL"),
      "assert h.pread(1, 0) == b'\\0'",
      "h.shutdown()",
      "h = nbd.NBD()",
      "h.set_strict_mode(0)",
      connect.replace("/d?", "/ro?"),
      ...refused("h.pwrite(b'12', 0)", "EPERM"),
      ...refused("h.trim(512, 0)", "EPERM"),
    );
  });

  test("negotiating by hand: structured replies late, no export, another export, the old way", async () => {
    const byHand = connect.replace("/d?", "/none?");
    await nbdsh(
      "h.set_opt_mode(True)",
      byHand,
      "names = []",
      "h.opt_list(lambda name, text: names.append((name, text)))",
      "assert names == [('d', ''), ('ro', 'for reading')], names",
      "try:",
      "    h.opt_go()",
      "    assert False",
      "except nbd.Error:",
      "    pass",
      "h.set_export_name('d')",
      "h.opt_info()",
      "assert h.get_size() == 16 << 20",
      "contexts = []",
      "h.opt_list_meta_context(lambda name: contexts.append(name))",
      "assert contexts == ['base:allocation', 'qemu:dirty-bitmap:b'], contexts",
      "h.opt_go()",
      "assert h.pread(1, 1 << 20) == b'x'",
      "h.shutdown()",
      "h = nbd.NBD()",
      "h.set_request_structured_replies(False)",
      connect,
      "assert not h.get_structured_replies_negotiated() and h.pread(1, 1 << 20) == b'x'",
    );
  });

  test("a thousand requests in flight are all answered", async () => {
    await nbdsh(
      connect,
      "jobs = [h.aio_pread(nbd.Buffer(4096), i * 4096) for i in range(1000)]",
      "jobs += [h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b'q' * 4096)), (8 << 20) + i * 4096) for i in range(1000)]",
      "while h.aio_in_flight() > 0 or any(not h.aio_command_completed(j) for j in jobs if j is not None):",
      "    done = [j for j in jobs if h.aio_command_completed(j)]",
      "    jobs = [j for j in jobs if j not in done]",
      "    if not jobs: break",
      "    h.poll(1000)",
      "assert h.pread(4096, (8 << 20) + 999 * 4096) == b'q' * 4096",
    );
    expect(disk.calls).toMatchObject({ read: 1001, write: 1001 });
  });
});
