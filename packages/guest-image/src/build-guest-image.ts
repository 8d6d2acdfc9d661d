import { createHash, randomUUID } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchPackages } from "./apt-packages.ts";
import { writeDataDisk } from "./data-disk.ts";
import { GuestImageError } from "./guest-image-error.ts";
import { buildInitialFileSystem } from "./initial-file-system.ts";
import { extractKernel, hasDirectEntry } from "./kernel-image.ts";
import { readKernelModules } from "./kernel-modules.ts";
import { runCommand } from "./run-command.ts";

/** Raised whenever this code would build another image from the same packages. */
const recipe = 1;

const dataDiskLength = 64 * 1024 * 1024;

/** Quiet and quick on an emulated processor: no clock is calibrated against another, nothing is probed twice. */
const commandLine =
  "console=ttyS0 quiet panic=-1 reboot=t tsc=reliable no_timer_check mitigations=off random.trust_cpu=on";

const requiredModules = ["virtio_pci", "virtio_net", "virtio_blk"];
const optionalModules = [
  "virtio_console",
  "virtio_balloon",
  "virtio_mem",
  "virtio_rng",
  // The power button, and the device file through which the guest hears of it.
  "evdev",
  "button",
];

/** A guest that is ready to boot. The files belong to the image and are to be read only. */
export interface GuestImage {
  /** The kernel, for QEMU's `-kernel`. */
  readonly kernel: string;
  /** `elf` is entered directly (PVH); `bzImage` is the distribution's own file, which boots a few seconds slower. */
  readonly kernelFormat: "elf" | "bzImage";
  /** The initial file system, for QEMU's `-initrd`. */
  readonly initrd: string;
  /** A raw disk of 64 MiB, sparse; clone it, and attach the clone as the first virtio block device. */
  readonly dataDisk: string;
  /** The kernel's command line, to which `vdc.host=`, `vdc.ip=`, `vdc.gw=` and `vdc.fetch=` are appended. */
  readonly commandLine: string;
  /** Names the content: equal versions are equal images. */
  readonly version: string;
  /** The package files that the image is made of. */
  readonly packages: readonly string[];
}

export interface BuildGuestImageOptions {
  /** Where images are kept, each in a folder of its own that is named by its recipe. */
  readonly outputDirectory: string;
  /** Where packages are fetched and unpacked while building. Defaults to a folder in the output directory. */
  readonly cacheDirectory?: string;
  readonly signal?: AbortSignal;
  /** Called with what is being done, in a few words. */
  readonly onProgress?: (text: string) => void;
}

/**
 * Provides the guest image: a kernel of the distribution, busybox, and a script that brings the guest up.
 *
 * An image that was built before is returned as it is, without asking apt; delete its folder to build it anew from
 * newer packages. An interrupted build leaves no image, and two at once do not disturb each other.
 * Needs apt, but neither root nor a network namespace nor any installed package.
 *
 * @throws GuestImageError
 */
export async function buildGuestImage(options: BuildGuestImageOptions): Promise<GuestImage> {
  const init = await readFile(fileURLToPath(new URL("../guest/init", import.meta.url)));
  const key = createHash("sha256").update(`${recipe}\n${commandLine}\n`).update(init).digest("hex").slice(0, 16);
  const final = join(options.outputDirectory, key);
  const present = await readImage(final);
  if (present !== undefined) return present;

  options.signal?.throwIfAborted();
  const suffix = `partial-${process.pid}-${randomUUID().slice(0, 8)}`;
  const partial = join(options.outputDirectory, `${key}.${suffix}`);
  const cacheDirectory = options.cacheDirectory ?? options.outputDirectory;
  const unpacked = join(cacheDirectory, `packages.${suffix}`);
  await removeAbandoned(options.outputDirectory);
  await removeAbandoned(cacheDirectory);
  await mkdir(partial, { recursive: true });
  try {
    await build({ init, partial, unpacked, signal: options.signal, onProgress: options.onProgress ?? (() => {}) });
    await rename(partial, final).catch(async (cause: unknown) => {
      // Another build may have been quicker. What stands there otherwise is not an image: replace it.
      if ((await readImage(final)) !== undefined) return;
      await rm(final, { recursive: true, force: true });
      await rename(partial, final).catch(() => {
        throw cause;
      });
    });
  } finally {
    await rm(partial, { recursive: true, force: true });
    await rm(unpacked, { recursive: true, force: true });
  }
  const image = await readImage(final);
  if (image === undefined) throw new GuestImageError("BAD_PACKAGE", `The image in '${final}' could not be read back.`);
  return image;
}

