/** A data plane in a process of its own, which takes configurations and answers questions over Node's IPC channel. */
import { DataPlane } from "../../src/dataplane/control.ts";
import type { DataPlaneConfig } from "../../src/dataplane/data-plane-config.ts";
import type { DataPlaneStatus } from "../../src/dataplane/data-plane-status.ts";

/** What it is asked. */
export type DataPlaneRequest = { readonly apply: DataPlaneConfig } | "usage" | "status";

/** What it uses. */
export interface ProcessUsage {
  /** User and system time of all its threads so far, in microseconds. */
  readonly cpuMicroseconds: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
}

/** Its answers, in the order of the requests. */
export type DataPlaneAnswer =
  | { readonly applied: { readonly milliseconds: number; readonly cpuMicroseconds: number } }
  | { readonly usage: ProcessUsage }
  | { readonly status: DataPlaneStatus }
  | { readonly failed: string };

const plane = new DataPlane();

async function answer(request: DataPlaneRequest): Promise<DataPlaneAnswer> {
  if (request === "status") return { status: await plane.status() };
  if (request === "usage") {
    // Only where the process was started with --expose-gc: what is garbage isn't the ports' memory.
    globalThis.gc?.();
    const { rss, heapUsed } = process.memoryUsage();
    return { usage: { cpuMicroseconds: cpuMicroseconds(), residentBytes: rss, heapBytes: heapUsed } };
  }
  const [start, cpu] = [performance.now(), cpuMicroseconds()];
  await plane.apply(request.apply);
  return { applied: { milliseconds: performance.now() - start, cpuMicroseconds: cpuMicroseconds() - cpu } };
}

function cpuMicroseconds(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

process.on("message", (request: DataPlaneRequest) => {
  answer(request)
    .catch((error: unknown): DataPlaneAnswer => ({ failed: String(error) }))
    .then((reply) => process.send?.(reply));
});
process.on("disconnect", () => process.exit(0));
