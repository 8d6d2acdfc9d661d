import { type ContractOf, type Handle, type Providers, VdcError } from "@vdc-os/core";
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
    compute: ofConnectedHosts(kernel.all(hypervisor)),
    cloud: kernel.all(cloudConnector),
  };
}

/** A host that has no hypervisor now is away, and may come back: asking for it fails with `UNAVAILABLE`, which is tried again. */
function ofConnectedHosts(hypervisors: Providers<Hypervisor>): Providers<Hypervisor> {
  return {
    has: (host) => hypervisors.has(host),
    names: () => hypervisors.names(),
    get(host) {
      if (hypervisors.has(host)) return hypervisors.get(host);
      throw new VdcError("UNAVAILABLE", `host '${host}' does not answer now`, {
        reason: "VDC_HOST_DISCONNECTED",
        blockers: [{ kind: "Host", name: host }],
      });
    },
  };
}
