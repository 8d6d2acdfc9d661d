import type { VolumeCatalog } from "./volume-catalog.ts";
import type { VolumeEntry } from "./volume-entry.ts";

/** A volume, and all whose images are read through images of it: overlays of it and of its snapshots, and theirs. */
export function* readersOf(catalog: VolumeCatalog, entry: VolumeEntry): Iterable<VolumeEntry> {
  yield entry;
  for (const children of [entry.children, ...entry.snapshotChildren.values()]) {
    for (const volumeId of children) {
      const child = catalog.find(volumeId);
      if (child !== undefined) yield* readersOf(catalog, child);
    }
  }
}
