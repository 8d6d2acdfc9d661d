import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOperationContext, type Handle } from "@vdc-os/core";
import { hostRuntime, type HostRuntime } from "@vdc-os/core/host/v1";
import { Kernel, use } from "@vdc-os/core/kernel";
import { type StateStore, stateStore } from "@vdc-os/core/state/v1";
import { type StorageProvider, storageProvider } from "@vdc-os/core/storage/v1";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import thinProvisioning from "@vdc-os/plugin-thin-provisioning";
import linkedClones from "../src/plugin.ts";
import type { LinkedClonesProvider } from "../src/linked-clones-provider.ts";
import { openLinkedClones } from "../src/open-linked-clones.ts";

export const mib: number = 1024 * 1024;

/** The three plugins in a kernel, on a folder. */
export interface TestDatacenter extends AsyncDisposable {
  readonly folder: string;
  readonly kernel: Kernel;
  readonly base: Handle<StorageProvider>;
  readonly state: Handle<StateStore>;
  readonly clones: Handle<StorageProvider>;
}

/** Starts them on a folder, which the caller removes. */
export async function openDatacenter(
  folder: string,
  hosts: Readonly<Record<string, Handle<HostRuntime>>> = {},
): Promise<TestDatacenter> {
  const kernel = new Kernel({
    plugins: [
      use(sqliteStateStore, { config: { directory: join(folder, "state") } }),
      use(thinProvisioning, { config: { name: "thin", directory: join(folder, "pool") } }),
      use(linkedClones, { config: { name: "clones", base: "thin" } }),
    ],
  });
  for (const [name, host] of Object.entries(hosts)) {
    kernel.provide(hostRuntime, name, host as unknown as HostRuntime);
  }
  await kernel.start();
  return {
    folder,
    kernel,
    base: kernel.get(storageProvider, "thin"),
    state: kernel.get(stateStore),
    clones: kernel.get(storageProvider, "clones"),
    [Symbol.asyncDispose]: async () => {
      await kernel.stop();
    },
  };
}

export function temporaryFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "vdc-clones-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Every key that the provider keeps, without its prefix. */
export async function keysOf(datacenter: TestDatacenter): Promise<readonly string[]> {
  const prefix = "linked-clones/clones/";
  const { entries } = await datacenter.state.list({ prefix, limit: 1000 });
  return entries.map(({ key }) => key.slice(prefix.length));
}

/** The provider again on what is there, as a start after a kill does: what was begun is finished or undone. */
export function reopened(
  datacenter: TestDatacenter,
  base: Handle<StorageProvider> = datacenter.base,
): Promise<LinkedClonesProvider> {
  return openLinkedClones({
    name: "clones",
    base,
    state: datacenter.state,
    operation: () => createOperationContext(),
  });
}
