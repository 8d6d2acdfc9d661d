import { type Header, hasFeature } from "./header.ts";
import { DIRTY_BIT, writeIncompatibleBits } from "./header-word.ts";
import type { ImageCore, ImageWriter } from "./image-core.ts";

/** Whether the image's owner asked that refcounts be written late (compatible feature "lazy refcounts"). */
export function hasLazyRefcounts(header: Header): boolean {
  return header.version === 3 && hasFeature(header, "compatible", 0);
}

/** Sets the dirty bit, durably: from here on a crash has all refcounts counted anew. Version 2 has no such bit. */
export function setDirty(core: ImageCore, writer: ImageWriter): void {
  const header = writeIncompatibleBits(core.file, core.header, { set: [DIRTY_BIT] });
  if (header === core.header) return;
  writer.barrier.syncSync();
  core.header = header;
}

/** Clears the dirty bit, durably. Only once every refcount is in the file. */
export function clearDirty(core: ImageCore, writer: ImageWriter): void {
  const header = writeIncompatibleBits(core.file, core.header, { clear: [DIRTY_BIT] });
  if (header === core.header) return;
  writer.barrier.syncSync();
  core.header = header;
}
