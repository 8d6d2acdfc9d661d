import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createOperationContext } from "@vdc-os/core";
import { createTestPool, type TestPool } from "../test/test-pool.ts";

/** A server with one disk, whatever stands behind it. */
export interface DiskServer extends AsyncDisposable {
  readonly name: string;
  readonly uri: string;
  /** Processor time that its process has taken so far, in microseconds. */
  cpuMicroseconds(): number;
  /** What its process has in memory now, in bytes. */
  residentBytes(): number;
}

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1e6;
}

function residentOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
}

/** The processes that this one has started, and those that they have. */
function descendants(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number),
  );
  return children.flatMap((child) => [child, ...descendants(child)]);
}

/** A folder on the file system that is measured: `VDC_BENCH_FOLDER`, or the system's temporary one. */
export function benchFolder(): string {
  return mkdtempSync(join(process.env.VDC_BENCH_FOLDER ?? process.env.TMPDIR ?? "/tmp", "vdc-bench-"));
}

/** A pool whose storage process is a real one, as on a host. */
export class OurPool implements AsyncDisposable {
  readonly #pool: TestPool;
  #pid: number | undefined;
  #generation = 0;

  private constructor(pool: TestPool) {
    this.#pool = pool;
  }

  static async open(): Promise<OurPool> {
    return new OurPool(await createTestPool("process", { maxOverSubscription: 1000 }));
  }

  get provider(): TestPool["provider"] {
    return this.#pool.provider;
  }

  /** The image file of a volume. */
  imageOf(volumeId: string): string {
    return this.#pool.pool.catalog.layout.image(volumeId);
  }

  /** A new volume. */
  async create(name: string, capacityBytes: number): Promise<string> {
    const { volumeId } = await this.provider.createVolume({ name, capacityBytes }, createOperationContext());
    return volumeId;
  }

  /** Resolves when the files of all volumes are there. */
  filesMade(): Promise<void> {
    return this.#pool.pool.catalog.filesMade();
  }

  /** Does what the first use of a volume waits for. */
  persist(volumeId: string): Promise<void> {
    return this.#pool.pool.catalog.get(volumeId).persist();
  }

  async remove(volumeId: string): Promise<void> {
    await this.provider.deleteVolume({ volumeId }, createOperationContext());
  }

  async serve(volumeId: string): Promise<DiskServer> {
    const before = new Set(descendants(process.pid));
    const generation = ++this.#generation;
    const attachment = await this.provider.attachVolume(
      { volumeId, host: "host-a", access: "readWrite", generation },
      createOperationContext(),
    );
    this.#pid ??= descendants(process.pid).find((pid) => !before.has(pid));
    const pid = this.#pid;
    const { transport } = attachment;
    if (pid === undefined || transport.kind !== "nbd-unix") throw new Error("the storage process was not found");
    return {
      name: "ours",
      uri: uriOf(transport.path, transport.exportName),
      cpuMicroseconds: () => cpuOf(pid),
      residentBytes: () => residentOf(pid),
      [Symbol.asyncDispose]: () =>
        this.provider.detachVolume({ volumeId, host: "host-a", generation }, createOperationContext()),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}

function uriOf(socket: string, exportName: string): string {
  return `nbd+unix:///${exportName}?socket=${socket}`;
}

async function startServer(
  name: string,
  program: string,
  args: readonly string[],
  socket: string,
  exportName = "",
): Promise<DiskServer> {
  const child: ChildProcess = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  for (let waited = 0; !existsSync(socket); waited += 5) {
    if (child.exitCode !== null || waited > 10_000) throw new Error(`${program} did not start`);
    await sleep(5);
  }
  const pid = child.pid as number;
  return {
    name,
    uri: uriOf(socket, exportName),
    cpuMicroseconds: () => cpuOf(pid),
    residentBytes: () => residentOf(pid),
    async [Symbol.asyncDispose]() {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
      rmSync(socket, { force: true });
    },
  };
}

let sockets = 0;

/** Images of a folder served by one process of ours; the first one's address is the server's. */
export function ourImages(folder: string, names: readonly string[]): Promise<DiskServer> {
  const socket = join(folder, `o${sockets++}.sock`);
  const program = fileURLToPath(new URL("serve-images.ts", import.meta.url));
  return startServer("ours", process.execPath, [program, socket, folder, ...names], socket, names[0]);
}

/** The address of another export of the same server. */
export function exportOf(server: DiskServer, name: string): string {
  return server.uri.replace(/\/\/\/[^?]*\?/, `///${name}?`);
}

/** QEMU's NBD server, with its defaults, on a qcow2 image. */
export function qemuNbd(
  folder: string,
  image: string,
  access: "readWrite" | "readOnly" = "readWrite",
): Promise<DiskServer> {
  const socket = join(folder, `q${sockets++}.sock`);
  return startServer(
    "qemu-nbd",
    "qemu-nbd",
    [...(access === "readOnly" ? ["-r"] : []), "-t", "-e", "16", "-f", "qcow2", "-k", socket, "-x", "", image],
    socket,
  );
}

/** QEMU's storage daemon with several images, each an export of its node's name. */
export function qemuStorageDaemon(folder: string, names: readonly string[]): Promise<DiskServer> {
  const socket = join(folder, `d${sockets++}.sock`);
  const args = names.flatMap((name) => [
    `--blockdev=driver=qcow2,node-name=${name},read-only=on,file.driver=file,file.filename=${join(folder, `${name}.qcow2`)}`,
  ]);
  const exports = names.map((name) => `--export=type=nbd,id=e-${name},node-name=${name},name=${name},writable=off`);
  const listen = `--nbd-server=addr.type=unix,addr.path=${socket}`;
  return startServer("qemu-storage-daemon", "qemu-storage-daemon", [...args, listen, ...exports], socket, names[0]);
}

/** nbdkit's plugin for raw files. */
export function nbdkitFile(folder: string, path: string): Promise<DiskServer> {
  const socket = join(folder, `n${sockets++}.sock`);
  return startServer("nbdkit", "nbdkit", ["-f", "-U", socket, "file", path], socket);
}
