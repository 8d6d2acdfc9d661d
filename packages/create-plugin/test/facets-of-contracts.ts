import type { AnyExtensionPoint } from "@vdc-os/core";
import { backupRepository } from "@vdc-os/core/backup/v1";
import { cloudConnector } from "@vdc-os/core/cloud/v1";
import { hypervisor } from "@vdc-os/core/compute/v1";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { secretStore } from "@vdc-os/core/secret/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import type { ContractFacets } from "../src/contract-facets.ts";

const points: Readonly<Record<string, AnyExtensionPoint>> = {
  storage: storageProvider,
  network: distributedSwitch,
  compute: hypervisor,
  cloud: cloudConnector,
  state: stateStore,
  secret: secretStore,
  backup: backupRepository,
};

/** The facets of the contracts, with their operations and the kinds of these, as the tokens have them. */
export function facetsOfContracts(): ContractFacets {
  return Object.fromEntries(
    Object.entries(points).map(([name, { facets }]) => [
      name,
      Object.fromEntries(
        Object.entries(facets).map(([facet, operations]) => [
          facet,
          Object.fromEntries(Object.entries(operations).map(([operation, { kind }]) => [operation, kind])),
        ]),
      ),
    ]),
  ) as ContractFacets;
}
