import { execFile, execFileSync, spawnSync } from "node:child_process";
import { missingPrograms } from "@vdc-os/testing";

/** Whether QEMU's own tools are here to judge. */
export const hasQemu: boolean = !missingPrograms(["qemu-img", "qemu-io"], "QEMU judges no image");

export function qemuImg(...args: string[]): string {
  return execFileSync("qemu-img", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Runs commands of qemu-io on an NBD export. Not synchronously: the server may live in this very process. */
export function qemuIo(socket: string, exportName: string, ...commands: string[]): Promise<string> {
  const target = `driver=nbd,server.type=unix,server.path=${socket},export=${exportName}`;
  const args = ["--image-opts", ...commands.flatMap((command) => ["-c", command]), target];
  return new Promise((resolve, reject) => {
    execFile("qemu-io", args, (error, stdout, stderr) => {
      const text = `${stdout}${stderr}`;
      if (error || /failed|error/i.test(text)) reject(new Error(text, { cause: error }));
      else resolve(stdout);
    });
  });
}

/** Throws unless QEMU finds neither corruption nor leak; with `allowLeaks`, unless it finds no corruption. */
export function qemuCheck(path: string, options: { readonly allowLeaks?: boolean } = {}): void {
  const { status, stdout, stderr } = spawnSync("qemu-img", ["check", "-f", "qcow2", path], { encoding: "utf8" });
  if (status === 0 || (status === 3 && options.allowLeaks)) return;
  throw new Error(`qemu-img check ended with ${status}: ${stdout}${stderr}`);
}
