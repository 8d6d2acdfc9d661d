import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOperationContext, type OperationContext } from "@vdc-os/core";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import { NbdClient } from "@vdc-os/nbd";
import type { BlockClient } from "@vdc-os/ready/storage";
import { type OpenThinPoolOptions, ThinPool } from "../src/thin-pool.ts";
import { ThinStorageProvider } from "../src/thin-storage-provider.ts";
import { createTestHost, type HostKind, hostsOf, type TestHost } from "./test-host.ts";

export const mib: number = 1024 * 1024;

/** A pool in a folder of its own, with two hosts. */
export interface TestPool extends AsyncDisposable {
  readonly folder: string;
  readonly hosts: readonly [TestHost, TestHost];
  pool: ThinPool;
  provider: ThinStorageProvider;
  /** Gives the pool up and opens it again. */
  reopen(): Promise<ThinStorageProvider>;
}

export function context(options: Parameters<typeof createOperationContext>[0] = {}): OperationContext {
  return createOperationContext(options);
}

export async function createTestPool(kind: HostKind, config: Partial<OpenThinPoolOptions> = {}): Promise<TestPool> {
  const folder = mkdtempSync(join(tmpdir(), "vdc-thin-"));
  const hosts = [
    createTestHost("host-a", join(folder, "a"), kind),
    createTestHost("host-b", join(folder, "b"), kind),
  ] as const;
  const open = (): Promise<ThinPool> =>
    ThinPool.open({ name: "fast", directory: join(folder, "pool"), hosts: hostsOf(hosts), ...config });
  const pool = await open();
  const test: TestPool = {
    folder,
    hosts,
    pool,
    provider: new ThinStorageProvider(pool),
    async reopen() {
      test.pool.close();
      test.pool = await open();
      test.provider = new ThinStorageProvider(test.pool);
      return test.provider;
    },
    async [Symbol.asyncDispose]() {
      test.pool.close();
      for (const host of hosts) await host.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return test;
}

/** Connects to an attached volume. */
export function connectTo(attachment: { readonly transport: { readonly kind: string } }): Promise<NbdClient> {
  const { path, exportName } = attachment.transport as unknown as {
    readonly path: string;
    readonly exportName: string;
  };
  return NbdClient.connect(path, { exportName });
}

/** Connects to a transport, as the storage suite wants it. */
export async function blockClientOf(transport: VolumeTransport): Promise<BlockClient> {
  const client = await connectTo({ transport });
  return {
    async read(offset, length) {
      const data = Buffer.alloc(length);
      await client.read(data, offset);
      return data;
    },
    write: (offset, data) => client.write(Buffer.from(data), offset),
    discard: (offset, length) => client.trim(offset, length),
    flush: () => client.flush(),
    close: () => client.close().catch(() => {}),
  };
}
