import { VdcError } from "@vdc-os/core";
import { isVolumeId, type PoolLayout } from "../pool-layout.ts";
import { readRecord, type VolumeRecord } from "../volume-record.ts";

/** Reads the records of volumes: they say who may use a volume, whatever a message says. Each call reads the disk. */
export class PermittedRecords {
  readonly #layout: PoolLayout;
  readonly #host: string;

  constructor(layout: PoolLayout, host: string) {
    this.#layout = layout;
    this.#host = host;
  }

  /** A volume's record; `undefined` where there is none. Throws for one that can't be read. */
  find(volumeId: string): VolumeRecord | undefined {
    if (!isVolumeId(volumeId)) throw new VdcError("INVALID_ARGUMENT", `'${volumeId}' is no volume id`);
    try {
      return readRecord(this.#layout.record(volumeId));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** The record of a volume, if it says that this host serves it. */
  permitted(volumeId: string): VolumeRecord | undefined {
    const record = this.find(volumeId);
    const attachment = record?.attachment;
    const here = attachment?.host === this.#host && attachment.mode === "served" && !attachment.ending;
    return here ? record : undefined;
  }
}
