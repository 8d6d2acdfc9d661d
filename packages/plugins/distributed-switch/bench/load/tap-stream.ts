import { printed } from "../sandbox/readiness.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";

export interface TapNicOptions {
  /** The compiled `tap-stream`. */
  readonly program: string;
  readonly namespace: string;
  /** The interface's name in the namespace. */
  readonly device: string;
  readonly socketPath: string;
  /** How many frames go into one write. QEMU writes each by itself. */
  readonly framesPerWrite: number;
  /** Dials another NIC's socket instead of listening. */
  readonly dial?: boolean;
}

/** Makes a tap device in a namespace, and serves it on a socket as QEMU serves a NIC. */
export async function startTapNic(sandbox: Sandbox, options: TapNicOptions): Promise<void> {
  const { program, namespace, device, socketPath, framesPerWrite, dial = false } = options;
  const args = [device, socketPath, String(framesPerWrite), ...(dial ? ["dial"] : [])];
  await printed(sandbox.start(namespace, program, args), "ready");
}
