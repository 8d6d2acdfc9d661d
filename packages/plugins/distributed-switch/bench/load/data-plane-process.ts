/** A data plane in a process of its own, which takes configurations and answers questions over Node's IPC channel. */
import { DataPlane } from "../../src/dataplane/control.ts";
import type { DataPlaneConfig } from "../../src/dataplane/data-plane-config.ts";
import type { DataPlaneStatus } from "../../src/dataplane/data-plane-status.ts";
import { hostInterfaceLinks } from "../../src/wire/tap/host-interface-links.ts";

/** What it is asked. */
export type DataPlaneRequest = { readonly apply: DataPlaneConfig } | "cpu" | "heap" | "status";

/** Its answers, in the order of the requests. */
export type DataPlaneAnswer =
  | { readonly applied: { readonly milliseconds: number; readonly cpuMicroseconds: number } }
  | { readonly cpu: number }
  | { readonly heap: number }
  | { readonly status: DataPlaneStatus }
  | { readonly failed: string };

const plane = new DataPlane({ interfaces: hostInterfaceLinks });

async function answer(request: DataPlaneRequest): Promise<DataPlaneAnswer> {
  if (request === "status") return { status: await plane.status() };
  if (request === "cpu") return { cpu: cpuMicroseconds() };
  if (request === "heap") {
    globalThis.gc?.();
    return { heap: process.memoryUsage().heapUsed };
  }
  const [start, cpu] = [performance.now(), cpuMicroseconds()];
  await plane.apply(request.apply);
  return { applied: { milliseconds: performance.now() - start, cpuMicroseconds: cpuMicroseconds() - cpu } };
}

/** User and system time of all threads. */
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
