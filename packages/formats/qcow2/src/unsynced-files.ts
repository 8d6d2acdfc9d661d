import type { FileLayer, ImageFile } from "./file-layer.ts";

/** A file system whose syncs do nothing: for a new file of which nobody expects that it survives a power loss. */
export function unsyncedFiles(layer: FileLayer): FileLayer {
  return {
    openSync: (path, options) => unsynced(layer.openSync(path, options)),
    publishSync: (temporaryPath, path) => layer.publishSync(temporaryPath, path, { durable: false }),
    removeSync: (path) => layer.removeSync(path),
  };
}

function unsynced(file: ImageFile): ImageFile {
  const { punchSync, reserveSync, seekSync, readCachedSync } = file;
  return {
    path: file.path,
    status: () => file.status(),
    readSync: (buffer, position) => file.readSync(buffer, position),
    writeSync: (buffer, position) => file.writeSync(buffer, position),
    truncateSync: (sizeBytes) => file.truncateSync(sizeBytes),
    ...(punchSync && { punchSync: (position, length) => punchSync.call(file, position, length) }),
    ...(reserveSync && { reserveSync: (position, length) => reserveSync.call(file, position, length) }),
    ...(seekSync && { seekSync: (position, what) => seekSync.call(file, position, what) }),
    ...(readCachedSync && { readCachedSync: (buffer, position) => readCachedSync.call(file, buffer, position) }),
    syncSync: () => {},
    sync: async () => {},
    closeSync: () => file.closeSync(),
  };
}
