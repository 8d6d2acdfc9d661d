import { once } from "node:events";
import { printed } from "../sandbox/readiness.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";

/** How NICs without a guest join a switch. */
export interface FrameNics {
  /** The compiled `frame-nic`. */
  readonly program: string;
  readonly namespace: string;
  /** By stream sockets on which they listen, or by VDE's library. */
  readonly by: "stream" | "vde";
  /** The sockets of the one that sends and the one that counts; of VDE, its switch. */
  readonly from: string;
  readonly to: string;
  /** How many frames of 1,514 octets go into one write. */
  readonly framesPerWrite: number;
}

/** How many frames a second go from one NIC to another, counted where they arrive. */
export async function framesPerSecond(sandbox: Sandbox, nics: FrameNics, seconds: number): Promise<number> {
  const { program, namespace, by, from, to, framesPerWrite } = nics;
  const counting = sandbox.start(namespace, program, [by, to, "count", String(seconds)]);
  let output = "";
  counting.child.stdout?.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const counted = printed(counting, "frames ");
  await printed(counting, "ready");
  const sending = sandbox.start(namespace, program, [by, from, "send", String(framesPerWrite)]);
  try {
    await counted;
    return Number(/frames (\d+)/.exec(output)?.[1]) / seconds;
  } finally {
    // First the one that sends: a switch complains of frames for a NIC that has gone.
    for (const { child } of [sending, counting]) {
      const ended = once(child, "exit");
      if (child.kill("SIGKILL")) await ended;
    }
  }
}
