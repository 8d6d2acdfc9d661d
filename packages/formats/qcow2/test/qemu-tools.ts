import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingPrograms } from "@vdc-os/testing";

/** Whether QEMU's own tools are here to judge. */
export const hasQemuImg: boolean = !missingPrograms(["qemu-img", "qemu-io"], "QEMU judges no image");

export function qemuImg(...args: string[]): string {
  return execFileSync("qemu-img", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

export function qemuIo(path: string, ...commands: string[]): string {
  const args = commands.flatMap((command) => ["-c", command]);
  return execFileSync("qemu-io", ["-f", "qcow2", ...args, path], { encoding: "utf8" });
}

/** Throws unless QEMU finds neither corruption nor leak; with `allowLeaks`, unless it finds no corruption. */
export function qemuCheck(path: string, options: { readonly allowLeaks?: boolean } = {}): void {
  const { status, stdout, stderr } = spawnSync("qemu-img", ["check", "-f", "qcow2", path], { encoding: "utf8" });
  if (status === 0 || (status === 3 && options.allowLeaks)) return;
  throw new Error(`qemu-img check ended with ${status}: ${stdout}${stderr}`);
}

/** A folder of its own for one test, removed with `remove`. */
export function temporaryFolder(): { readonly path: string; file(name: string): string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "qcow2-"));
  return { path, file: (name) => join(path, name), remove: () => rmSync(path, { recursive: true, force: true }) };
}
