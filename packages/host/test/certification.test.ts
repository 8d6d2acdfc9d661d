import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HostRuntimeConnection, spawnHostRuntime, startHostRuntime, sweepHostDirectory } from "@vdc-os/host";
import { type HostInstance, hostSuite } from "@vdc-os/ready/host";
import { describeSuite } from "@vdc-os/ready/vitest";
import { describe } from "vitest";

const fast = { firstBackOffMs: 50, maxBackOffMs: 1_000 };

/** A short path: sockets lie below it. */
function newDirectory(): string {
  return join(tmpdir(), `vdch-${randomUUID().slice(0, 8)}`);
}

async function removeDirectory(directory: string): Promise<void> {
  await sweepHostDirectory(directory);
  await rm(directory, { recursive: true, force: true });
}

/** A runtime in this process. */
async function startHere(): Promise<HostInstance> {
  const directory = newDirectory();
  let host = await startHostRuntime({ directory, ...fast });
  return {
    implementation: host.runtime,
    async reopen() {
      await host.close();
      host = await startHostRuntime({ directory, ...fast });
      return host.runtime;
    },
    async dispose() {
      await host.close({ removeProcesses: true, graceMs: 0 });
      await removeDirectory(directory);
    },
  };
}

/** A runtime in a process of its own, which `kill -9` ends. */
async function startApart(): Promise<HostInstance> {
  const directory = newDirectory();
  const open = (): Promise<HostRuntimeConnection> => spawnHostRuntime({ directory, ...fast });
  let host = await open();
  return {
    implementation: host.runtime,
    async reopen() {
      process.kill(host.pid, "SIGKILL");
      await host.closed;
      host = await open();
      return host.runtime;
    },
    async dispose() {
      await host.close();
      await removeDirectory(directory);
    },
  };
}

describe("the host runtime is certified", () => {
  describeSuite(hostSuite, { create: startHere });

  describe("and when its process is killed", () =>
    describeSuite(hostSuite, { create: startApart, only: "host.reopen", transports: ["direct"] }));
});
