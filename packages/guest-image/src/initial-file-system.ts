import { gzipSync } from "node:zlib";
import { type CpioEntry, writeCpioArchive } from "./cpio-archive.ts";
import type { KernelModule } from "./kernel-modules.ts";

export interface InitialFileSystemOptions {
  /** The first program of the guest, a script for busybox. */
  readonly init: Uint8Array;
  /** A busybox that needs no shared libraries. */
  readonly busybox: Uint8Array;
  /** In the order in which they are to be inserted. */
  readonly modules: readonly KernelModule[];
}

/** Builds the guest's initial file system (initrd), which is also its only one: busybox, modules and `/init`. */
export function buildInitialFileSystem({ init, busybox, modules }: InitialFileSystemOptions): Buffer {
  const order = modules.map((module) => `${module.name}\n`).join("");
  const entries: CpioEntry[] = [
    { kind: "directory", path: "bin" },
    { kind: "directory", path: "dev" },
    // The kernel opens the console for the first program before anything could mount /dev.
    { kind: "characterDevice", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { kind: "file", path: "bin/busybox", mode: 0o755, content: busybox },
    { kind: "file", path: "init", mode: 0o755, content: init },
    { kind: "directory", path: "modules" },
    { kind: "file", path: "modules/order", content: Buffer.from(order) },
  ];
  for (const { name, content } of modules) entries.push({ kind: "file", path: `modules/${name}.ko`, content });
  return gzipSync(writeCpioArchive(entries), { level: 9 });
}
