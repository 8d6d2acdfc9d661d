import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { VmSpec } from "@vdc-os/core/compute/v1";
import type { TestHost } from "./test-host.ts";

const program = fileURLToPath(new URL("./killed-runtime.ts", import.meta.url));

/** What a runtime that will be killed is to do. */
export interface SpawnRuntimeOptions {
  readonly spec: VmSpec;
  /** When it kills itself; without one it starts a VM, writes its id, and waits. */
  readonly moment?: string;
}

/** Runs a host's runtime as a process of its own, which can be killed. */
export function spawnRuntime(host: TestHost, { spec, moment }: SpawnRuntimeOptions): ChildProcess {
  const input = JSON.stringify({ config: host.config, spec });
  return spawn(process.execPath, [program, input, ...(moment === undefined ? [] : [moment])], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}
