import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isVolumeId } from "../pool-layout.ts";

/**
 * The volumes that a storage process serves, one empty file each, so that it serves them again after it was killed. A mark is no
 * permission: that is the volume's record. Marks need not outlast a power loss, which ends the VMs as well.
 */
export class ServingMarks {
  readonly #folder: string;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folder = folder;
  }

  list(): readonly string[] {
    return readdirSync(this.#folder).filter(isVolumeId);
  }

  set(volumeId: string): void {
    writeFileSync(join(this.#folder, volumeId), "");
  }

  clear(volumeId: string): void {
    rmSync(join(this.#folder, volumeId), { force: true });
  }
}
