import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Handle } from "@vdc-os/core";
import { Kernel } from "@vdc-os/core/kernel";
import { type StateStore, stateStore } from "@vdc-os/core/state/v1";
import { type StorageProvider, storageProvider, type VolumeTransport } from "@vdc-os/core/storage/v1";
import { MemoryStateStore } from "@vdc-os/ready/state";
import type { BlockClient } from "@vdc-os/ready/storage";
import type { CsiStorageConfig } from "../src/config.ts";
import type { CsiStorageProvider } from "../src/provider/csi-storage-provider.ts";
import { type CsiStorage, openCsiStorage } from "../src/provider/open-csi-storage.ts";
import { type CsiServer, type ServeCsiOptions, serveCsi } from "../src/server/serve-csi.ts";
import type { VolumePresenter } from "../src/server/volume-presenter.ts";

export const mib: number = 1024 * 1024;

/** A folder that goes when the test ends. */
export function temporaryFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "vdc-csi-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Calls a provider as a consumer does. */
export async function handleOf(
  provider: StorageProvider,
): Promise<{ readonly handle: Handle<StorageProvider>; readonly stop: () => Promise<unknown> }> {
  const kernel = new Kernel();
  kernel.provide(storageProvider, "below", provider);
  await kernel.start();
  return { handle: kernel.get(storageProvider, "below"), stop: () => kernel.stop() };
}

/** A state store, as a consumer has it. */
export async function memoryState(): Promise<{
  readonly handle: Handle<StateStore>;
  readonly stop: () => Promise<unknown>;
}> {
  const kernel = new Kernel();
  kernel.provide(stateStore, "state", new MemoryStateStore());
  await kernel.start();
  return { handle: kernel.get(stateStore), stop: () => kernel.stop() };
}

/** What a pair is made of. */
export interface CsiPairOptions {
  readonly folder: string;
  readonly hosts: readonly string[];
  /** The provider that is offered as a CSI driver; asked again at each opening. */
  readonly below: () => StorageProvider;
  readonly presenter?: VolumePresenter;
  readonly config?: Partial<CsiStorageConfig>;
  readonly serve?: Partial<ServeCsiOptions>;
}

/** Our storage provider over our own driver: one that is controller and node, and one for each further node. */
export interface CsiPair extends AsyncDisposable {
  readonly provider: CsiStorageProvider;
  /** The same, as a consumer has it. */
  readonly handle: Handle<StorageProvider>;
  readonly state: Handle<StateStore>;
  /** Ends both sides, and opens them on what they left. */
  reopen(): Promise<CsiStorageProvider>;
}

export async function openPair(options: CsiPairOptions): Promise<CsiPair> {
  const { folder, hosts, presenter } = options;
  const state = await memoryState();
  const socketOf = (host: string): string => join(folder, `${host}.sock`);
  let servers: CsiServer[] = [];
  let storage: CsiStorage;
  let stopBelow: () => Promise<unknown> = async () => undefined;
  let above: Awaited<ReturnType<typeof handleOf>>;
  const config: CsiStorageConfig = {
    name: "csi",
    endpoint: { socket: socketOf(hosts[0] as string) },
    nodes: hosts.map((host) => ({ host, endpoint: { socket: socketOf(host) } })),
    directory: join(folder, "volumes"),
    ...options.config,
  };
  const openBoth = async (): Promise<void> => {
    const below = await handleOf(options.below());
    stopBelow = below.stop;
    servers = [];
    for (const [index, host] of hosts.entries()) {
      const node = { nodeId: host, directory: join(folder, `${host}.node`), ...(presenter && { presenter }) };
      const controller = index === 0 ? { provider: below.handle, nodeIds: hosts } : {};
      servers.push(await serveCsi({ socket: socketOf(host), node, ...controller, ...options.serve }));
    }
    storage = await openCsiStorage({ config, state: state.handle });
    above = await handleOf(storage.provider);
  };
  const closeBoth = async (): Promise<void> => {
    await above.stop();
    await storage.close();
    for (const server of servers) await server.close();
    await stopBelow();
  };
  await openBoth();
  return {
    get provider() {
      return storage.provider;
    },
    get handle() {
      return above.handle;
    },
    state: state.handle,
    async reopen() {
      await closeBoth();
      await openBoth();
      return storage.provider;
    },
    async [Symbol.asyncDispose]() {
      await closeBoth();
      await state.stop();
    },
  };
}

/** Opens what a driver published, as a VM monitor would. */
export async function openFile(transport: VolumeTransport): Promise<BlockClient> {
  if (transport.kind !== "file" && transport.kind !== "block") throw new Error(`no file: '${transport.kind}'`);
  const file = await open(transport.path, "r+").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EROFS" || error.code === "EACCES") return open(transport.path, "r");
    throw error;
  });
  return {
    async read(offset, length) {
      const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    },
    async write(offset, data) {
      await file.write(data, 0, data.length, offset);
    },
    flush: () => file.sync(),
    close: () => file.close().catch(() => {}),
  };
}
