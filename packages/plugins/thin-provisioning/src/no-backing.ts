import type { BackingResolver, BlockSource } from "@vdc-os/qcow2";

/** Stands for layers of which nothing is read. */
const nothing: BlockSource = {
  sizeBytes: 0,
  read: async () => {},
  readSync: () => {},
  map: () => [],
  close: async () => {},
};

/** A resolver that opens so many layers below an image, through another resolver, and none below those. What they would hold reads as absent. */
export function layersBelow(count: number, resolve?: BackingResolver): BackingResolver {
  return (request) => (request.depth <= count ? resolve?.(request) : { source: nothing });
}
