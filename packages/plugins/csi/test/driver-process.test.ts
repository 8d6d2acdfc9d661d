import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createOperationContext, silentLogger } from "@vdc-os/core";
import { isRunning, killProcess, type ProcessIdentity } from "@vdc-os/core/local";
import { expect, test } from "vitest";
import { DriverProcess } from "../src/driver/driver-process.ts";
import { type CsiStorage, openCsiStorage } from "../src/provider/open-csi-storage.ts";
import { memoryState, mib, temporaryFolder } from "./csi-pair.ts";

const program = fileURLToPath(new URL("driver-program.ts", import.meta.url));
const context = createOperationContext;

/** The provider over a driver that it starts itself. */
async function open(
  folder: string,
  command: readonly string[],
  state: Awaited<ReturnType<typeof memoryState>>,
): Promise<CsiStorage> {
  return openCsiStorage({
    config: {
      name: "csi",
      endpoint: { socket: join(folder, "csi.sock"), command },
      nodes: [{ host: "host-1" }],
      directory: join(folder, "volumes"),
    },
    state: state.handle,
    backOff: { firstMs: 20, lastMs: 100 },
  });
}

function processOf(folder: string): ProcessIdentity {
  return JSON.parse(readFileSync(join(folder, "csi.sock.process"), "utf8")) as ProcessIdentity;
}

test("a driver is started, started again when it dies, and ended with the provider", async () => {
  using folder = temporaryFolder();
  const state = await memoryState();
  const storage = await open(folder.path, [process.execPath, program], state);
  try {
    const { provider } = storage;
    await provider.createVolume({ name: "one", capacityBytes: mib }, context());
    const first = processOf(folder.path);
    await killProcess(first);
    // Whatever is asked meanwhile fails in a way that tells the caller to try again.
    await expect
      .poll(
        () =>
          provider.createVolume({ name: "two", capacityBytes: mib }, context()).then(
            () => "made",
            (error: { readonly retryable: boolean }) => expect(error.retryable).toBe(true),
          ),
        { timeout: 100_000, interval: 50 },
      )
      .toBe("made");
    const second = processOf(folder.path);
    expect(second.pid).not.toBe(first.pid);
    await storage.close();
    expect(await isRunning(second)).toBe(false);
  } finally {
    await storage.close();
    await state.stop();
  }
});

test("a driver that outlived its starter is adopted, and ended by who adopted it", async () => {
  using folder = temporaryFolder();
  const state = await memoryState();
  const left = await open(folder.path, [process.execPath, program], state);
  await left.provider.createVolume({ name: "one", capacityBytes: mib }, context());
  const first = processOf(folder.path);
  // The first is not closed yet: that is what a kill of its process would leave.
  const next = await open(folder.path, [process.execPath, program], state);
  await next.provider.createVolume({ name: "two", capacityBytes: mib }, context());
  expect(processOf(folder.path)).toEqual(first);
  await next.close();
  expect(await isRunning(first)).toBe(false);
  await left.close();
  await state.stop();
});

test("a program that ends at once, or is not there, is unavailable, with how it ended", async () => {
  using folder = temporaryFolder();
  const state = await memoryState();
  for (const [command, text] of [
    [["/bin/false"], "exit code 1"],
    [["/no/such/program"], "ENOENT"],
  ] as const) {
    const storage = await open(folder.path, command, state);
    const made = storage.provider.createVolume({ name: "one", capacityBytes: mib }, context());
    await expect(made).rejects.toMatchObject({ code: "UNAVAILABLE", message: expect.stringContaining(text) });
    await storage.close();
  }
  await state.stop();
});

test("a program is not started by a call that comes together with the end of its provider", async () => {
  using folder = temporaryFolder();
  const socket = join(folder.path, "csi.sock");
  const command = [process.execPath, "-e", "setInterval(() => {}, 1000)"];
  const driver = new DriverProcess({ socket, command }, { logger: silentLogger });
  const started = expect(driver.ensure(new AbortController().signal)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await driver.close();
  await started;
  // Of what was started there would be a record, and nobody to end it.
  expect(readdirSync(folder.path)).toEqual([]);
});
