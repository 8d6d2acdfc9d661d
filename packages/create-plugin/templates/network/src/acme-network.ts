import type { DescribeInput, Description, OperationContext } from "@vdc-os/core";
import { MemorySwitch } from "@vdc-os/ready/network";
import { version } from "./version.ts";

/** The control of the switches at an address that was opened last. */
const controls = new Map<string, AcmeNetwork>();

/**
 * The vNetwork API: as it stands, it is the kit's reference, in memory. Override one operation after the other with your own; the suite says whether each
 * still keeps the contract. When none is left to override, write `implements` for `extends`, and move `@vdc-os/ready` to the
 * devDependencies.
 */
export class AcmeNetwork extends MemorySwitch {
  constructor(address: string) {
    super(controls.get(address)?.disk);
    controls.set(address, this);
  }

  /** Who controls the switches at an address. */
  static at(address: string): AcmeNetwork {
    return controls.get(address) ?? new AcmeNetwork(address);
  }

  override async describe(input: DescribeInput, context: OperationContext): Promise<Description> {
    const implementation = { name: "@acme/vdc-network", version, simulated: true };
    return { ...(await super.describe(input, context)), implementation };
  }
}
