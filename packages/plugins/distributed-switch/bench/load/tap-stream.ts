import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { printed } from "../sandbox/readiness.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";

/** Compiles the helper into the sandbox's folder, and returns its path. */
export async function compileTapStream(sandbox: Sandbox): Promise<string> {
  const program = join(sandbox.folder, "tap-stream");
  const source = fileURLToPath(new URL("tap-stream.c", import.meta.url));
  await promisify(execFile)("cc", ["-O2", "-Wall", "-o", program, source]);
  return program;
}

export interface TapNicOptions {
  readonly program: string;
  readonly namespace: string;
  /** The interface's name in the namespace. */
  readonly device: string;
  readonly socketPath: string;
  /** How many frames go into one write. QEMU writes each by itself. */
  readonly framesPerWrite: number;
}

/** Makes a tap device in a namespace, and serves it on a socket as QEMU serves a NIC. */
export async function startTapNic(sandbox: Sandbox, options: TapNicOptions): Promise<void> {
  const { program, namespace, device, socketPath, framesPerWrite } = options;
  await printed(sandbox.start(namespace, program, [device, socketPath, String(framesPerWrite)]), "listening");
}
