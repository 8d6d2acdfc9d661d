import { totalmem } from "node:os";
import { VdcError } from "@vdc-os/core";
import type { QemuConfig } from "./config.ts";
import type { VmRecord } from "./vm-record.ts";

interface Holder {
  readonly isActive: boolean;
  readonly record: VmRecord;
}

/** The memory of a host, which is promised to the VMs that run or are about to. */
export class MemoryPromises {
  readonly #config: QemuConfig;
  readonly #vms: ReadonlyMap<string, Holder>;

  constructor(config: QemuConfig, vms: ReadonlyMap<string, Holder>) {
    this.#config = config;
    this.#vms = vms;
  }

  /** What may be promised in all. */
  get bytes(): number {
    const { memoryBytes, reservedMemoryBytes = 0 } = this.#config;
    return memoryBytes ?? Math.max(0, totalmem() - reservedMemoryBytes);
  }

  get promisedBytes(): number {
    let promised = 0;
    for (const vm of this.#vms.values()) if (vm.isActive) promised += vm.record.spec.memoryBytes;
    return promised;
  }

  /** Throws `RESOURCE_EXHAUSTED` when a VM that is not active needs more than is left. */
  admit({ vmId, spec: { memoryBytes } }: VmRecord): void {
    const free = this.bytes - this.promisedBytes;
    if (memoryBytes <= free) return;
    throw new VdcError(
      "RESOURCE_EXHAUSTED",
      `VM '${vmId}' needs ${memoryBytes} bytes of memory, and host '${this.#config.name}' has ${free} left to promise`,
      { details: { needed: memoryBytes, free } },
    );
  }
}
