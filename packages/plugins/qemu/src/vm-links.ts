import { VdcError } from "@vdc-os/core";
import { type BridgePort, bridgePorts } from "./bridge-port.ts";
import type { NicTap } from "./command-line.ts";
import type { VmHost } from "./vm-host.ts";
import type { VmRecord } from "./vm-record.ts";
import { setUpTap } from "./vm-tap.ts";

/**
 * The ports that a VM has on the host's Open vSwitch bridges. QEMU makes the taps, before its guest runs, and they go with it; the rows that make them ports
 * are there for as long.
 */
export class VmLinks {
  readonly #host: Pick<VmHost, "bridges" | "logger">;
  readonly #vmId: string;
  readonly #ports: readonly BridgePort[];

  constructor(host: Pick<VmHost, "bridges" | "logger" | "folder">, record: VmRecord) {
    this.#host = host;
    this.#vmId = record.vmId;
    this.#ports = bridgePorts(record, host.folder.root);
  }

  /** Finds out what taps QEMU is to make, by the NICs' ids. Fails with `UNAVAILABLE` when a bridge is not there. */
  async prepare(signal: AbortSignal): Promise<ReadonlyMap<string, NicTap>> {
    const taps = new Map<string, NicTap>();
    for (const { nicId, tap, bridge, mtu } of this.#ports) {
      // A userspace datapath reads frames as they are: nobody finishes them.
      const offloads = !(await this.#bridges.isUserspace(bridge, signal));
      taps.set(nicId, { name: tap, offloads, mtu });
    }
    return taps;
  }

  /** Makes the taps that QEMU has made ports of their bridges, and resolves when frames pass there. */
  async plug(signal: AbortSignal): Promise<void> {
    if (this.#ports.length === 0) return;
    for (const port of this.#ports) await setUpTap(port, this.#host.logger);
    await this.#bridges.plug(this.#ports, signal);
  }

  /** Notes the ports of a VM that was found running. */
  adopt(): void {
    this.#host.bridges?.adopt(this.#ports);
  }

  /** Removes the ports of a VM whose QEMU is gone, at once or as soon as Open vSwitch can be reached. */
  async unplug(): Promise<void> {
    if (this.#ports.length > 0) await this.#host.bridges?.unplug(this.#vmId);
  }

  get #bridges(): NonNullable<VmHost["bridges"]> {
    const { bridges } = this.#host;
    if (bridges !== undefined) return bridges;
    throw new VdcError("UNAVAILABLE", `VM '${this.#vmId}' has NICs on Open vSwitch, which the host has no more`, {
      reason: "VDC_OPEN_VSWITCH",
    });
  }
}
