import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { Kernel, use } from "@vdc-os/core/kernel";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { startHostRuntime } from "@vdc-os/host";
import { expect, it } from "vitest";
import plugin from "../src/plugin.ts";
import { connectTo, mib } from "./test-pool.ts";

it("serves through the runtime of a real host, which starts a killed storage process again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vdc-thin-host-"));
  const started = await startHostRuntime({
    directory: join(folder, "h"),
    hostId: "host-a",
    address: "127.0.0.1",
    failureDomain: "a",
    firstBackOffMs: 10,
  });
  const config = { name: "fast", directory: join(folder, "pool"), datacenter: "dc-1" };
  const kernel = new Kernel({ plugins: [use(plugin, { config })] });
  kernel.provide(hostRuntime, "host-a", started.runtime);
  try {
    await kernel.start();
    const storage = kernel.get(storageProvider, "fast");
    const host = kernel.get(hostRuntime, "host-a");
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: 8 * mib });
    const attach = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
    const attachment = await storage.attachVolume(attach);
    const client = await connectTo(attachment);
    await client.write(Buffer.alloc(4096, 5), 0);
    await client.flush();
    const [before] = await host.listProcesses({ ownerDatacenter: "dc-1" });
    const watching = host.watchProcesses({})[Symbol.asyncIterator]();
    process.kill(before?.pid as number, "SIGKILL");
    for (;;) {
      const { value, done } = await watching.next();
      if (done) throw new Error("the watch ended");
      if (value.type === "modified" && value.object.state === "running" && value.object.pid !== before?.pid) break;
    }
    await watching.return?.();
    const again = await connectTo(attachment);
    const data = Buffer.alloc(4096);
    await again.read(data, 0);
    expect(data.every((byte) => byte === 5)).toBe(true);
    await storage.revokeAttachment({ volumeId, generation: 1 });
    await expect(again.write(data, 0)).rejects.toThrow();
    expect((await storage.attachVolume({ ...attach, generation: 2 })).generation).toBe(2);
  } finally {
    await kernel.stop();
    await started.close({ removeProcesses: true });
    rmSync(folder, { recursive: true, force: true });
  }
});
