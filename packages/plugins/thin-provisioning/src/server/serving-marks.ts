import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isVolumeId } from "../pool-layout.ts";

/** What a mark stands for: a volume, or one of its snapshots. */
export interface ServingMark {
  readonly volumeId: string;
  readonly snapshotId?: string | undefined;
}

/**
 * What a storage process serves, one empty file each, so that it serves the same again after it was killed. A mark is no
 * permission: that is the volume's record. Marks need not outlast a power loss, which ends the VMs as well.
 */
export class ServingMarks {
  readonly #folder: string;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folder = folder;
  }

  list(): readonly ServingMark[] {
    return readdirSync(this.#folder).flatMap((name) => {
      const [volumeId = "", snapshotId] = name.split(".");
      return isVolumeId(volumeId) && (snapshotId === undefined || isVolumeId(snapshotId))
        ? [{ volumeId, snapshotId }]
        : [];
    });
  }

  set(mark: ServingMark): void {
    writeFileSync(join(this.#folder, nameOf(mark)), "");
  }

  clear(mark: ServingMark): void {
    rmSync(join(this.#folder, nameOf(mark)), { force: true });
  }
}

function nameOf({ volumeId, snapshotId }: ServingMark): string {
  return snapshotId === undefined ? volumeId : `${volumeId}.${snapshotId}`;
}
