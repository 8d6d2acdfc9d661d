import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { Kernel, use } from "@vdc-os/core/kernel";
import { secretStore } from "@vdc-os/core/secret/v1";
import { storageProvider, type VolumeTransport } from "@vdc-os/core/storage/v1";
import { startHostRuntime } from "@vdc-os/host";
import fileSecretStore from "@vdc-os/plugin-file-secret-store";
import linkedClones from "@vdc-os/plugin-linked-clones";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import thinProvisioning from "@vdc-os/plugin-thin-provisioning";
import { expect, test } from "vitest";
import { missingPrograms } from "@vdc-os/testing";

const mib = 1024 * 1024;
const missing = missingPrograms(["qemu-io"], "an encrypted disk under QEMU is not tested");

/** QEMU's block layer on an export, as a VM has it: it connects again by itself, and its requests wait meanwhile. */
class QemuDisk {
  readonly #child;
  #output = "";

  constructor(transport: VolumeTransport) {
    if (transport.kind !== "nbd-unix") throw new Error("it is not served");
    const { path, exportName } = transport;
    const disk = `driver=nbd,server.type=unix,server.path=${path},export=${exportName},reconnect-delay=60`;
    this.#child = spawn("qemu-io", ["--image-opts", disk], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdout.on("data", (data) => {
      this.#output += String(data);
    });
  }

  /** Has a command done, and returns what was said of it. */
  async run(command: string): Promise<string> {
    this.#output = "";
    this.#child.stdin.write(`${command}\n`);
    while (!/(bytes at offset|failed|error|No such).*\n/i.test(this.#output)) await once(this.#child.stdout, "data");
    return this.#output;
  }

  async close(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.stdin.end("quit\n");
    await ended;
  }
}

/** The files below a folder that hold any of some texts. */
function filesWith(folder: string, ...texts: readonly string[]): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const content = contentOf(path);
      return texts.some((text) => content.includes(text) || content.includes(Buffer.from(text).toString("base64")));
    });
}

/** What a file holds; nothing when it is gone by now: processes that work replace some. */
function contentOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return Buffer.alloc(0);
  }
}

test.skipIf(missing)(
  "an encrypted clone rides out its storage process's death under QEMU, and nothing but the VM has what it wrote",
  { timeout: 120_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "ve"));
    mkdirSync(join(folder, "outside"));
    const started = await startHostRuntime({
      directory: join(folder, "h"),
      hostId: "host-a",
      address: "127.0.0.1",
      failureDomain: "a",
      firstBackOffMs: 10,
    });
    const kernel = new Kernel({
      plugins: [
        use(sqliteStateStore, { config: { directory: join(folder, "state") } }),
        use(fileSecretStore, {
          config: {
            path: join(folder, "secrets", "file"),
            keyFile: join(folder, "outside", "key"),
            createKeyFile: true,
          },
        }),
        use(thinProvisioning, { config: { name: "thin", directory: join(folder, "pool"), datacenter: "dc-1" } }),
        use(linkedClones, { config: { name: "clones", base: "thin" } }),
      ],
    });
    kernel.provide(hostRuntime, "host-a", started.runtime);
    try {
      await kernel.start();
      const secrets = kernel.get(secretStore);
      const values: string[] = [];
      const newKey = async (name: string): Promise<void> => {
        await secrets.put({ name, value: "to begin with, and not for long" });
        await secrets.rotate({ name, bytes: 32 });
        values.push((await secrets.resolve({ name })).value);
      };
      await newKey("disk-key");
      await newKey("clone-key");
      const storage = kernel.get(storageProvider, "clones");
      const host = kernel.get(hostRuntime, "host-a");
      const parameters = { encryption: "luks", keyRef: "disk-key" };
      const golden = await storage.createVolume({ name: "golden", capacityBytes: 32 * mib, parameters });
      const attach = { host: "host-a", access: "readWrite", generation: 1 } as const;
      const first = new QemuDisk((await storage.attachVolume({ ...attach, volumeId: golden.volumeId })).transport);
      expect(await first.run("write -P 0x55 0 4M")).toContain("wrote");
      await first.close();
      await storage.detachVolume({ ...attach, volumeId: golden.volumeId });

      const clones = await storage.facet("clones");
      const encryption = await storage.facet("encryption");
      if (!clones.available || !encryption.available) throw new Error("both must be there");
      const source = { kind: "volume", volumeId: golden.volumeId } as const;
      const { volumeId } = (await clones.operations.cloneVolume({ name: "clone", source, want: "linked" })).volume;
      const disk = new QemuDisk((await storage.attachVolume({ ...attach, volumeId })).transport);
      expect(await disk.run("read -P 0x55 1M 1M")).not.toContain("failed");
      expect(await disk.run("write -P 0x66 1M 64k")).toContain("wrote");
      await encryption.operations.rotateKey({ volumeId, keyRef: "clone-key" });
      for (let round = 0; round < 3; round++) {
        const [process_] = await host.listProcesses({ ownerDatacenter: "dc-1" });
        process.kill(process_?.pid as number, "SIGKILL");
        // It waits, until the process is there again and has been brought its keys.
        expect(await disk.run("read -P 0x66 1M 64k")).not.toContain("failed");
        expect(await disk.run(`write -P ${round + 1} ${8 + round}M 64k`)).toContain("wrote");
      }
      expect(await disk.run("read -P 0x55 2M 1M")).not.toContain("failed");
      await disk.close();

      const written = [0x55, 0x66, 1, 2, 3].map((byte) => Buffer.alloc(64, byte).toString("latin1"));
      expect(filesWith(join(folder, "pool"), ...written.slice(0, 2))).toEqual([]);
      // The state, the secrets' file, the pool, the host with its logs and sockets: all of it.
      expect(filesWith(folder, ...values)).toEqual([]);
      await storage.detachVolume({ ...attach, volumeId });
      expect(await encryption.operations.encryptionStatus({ volumeId })).toMatchObject({ keyRef: "clone-key" });
      expect(await encryption.operations.encryptionStatus({ volumeId: golden.volumeId })).toMatchObject({
        keyRef: "disk-key",
      });
    } finally {
      await kernel.stop();
      await started.close({ removeProcesses: true });
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