interface BuildOptions {
  readonly init: Buffer;
  readonly partial: string;
  readonly unpacked: string;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (text: string) => void;
}

async function build({ init, partial, unpacked, signal, onProgress }: BuildOptions): Promise<void> {
  const packages = await fetchPackages({ directory: unpacked, signal, onProgress });
  onProgress("Building the guest image");
  const kernelName = (await readdir(join(unpacked, "boot"))).find((name) => name.startsWith("vmlinuz-"));
  if (kernelName === undefined) throw new GuestImageError("BAD_PACKAGE", "The kernel package holds no kernel.");
  const busyboxPath = await findBusybox(unpacked);
  const busybox = await readFile(busyboxPath);
  const expandXz = (data: Buffer): Promise<Buffer> => runCommand(busyboxPath, ["xzcat"], { input: data, signal });

  const kernelPath = join(unpacked, "boot", kernelName);
  const elf = await extractKernel(await readFile(kernelPath), { expandXz }).catch(() => undefined);
  const kernelFormat = elf !== undefined && hasDirectEntry(elf) ? "elf" : "bzImage";
  if (elf !== undefined && kernelFormat === "elf") await writeFile(join(partial, "kernel"), elf);
  else await copyFile(kernelPath, join(partial, "kernel"));

  const modules = await readKernelModules({
    directory: await findModuleDirectory(unpacked, kernelName.slice("vmlinuz-".length)),
    required: requiredModules,
    optional: optionalModules,
    expandXz,
  });
  const initrd = buildInitialFileSystem({ init, busybox, modules });
  await writeFile(join(partial, "initrd.gz"), initrd);
  const page = Buffer.from("This page came with the data disk.\n");
  await writeDataDisk(join(partial, "data.raw"), {
    length: dataDiskLength,
    name: "golden",
    files: [{ path: "www/index.html", content: page }],
  });
  const version = createHash("sha256").update(packages.join("\n")).update(initrd).digest("hex").slice(0, 16);
  await writeFile(join(partial, "image.json"), JSON.stringify({ kernelFormat, version, packages, commandLine }));
}

async function findBusybox(root: string): Promise<string> {
  for (const path of ["bin/busybox", "usr/bin/busybox"]) {
    const candidate = join(root, path);
    if (
      await readFile(candidate).then(
        () => true,
        () => false,
      )
    )
      return candidate;
  }
  throw new GuestImageError("BAD_PACKAGE", "The package 'busybox-static' holds no busybox.");
}

async function findModuleDirectory(root: string, kernelVersion: string): Promise<string> {
  for (const path of ["lib/modules", "usr/lib/modules"]) {
    const candidate = join(root, path, kernelVersion);
    if (
      await readdir(candidate).then(
        () => true,
        () => false,
      )
    )
      return candidate;
  }
  throw new GuestImageError("BAD_PACKAGE", `The kernel packages hold no modules of '${kernelVersion}'.`);
}

/** The image in a folder, or undefined where there is none: `image.json` is written last. */
async function readImage(directory: string): Promise<GuestImage | undefined> {
  const text = await readFile(join(directory, "image.json"), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const facts: Pick<GuestImage, "kernelFormat" | "version" | "packages" | "commandLine"> = JSON.parse(text);
  return {
    kernel: join(directory, "kernel"),
    kernelFormat: facts.kernelFormat,
    initrd: join(directory, "initrd.gz"),
    dataDisk: join(directory, "data.raw"),
    commandLine: facts.commandLine,
    version: facts.version,
    packages: facts.packages,
  };
}

/** Removes what builds left that were killed: folders named after a process that is no more. */
async function removeAbandoned(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    const pid = /\.partial-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(join(directory, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
