import { spawnSync } from "node:child_process";
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storageProvider } from "@vdc-os/core/storage/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { StorageInstance } from "@vdc-os/ready/storage";
import { openFile } from "@vdc-os/testing";
import { startKillable } from "./killable-plugin.ts";

const mib = 1024 * 1024;

/** Where the file systems are mounted. */
const mounts: { large: string; small: string } = { large: "", small: "" };

/** Makes and mounts two file systems that share blocks: one for pools, and one with room for next to nothing. */
export async function prepare(): Promise<AsyncDisposable> {
  const folder = mkdtempSync(join(tmpdir(), "vdc-xfs-"));
  const mounted: string[] = [];
  const remove = (): void => {
    for (const directory of mounted) spawnSync("umount", ["-l", directory]);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (const name of ["large", "small"] as const) {
      mounts[name] = mount(folder, name);
      mounted.push(mounts[name]);
    }
    const { bavail, bsize } = statfsSync(mounts.small);
    closeSync(fill(join(mounts.small, "ballast"), bavail * bsize - 48 * mib));
  } catch (error) {
    remove();
    throw error;
  }
  return { [Symbol.asyncDispose]: async () => remove() };
}

/** Takes the room of a file system away. */
function fill(path: string, bytes: number): number {
  const file = openSync(path, "w");
  const block = Buffer.alloc(mib, 1);
  for (let done = 0; done < bytes; done += block.length) writeSync(file, block);
  return file;
}

function mount(folder: string, name: string): string {
  const [image, directory] = [join(folder, `${name}.image`), join(folder, name)];
  const file = openSync(image, "w");
  // The least that XFS takes is 300 MiB.
  ftruncateSync(file, 400 * mib);
  closeSync(file);
  mkdirSync(directory);
  for (const [program, ...args] of [
    ["mkfs.xfs", "-q", image],
    ["mount", "-o", "loop", image, directory],
  ] as const) {
    const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`'${program}' failed: ${error?.message ?? stderr.trim()}`);
  }
  return directory;
}

/** What the storage suite is run on: a pool in a folder of a file system that shares blocks. */
export async function create(kit: CertificationKit): Promise<StorageInstance> {
  return open(kit, mounts.large);
}

async function open(kit: CertificationKit, parent: string): Promise<StorageInstance> {
  const folder = mkdtempSync(join(parent, "pool-"));
  kit.defer(() => rmSync(folder, { recursive: true, force: true }));
  const config = { name: "files", directory: join(folder, "pool"), maxOverSubscription: 1000 };
  let running = await kit.start(storageProvider, { config });
  return {
    implementation: running.implementation,
    hosts: ["host-a", "host-b"],
    openTransport: openFile,
    async reopen() {
      await running.stop();
      running = await kit.start(storageProvider, { config });
      return running.implementation;
    },
    imagePath: (name) => join(folder, name),
    hostileImages: [
      { path: "/dev/zero", format: "raw" },
      { path: folder, format: "raw" },
      { path: join(folder, "absent"), format: "qcow2" },
    ],
    async killable() {
      const directory = join(folder, "killed");
      const options = { config: { ...config, directory } };
      const { implementation, kill } = await startKillable(kit, storageProvider, {
        name: config.name,
        ...options,
        plugins: [],
      });
      return {
        implementation,
        async kill() {
          await kill();
          return (await kit.start(storageProvider, options)).implementation;
        },
        leftovers: () => ["volumes", "snapshots"].flatMap((name) => readdirSync(join(directory, name))),
      };
    },
    // Nothing serves its files: what was written is in the kernel's hands.
    killStorageProcess: async () => undefined,
    ...(parent === mounts.large ? { small: () => open(kit, mounts.small) } : {}),
  };
}
