/**
 * A process that serves qcow2 images, each as an export: `node serve-images.ts SOCKET FOLDER NAME...` serves `FOLDER/NAME.qcow2` as `NAME`, read only, through the same
 * calls as a storage process.
 */
import { join } from "node:path";
import { NbdServer } from "@vdc-os/nbd";
import { backingFolder, Qcow2Image } from "@vdc-os/qcow2";

process.env.UV_THREADPOOL_SIZE ??= "16";
const [socket = "", folder = "", ...names] = process.argv.slice(2);
const server = new NbdServer();
for (const name of names) {
  const options = { readOnly: true, resolveBacking: backingFolder(folder), cacheBytes: 4 * 1024 * 1024 };
  const image = await Qcow2Image.open(join(folder, `${name}.qcow2`), options);
  server.addExport({
    name,
    readOnly: true,
    backend: {
      sizeBytes: image.sizeBytes,
      readOnly: true,
      sparseReads: true,
      read: (target, offset) => image.readWithoutWaiting(target, offset),
      write: () => {},
      flush: () => {},
      extents: (offset, length) => image.map(offset, length),
    },
  });
}
await server.listenUnix(socket);
process.on("SIGTERM", () => process.exit(0));
