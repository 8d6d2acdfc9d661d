import { VdcError } from "@vdc-os/core";
import { migrationsAfterEnd } from "./disk-migrations.ts";
import type { HostFolder } from "./host-folder.ts";
import type { QemuEnd } from "./qemu-process.ts";
import { removeRecord, type VmRecord, type VmRun, writeRecord } from "./vm-record.ts";

/** The record of a VM: what is in memory is what is on disk, and only later owners change it. */
export class VmLedger {
  readonly #folder: HostFolder;
  #record: VmRecord;

  constructor(folder: HostFolder, record: VmRecord) {
    this.#folder = folder;
    this.#record = record;
  }

  get record(): VmRecord {
    return this.#record;
  }

  /** Replaces it. When this fails, it is as it was. */
  async save(record: VmRecord): Promise<void> {
    await writeRecord(this.#folder, record);
    this.#record = record;
  }

  /** Notes a start before there is anything to find. */
  async saveStart(generation: number, run: VmRun): Promise<void> {
    const { lastEnd: _, ...before } = this.#record;
    await this.save({ ...before, wanted: "running", generation, highestGeneration: generation, run });
  }

  /** Notes that nothing of it runs any more. */
  async saveEnd(lastEnd: QemuEnd): Promise<void> {
    const { run: _, diskMigrations, ...rest } = this.#record;
    const ended = diskMigrations && { diskMigrations: migrationsAfterEnd(diskMigrations, lastEnd.detail) };
    await this.save({ ...rest, ...ended, wanted: "off", lastEnd });
  }

  /** Refuses a generation that is lower than one that was seen. */
  fence(generation: number): void {
    const { highestGeneration = 0, vmId } = this.#record;
    if (generation >= highestGeneration) return;
    throw new VdcError(
      "FAILED_PRECONDITION",
      `generation ${generation} of VM '${vmId}' is fenced: ${highestGeneration} has been seen`,
      { reason: "VDC_FENCED", details: { generation, highest: highestGeneration } },
    );
  }

  /** Refuses a lower generation from now on. */
  async raise(generation: number): Promise<void> {
    this.fence(generation);
    if (generation === this.#record.highestGeneration) return;
    await this.save({ ...this.#record, highestGeneration: generation });
  }

  /** Forgets the VM. */
  remove(): Promise<void> {
    return removeRecord(this.#folder, this.#record.vmId);
  }
}
