import type { BlockBackend } from "../block-backend.ts";
import type { NbdClient } from "./nbd-client.ts";

/** A client's export as a backend: what the export cannot do, the backend does not have. */
export function clientBackend(client: NbdClient): BlockBackend {
  const { bitmaps } = client;
  return {
    get sizeBytes() {
      return client.sizeBytes;
    },
    readOnly: client.readOnly,
    sharedFlush: client.canMultiConnect,
    fastZeroes: client.canFastZero,
    read: (target, offset) => client.read(target, offset),
    write: (source, offset) => client.write(source, offset),
    flush: () => client.flush(),
    ...(client.canTrim && { trim: (offset: number, length: number) => client.trim(offset, length) }),
    ...(client.canWriteZeroes && {
      writeZeroes: (offset: number, length: number, how: { readonly noHole: boolean; readonly fast: boolean }) =>
        client.writeZeroes(offset, length, how),
    }),
    ...(client.canResize && { resize: (sizeBytes: number) => client.resize(sizeBytes) }),
    ...(client.canCache && { cache: (offset: number, length: number) => client.cache(offset, length) }),
    ...(client.canBlockStatus && { extents: (offset: number, length: number) => client.blockStatus(offset, length) }),
    ...(bitmaps.length > 0 && {
      bitmaps: () =>
        bitmaps.map((name) => ({
          name,
          extents: (offset: number, length: number) => client.dirtyExtents(name, offset, length),
        })),
    }),
  };
}
