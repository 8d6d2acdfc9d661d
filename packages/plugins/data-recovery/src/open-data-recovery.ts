import type { Providers } from "@vdc-os/core";
import type { StorageProvider } from "@vdc-os/core/storage/v1";
import { StorageAccess } from "./backup/storage-access.ts";
import type { DataRecoveryConfig } from "./config.ts";
import { DataRecoveryProvider } from "./data-recovery-provider.ts";
import { Repository } from "./repository/repository.ts";
import { openBlockDevice, type OpenDevice } from "./source/block-device.ts";

/** Options of {@link openDataRecovery}. */
export interface OpenDataRecoveryOptions extends Omit<DataRecoveryConfig, "name"> {
  readonly storage: Providers<StorageProvider>;
  /** Connects to disks. Defaults to NBD, raw files and block devices. */
  readonly openDevice?: OpenDevice | undefined;
  /** Called before and after each change of the repository's folder, for tests: what it throws ends the change there. */
  readonly onEffect?: ((what: string) => void) | undefined;
}

/** A repository that is open. */
export interface OpenDataRecovery extends AsyncDisposable {
  readonly provider: DataRecoveryProvider;
  /** Gives the repository up. No call may be under way. */
  close(): Promise<void>;
}

/** Opens a repository without a kernel. */
export async function openDataRecovery(options: OpenDataRecoveryOptions): Promise<OpenDataRecovery> {
  const { directory, chunkBytes, onEffect, host, flushBytes = 256 * 1024 * 1024 } = options;
  const repository = await Repository.open({ directory, chunkBytes, onEffect });
  const provider = new DataRecoveryProvider({
    repository,
    storage: new StorageAccess(options.storage),
    openDevice: options.openDevice ?? openBlockDevice,
    host,
    flushBytes,
  });
  const close = (): Promise<void> => repository.close();
  return { provider, close, [Symbol.asyncDispose]: close };
}
