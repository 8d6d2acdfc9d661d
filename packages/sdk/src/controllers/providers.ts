import type { ContractOf, Handle, Providers } from "@vdc-os/core";
import { type CloudConnector, cloudConnector } from "@vdc-os/core/cloud/v1";
import { type Hypervisor, hypervisor } from "@vdc-os/core/compute/v1";
import type { KernelApi } from "@vdc-os/core/kernel";
import { type DistributedSwitch, distributedSwitch } from "@vdc-os/core/network/v1";
import { type StorageProvider, storageProvider } from "@vdc-os/core/storage/v1";

/** The providers that controllers work with, by name. */
export interface DatacenterProviders {
  readonly storage: Providers<StorageProvider>;
  readonly network: Providers<DistributedSwitch>;
  /** A hypervisor's name is its host's. */
  readonly compute: Providers<Hypervisor>;
  readonly cloud: Providers<CloudConnector>;
}

/** The handle on a storage provider. */
export type StorageHandle = Handle<ContractOf<typeof storageProvider>>;

/** The providers that a kernel has. */
export function providersOf(kernel: KernelApi): DatacenterProviders {
  return {
    storage: kernel.all(storageProvider),
    network: kernel.all(distributedSwitch),
    compute: kernel.all(hypervisor),
    cloud: kernel.all(cloudConnector),
  };
}
