import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import { promisify } from "node:util";
import { VdcError } from "@vdc-os/core";

/** A QEMU that is there. */
export interface QemuProgram {
  readonly path: string;
  /** Such as `7.2.22`. */
  readonly version: string;
}

/** Finds QEMU and asks its version. Fails with `FAILED_PRECONDITION`, and says how to install it. */
export async function findQemu(name: string): Promise<QemuProgram> {
  const candidates =
    isAbsolute(name) || name.includes("/")
      ? [name]
      : (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name));
  for (const path of candidates) {
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return { path, version: await askVersion(path) };
  }
  throw new VdcError(
    "FAILED_PRECONDITION",
    `there is no '${name}' on this host: install QEMU (Debian and Ubuntu: 'apt-get install qemu-system-x86', Fedora: 'dnf install qemu-system-x86'), or set 'qemu' to its path`,
    { reason: "VDC_QEMU_MISSING" },
  );
}

async function askVersion(path: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: 10_000 });
    const version = /version (\d+\.\d+\.\d+)/.exec(stdout)?.[1];
    if (version !== undefined) return version;
    throw new Error(`it says: ${stdout.slice(0, 200)}`);
  } catch (cause) {
    throw new VdcError("FAILED_PRECONDITION", `'${path}' is no QEMU that runs here`, {
      reason: "VDC_QEMU_MISSING",
      cause,
    });
  }
}
