import { type Clock, type Logger, toVdcError } from "@vdc-os/core";
import type { ControlPlane } from "../controller/control-plane.ts";
import type { DatacenterProviders } from "../controllers/providers.ts";
import { storagePoolKind } from "../kinds/storage-pool-spec.ts";

/** What {@link keepStoragePools} works with. */
export interface StoragePoolsOptions {
  readonly plane: ControlPlane;
  readonly providers: DatacenterProviders;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly intervalMs: number;
  readonly signal: AbortSignal;
}

/** Makes a pool object for each storage provider that there is. One whose provider has gone stays, with what the operator made of it, and says so. */
export async function ensureStoragePools({ plane, providers, signal }: StoragePoolsOptions): Promise<void> {
  for (const name of providers.storage.names()) {
    const key = { tenant: "default", name };
    if ((await plane.store.find(storagePoolKind, key, { signal })) !== undefined) continue;
    await plane.store.create(storagePoolKind, { name, spec: {} }, { fieldOwner: "datacenter", signal });
  }
}

/** Looks from time to time whether there are new providers. Resolves when the signal aborts. */
export async function keepStoragePools(options: StoragePoolsOptions): Promise<void> {
  const { clock, logger, intervalMs, signal } = options;
  while (!signal.aborted) {
    await clock.sleep(intervalMs, { signal }).catch(() => {});
    if (signal.aborted) return;
    await ensureStoragePools(options).catch((error) =>
      logger.warn("storage pools could not be looked at; it is tried again later", {
        error: toVdcError(error).message,
      }),
    );
  }
}
