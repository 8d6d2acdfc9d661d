import type { Description } from "@vdc-os/core";
import { emptyMemoryHost, type MemoryHost, MemoryHypervisor } from "@vdc-os/ready/compute";
import { declaredFacets } from "./facets.ts";
import { version } from "./version.ts";

const hosts = new Map<string, MemoryHost>();

/**
 * The vCompute API: as it stands, it is the kit's reference, in memory. Override one operation after the other with your own; the suite says whether each
 * still keeps the contract. When none is left to override, write `implements` for `extends`, and move `@vdc-os/ready` to the
 * devDependencies.
 */
export class AcmeCompute extends MemoryHypervisor {
  constructor(address: string) {
    super(AcmeCompute.hostAt(address));
  }

  /** The host at an address, with its VMs: they go on when the plugin does not. */
  static hostAt(address: string): MemoryHost {
    const host = hosts.get(address) ?? emptyMemoryHost();
    hosts.set(address, host);
    return host;
  }

  override async describe(): Promise<Description> {
    const { facets, attributes } = await super.describe();
    const implementation = { name: "@acme/vdc-compute", version, simulated: true };
    const declared = Object.entries(facets).filter(([facet]) => declaredFacets.includes(facet));
    return { implementation, facets: Object.fromEntries(declared), attributes };
  }
}
