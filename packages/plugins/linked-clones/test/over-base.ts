import type { Handle } from "@vdc-os/core";
import { Kernel } from "@vdc-os/core/kernel";
import { type StateStore, stateStore } from "@vdc-os/core/state/v1";
import { type StorageProvider, storageProvider } from "@vdc-os/core/storage/v1";
import { MemoryStateStore } from "@vdc-os/ready/state";
import type { StorageInstance } from "@vdc-os/ready/storage";
import type { LinkedClonesProvider } from "../src/linked-clones-provider.ts";
import { type OpenLinkedClonesOptions, openLinkedClones } from "../src/open-linked-clones.ts";

/** A provider to put the plugin on. */
export interface Below extends Omit<StorageInstance, "implementation" | "reopen" | "dispose"> {
  readonly provider: () => StorageProvider;
  readonly reopen?: () => Promise<unknown>;
  readonly dispose?: () => void | Promise<void>;
}

/** Handles on a provider and a state store, as the plugin gets them. */
export interface BelowHandles extends AsyncDisposable {
  readonly base: Handle<StorageProvider>;
  readonly state: Handle<StateStore>;
}

/** Puts a provider and a store into a kernel of their own. */
export async function handlesOn(
  provider: StorageProvider,
  state: StateStore = new MemoryStateStore(),
): Promise<BelowHandles> {
  const kernel = new Kernel();
  kernel.provide(storageProvider, "below", provider);
  kernel.provide(stateStore, "state", state);
  await kernel.start();
  return {
    base: kernel.get(storageProvider, "below"),
    state: kernel.get(stateStore),
    [Symbol.asyncDispose]: async () => {
      await kernel.stop();
    },
  };
}

/** The plugin on handles. */
export function openOn(
  { base, state }: Pick<BelowHandles, "base" | "state">,
  options: Partial<OpenLinkedClonesOptions> = {},
): Promise<LinkedClonesProvider> {
  return openLinkedClones({ name: "clones", base, state, ...options });
}

/** The plugin over a provider, for the suite: each opening is a kernel of its own over the same state. */
export async function over({ provider, reopen, dispose, ...below }: Below): Promise<StorageInstance> {
  const state = new MemoryStateStore();
  const opened: { readonly handles: BelowHandles; readonly clones: LinkedClonesProvider }[] = [];
  const open = async (): Promise<StorageProvider> => {
    const handles = await handlesOn(provider(), state);
    const clones = await openOn(handles);
    opened.push({ handles, clones });
    return clones;
  };
  return {
    ...below,
    implementation: await open(),
    reopen: async () => {
      await reopen?.();
      return open();
    },
    dispose: async () => {
      for (const { handles, clones } of opened) {
        await clones.close();
        await handles[Symbol.asyncDispose]();
      }
      await dispose?.();
    },
  };
}
