import { spawn } from "node:child_process";
import { open, readFile, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createApiClient } from "@vdc-os/api-client";
import { localHost } from "@vdc-os/host";
import type { ExternalCloudAddress, ExternalCloudSettings } from "./external-cloud-process.ts";
import { stepTimeoutMs } from "./step-timeout.ts";

/** A cloud that answers. */
export interface ExternalCloud {
  readonly url: string;
  /** Leaves a kept one running; ends any other, and waits until nothing of it is left. */
  close(): Promise<void>;
}

/** Finds the external cloud running, or starts it. One that is not kept ends with this process, however this one ends. */
export async function startExternalCloud(settings: ExternalCloudSettings, signal: AbortSignal): Promise<ExternalCloud> {
  const running = await readAddress(settings.directory);
  if (running !== undefined && settings.keep && (await answers(running.url, settings.token)))
    return { url: running.url, close: async () => {} };
  await rm(`${settings.directory}.json`, { force: true });
  const log = await open(`${settings.directory}.log`, "a", 0o600);
  // A group of its own: Ctrl-C reaches this process alone, which then ends the cloud in its turn.
  const child = spawn(process.execPath, [fileURLToPath(new URL("./external-cloud-process.ts", import.meta.url))], {
    stdio: ["pipe", log.fd, log.fd],
    detached: true,
  });
  await log.close();
  let ended: string | undefined;
  const exited = new Promise<void>((resolve) => {
    child.once("exit", (code, by) => {
      ended = by ?? `exit code ${code}`;
      resolve();
    });
  });
  const { stdin } = child;
  if (stdin === null) throw new Error("the external cloud has no standard input");
  stdin.on("error", () => {});
  stdin.write(`${JSON.stringify(settings)}\n`);
  const close = async (): Promise<void> => {
    stdin.end();
    if (settings.keep && !signal.aborted) {
      child.unref();
      return;
    }
    if (settings.keep) child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), stepTimeoutMs);
    await exited;
    clearTimeout(late);
  };
  try {
    for (const giveUp = performance.now() + stepTimeoutMs; ; ) {
      const address = await readAddress(settings.directory);
      if (address !== undefined) return { url: address.url, close };
      if (ended !== undefined || performance.now() > giveUp) {
        const end = (await readFile(`${settings.directory}.log`, "utf8")).slice(-2000);
        throw new Error(`the external cloud did not start (${ended ?? "it took too long"}): ${end}`);
      }
      await sleep(50, undefined, { signal });
    }
  } catch (error) {
    await close();
    throw error;
  }
}

/** Ends a kept cloud, and removes what it has. */
export async function removeExternalCloud(directory: string): Promise<void> {
  const address = await readAddress(directory);
  if (address !== undefined) {
    try {
      process.kill(address.pid, "SIGTERM");
      while (isAlive(address.pid)) await sleep(50);
    } catch {
      // It is gone already.
    }
  }
  await localHost({ name: "gamma" }).sweep({ directory: `${directory}/hosts/gamma` });
  await rm(directory, { recursive: true, force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function readAddress(directory: string): Promise<ExternalCloudAddress | undefined> {
  try {
    return JSON.parse(await readFile(`${directory}.json`, "utf8")) as ExternalCloudAddress;
  } catch {
    return undefined;
  }
}

async function answers(baseUrl: string, token: string): Promise<boolean> {
  return createApiClient({ baseUrl, token, timeoutMs: 2_000 })
    .about()
    .then(
      () => true,
      () => false,
    );
}
