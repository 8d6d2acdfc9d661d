import type { FileLayer, ImageFile } from "./file-layer.ts";

const MIN_BYTES: number = 4 * 1024 * 1024;
const MAX_BYTES: number = 64 * 1024 * 1024;

/**
 * A file system whose files are given their space in large pieces, before it is written: for files that are written from the beginning to the end. Until
 * it is closed, a file may be longer than it was told to be.
 */
export function reservedFiles(layer: FileLayer): FileLayer {
  return {
    openSync: (path, options) => {
      const file = layer.openSync(path, options);
      return options.write ? reserved(file) : file;
    },
    publishSync: (temporaryPath, path, options) => layer.publishSync(temporaryPath, path, options),
    removeSync: (path) => layer.removeSync(path),
  };
}

function reserved(file: ImageFile): ImageFile {
  const { punchSync, seekSync, readCachedSync } = file;
  if (file.reserveSync === undefined) return file;
  /** How long it is, and how long it is for those that write to it. */
  let [actual, told] = [0, 0];
  let canReserve = true;
  actual = told = file.status().sizeBytes;
  return {
    path: file.path,
    status: () => ({ ...file.status(), sizeBytes: told }),
    readSync: (buffer, position) => file.readSync(buffer, position),
    writeSync(buffer, position) {
      file.writeSync(buffer, position);
      told = Math.max(told, position + buffer.length);
      actual = Math.max(actual, told);
    },
    truncateSync(sizeBytes) {
      if (canReserve && sizeBytes > actual) {
        // As much again as there is: a small file is not made a large one.
        const bytes = Math.max(sizeBytes - actual, Math.min(MAX_BYTES, Math.max(MIN_BYTES, actual)));
        canReserve = file.reserveSync?.(actual, bytes) === true;
        if (canReserve) actual += bytes;
      }
      if (!canReserve || sizeBytes < told) {
        file.truncateSync(sizeBytes);
        actual = sizeBytes;
      }
      told = sizeBytes;
    },
    ...(punchSync && { punchSync: (position, length) => punchSync.call(file, position, length) }),
    ...(seekSync && { seekSync: (position, what) => seekSync.call(file, position, what) }),
    ...(readCachedSync && { readCachedSync: (buffer, position) => readCachedSync.call(file, buffer, position) }),
    syncSync: () => file.syncSync(),
    sync: () => file.sync(),
    closeSync() {
      try {
        if (actual > told) file.truncateSync(told);
      } finally {
        file.closeSync();
      }
    },
  };
}
