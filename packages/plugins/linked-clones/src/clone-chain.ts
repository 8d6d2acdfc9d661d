import type { OperationContext } from "@vdc-os/core";
import type { BaseStorage } from "./base-storage.ts";
import type { CloneCatalog } from "./clone-catalog.ts";
import type { CloneRecord } from "./clone-record.ts";

/** A volume, its parent, and so on up to the one that stands alone. */
export async function chainOf(
  catalog: CloneCatalog,
  record: CloneRecord,
  context: OperationContext,
): Promise<readonly CloneRecord[]> {
  const chain = [record];
  for (let at = record.parentVolumeId; at !== undefined; ) {
    const parent = (await catalog.find(at, context))?.value;
    if (parent === undefined) break;
    chain.push(parent);
    at = parent.parentVolumeId;
  }
  return chain;
}

/**
 * How many bytes a clone has in common with its parents: what they hold, and never more than the clone's size. What several of them hold of the same place counts for
 * each, and so does what a volume has written since the snapshot that is read; so it is exact for a fresh clone of one parent, and an upper limit elsewhere.
 */
export async function sharedBytesOf(
  base: BaseStorage,
  { parents, capacityBytes }: { readonly parents: readonly CloneRecord[]; readonly capacityBytes: number },
  context: OperationContext,
): Promise<number> {
  let bytes = 0;
  for (const { volumeId } of parents) {
    bytes += (await base.find(volumeId, context))?.allocatedBytes ?? 0;
    if (bytes >= capacityBytes) return capacityBytes;
  }
  return bytes;
}
