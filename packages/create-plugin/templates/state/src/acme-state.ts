import type { Clock, DescribeInput, Description, OperationContext } from "@vdc-os/core";
import { type MemoryDisk, MemoryStateStore } from "@vdc-os/ready/state";
import { declaredFacets } from "./facets.ts";
import { version } from "./version.ts";

/** What a database at an address keeps. */
const disks = new Map<string, MemoryDisk>();

/**
 * The state store API: as it stands, it is the kit's reference, in memory. Override one operation after the other with your own; the suite says whether each
 * still keeps the contract. When none is left to override, write `implements` for `extends`, and move `@vdc-os/ready` to the
 * devDependencies.
 */
export class AcmeState extends MemoryStateStore {
  constructor(address: string, clock: Clock) {
    const disk = disks.get(address);
    super({ clock, ...(disk === undefined ? {} : { disk }) });
    disks.set(address, this.disk);
  }

  override async describe(input: DescribeInput, context: OperationContext): Promise<Description> {
    const { facets, attributes } = await super.describe(input, context);
    const implementation = { name: "@acme/vdc-state", version, simulated: true };
    const declared = Object.entries(facets).filter(([facet]) => declaredFacets.includes(facet));
    return { implementation, facets: Object.fromEntries(declared), attributes };
  }
}
