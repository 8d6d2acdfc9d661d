import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { GuestImageError } from "./guest-image-error.ts";
import { type RunCommandOptions, runCommand } from "./run-command.ts";

/** Metapackages that stand for the newest small kernel of a distribution, in the order of preference. */
const kernelMetapackages = ["linux-image-cloud-amd64", "linux-image-virtual"] as const;

export interface FetchPackagesOptions {
  /** Where the packages are unpacked, one over the other. Created when it is not there. */
  readonly directory: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: (text: string) => void;
}

/**
 * Fetches a kernel and a static busybox from the distribution's own archive, checked by apt's signatures, and unpacks
 * them into a folder. Nothing is installed on this machine, and nothing needs to be root.
 *
 * Returns the names of the fetched files, which hold their versions. Where apt does not know the packages (its lists
 * were never fetched, or are stale) and this process is root, it updates the lists once and tries again.
 * Rejects with `UNSUPPORTED_PLATFORM` without apt, and with `PACKAGE_UNAVAILABLE` when a package cannot be had.
 */
export async function fetchPackages(options: FetchPackagesOptions): Promise<readonly string[]> {
  await requireApt(options.signal);
  try {
    return await fetchOnce(options);
  } catch (error) {
    if (options.signal?.aborted || process.getuid?.() !== 0) throw error;
    options.onProgress("Updating apt's package lists");
    await runCommand("apt-get", ["-qq", "update"], { signal: options.signal }).catch((cause: unknown) => {
      throw new GuestImageError("PACKAGE_UNAVAILABLE", "apt could not update its package lists.", { cause });
    });
    return await fetchOnce(options);
  }
}

async function requireApt(signal: AbortSignal | undefined): Promise<void> {
  try {
    await runCommand("apt-get", ["--version"], { signal });
    await runCommand("dpkg-deb", ["--version"], { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new GuestImageError(
      "UNSUPPORTED_PLATFORM",
      "A guest image is built from packages of Debian or Ubuntu, and this machine has no apt. Build it on such a " +
        "machine (or in a container of one) and copy the folder of images here; it is used as it is.",
      { cause },
    );
  }
}

async function fetchOnce({ directory, signal, onProgress }: FetchPackagesOptions): Promise<readonly string[]> {
  const downloads = join(directory, "packages");
  await rm(directory, { recursive: true, force: true });
  await mkdir(downloads, { recursive: true });
  const names = [...(await findKernelPackages(signal)), "busybox-static"];
  onProgress(`Fetching ${names.join(", ")}`);
  const run: RunCommandOptions = { directory: downloads, signal };
  await runCommand("apt-get", ["-qq", "download", ...names], run).catch((cause: unknown) => {
    signal?.throwIfAborted();
    throw new GuestImageError(
      "PACKAGE_UNAVAILABLE",
      `apt could not fetch ${names.join(", ")}. Run 'apt-get update' as root and try again.`,
      { cause },
    );
  });
  const files = (await readdir(downloads)).sort();
  onProgress("Unpacking");
  for (const file of files) await runCommand("dpkg-deb", ["-x", join(downloads, file), directory], { signal });
  await rm(downloads, { recursive: true });
  return files;
}

/** A kernel package, and on Ubuntu also the package with its modules. */
async function findKernelPackages(signal: AbortSignal | undefined): Promise<readonly string[]> {
  for (const metapackage of kernelMetapackages) {
    const images = await kernelDependencies(metapackage, signal);
    const [image] = images;
    if (image === undefined) continue;
    const modules = (await kernelDependencies(image, signal)).filter((name) => name.startsWith("linux-modules-"));
    return [image, ...modules];
  }
  throw new GuestImageError(
    "PACKAGE_UNAVAILABLE",
    `apt knows none of the kernel packages ${kernelMetapackages.join(", ")} for x86-64 machines. ` +
      "Run 'apt-get update' as root and try again.",
  );
}

async function kernelDependencies(name: string, signal: AbortSignal | undefined): Promise<readonly string[]> {
  const args = ["depends", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", name];
  const text = await runCommand("apt-cache", args, { signal }).catch(() => {
    signal?.throwIfAborted();
    return Buffer.alloc(0);
  });
  return [...text.toString().matchAll(/^\s*\|?Depends: (linux-(?:image|modules)-\d\S*)$/gm)].map(
    (match) => match[1] ?? "",
  );
}
