import { type FileLayer, nodeFileLayer } from "../src/index.ts";

/**
 * The real file system, but no sync waits for the disk. For tests of what an image holds, which the page cache answers;
 * what a crash would leave is the business of the recording layer.
 */
export const unsyncedLayer: FileLayer = {
  openSync(path, options) {
    const file = nodeFileLayer.openSync(path, options);
    return {
      path: file.path,
      status: () => file.status(),
      readSync: (buffer, position) => file.readSync(buffer, position),
      writeSync: (buffer, position) => file.writeSync(buffer, position),
      truncateSync: (sizeBytes) => file.truncateSync(sizeBytes),
      syncSync: () => undefined,
      // Later than at once, so that work goes on meanwhile as it does while a disk works.
      sync: () => new Promise((resolve) => setImmediate(resolve)),
      closeSync: () => file.closeSync(),
    };
  },
  publishSync: (temporaryPath, path) => nodeFileLayer.publishSync(temporaryPath, path, { durable: false }),
  removeSync: (path) => nodeFileLayer.removeSync(path),
};
