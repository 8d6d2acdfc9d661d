import { type BlockBackend, NbdServer, openRawFile } from "../src/index.ts";

// Serves a raw file, or nothing for the floor of the protocol, on a unix socket: `node nbd-server.ts SOCKET (FILE | null:BYTES)`.

const [socket = "", subject = ""] = process.argv.slice(2);

function nullDisk(sizeBytes: number): BlockBackend {
  return { sizeBytes, sharedFlush: true, read: () => {}, write: () => {}, flush: () => {} };
}

const size = /^null:(\d+)$/.exec(subject)?.[1];
const server = new NbdServer();
server.addExport({ name: "", backend: size === undefined ? openRawFile(subject) : nullDisk(Number(size)) });
await server.listenUnix(socket);
process.once("SIGTERM", () => process.exit(0));
