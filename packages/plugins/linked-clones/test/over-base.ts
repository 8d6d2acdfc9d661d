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
  const calls = new Set<Promise<unknown>>();
  const opened: { readonly handles: BelowHandles; readonly clones: LinkedClonesProvider }[] = [];
  const open = async (): Promise<StorageProvider> => {
    const handles = await handlesOn(noting(provider(), calls), state);
    const clones = await openOn(handles);
    opened.push({ handles, clones });
    return clones;
  };
  return {
    ...below,
    implementation: await open(),
    reopen: async () => {
      // From now on whatever it has under way reaches neither of the two, as after a kill.
      await opened.at(-1)?.handles[Symbol.asyncDispose]();
      // The one underneath may be at it still, for nobody.
      await Promise.allSettled(calls);
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

/** A provider whose calls are in a set until they end. */
function noting<T extends object>(provider: T, calls: Set<Promise<unknown>>): T {
  return new Proxy(provider, {
    get(target, key) {
      const value = Reflect.get(target, key, target) as unknown;
      if (typeof value === "object" && value !== null) return noting(value, calls);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        const call = value.apply(target, args) as unknown;
        if (call instanceof Promise) {
          calls.add(call);
          const end = (): void => void calls.delete(call);
          call.then(end, end);
        }
        return call;
      };
    },
  });
}
