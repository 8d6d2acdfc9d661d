import { printed } from "../sandbox/readiness.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";

/** Two guests that a path connects. */
export interface Guests {
  /** The namespace that sends. */
  readonly from: string;
  /** The namespace that receives, and its address. */
  readonly to: string;
  readonly address: string;
}

/** One TCP connection for `seconds`, measured by iperf3: what the receiver got, in bits per second. */
export async function tcpBitsPerSecond(
  sandbox: Sandbox,
  { from, to, address }: Guests,
  seconds: number,
): Promise<number> {
  const server = sandbox.start(to, "iperf3", ["-s", "-1", "-B", address, "--forceflush"]);
  try {
    await printed(server, "Server listening");
    const output = await sandbox.exec(from, "iperf3", [
      "-c",
      address,
      "-t",
      String(seconds),
      "--connect-timeout",
      "3000",
      "-J",
    ]);
    const { end } = JSON.parse(output) as { end: { sum_received: { bits_per_second: number } } };
    return end.sum_received.bits_per_second;
  } finally {
    server.child.kill("SIGKILL");
  }
}
