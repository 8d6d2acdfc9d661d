import type { Description } from "@vdc-os/core";
import { MemoryCloud, type MemoryCloudAccount } from "@vdc-os/ready/cloud";
import { declaredFacets } from "./facets.ts";
import { version } from "./version.ts";

const accounts = new Map<string, MemoryCloudAccount>();

/**
 * The Cloud API: as it stands, it is the kit's reference, in memory. Override one operation after the other with your own; the suite says whether each
 * still keeps the contract. When none is left to override, write `implements` for `extends`, and move `@vdc-os/ready` to the
 * devDependencies.
 */
export class AcmeCloud extends MemoryCloud {
  constructor(address: string, knownCredentials: boolean) {
    const account = accounts.get(address);
    super({ knownCredentials, ...(account === undefined ? {} : { account }) });
    accounts.set(address, this.account);
  }

  /** The account at an address. */
  static accountAt(address: string): MemoryCloudAccount {
    return new AcmeCloud(address, true).account;
  }

  override async describe(): Promise<Description> {
    const { facets, attributes } = await super.describe();
    const implementation = { name: "@acme/vdc-cloud", version, simulated: true };
    const declared = Object.entries(facets).filter(([facet]) => declaredFacets.includes(facet));
    return { implementation, facets: Object.fromEntries(declared), attributes };
  }
}
