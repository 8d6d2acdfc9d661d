import { NbdServer } from "../src/index.ts";

// A server in a process of its own, so that its memory can be measured: `memory-server.ts SOCKET`. Asked "rss" it answers in bytes,
// after a collection where `--expose-gc` allows one.

const SIZE = 1024 * 1024 * 1024;
const { promise: never } = Promise.withResolvers<void>();
const server = new NbdServer();
const flush = () => {};
const write = () => {};
// Filling touches the memory: what is never touched is not resident, and would not be measured.
const read = (target: Buffer) => void target.fill(1);
server.addExport({ name: "d", backend: { sizeBytes: SIZE, read, write, flush } });
server.addExport({
  name: "stuck",
  backend: {
    sizeBytes: SIZE,
    read: (target) => {
      target.fill(1);
      return never;
    },
    write: () => never,
    flush: () => never,
  },
});
for (let index = 0; index < 500; index++) {
  const description = "x".repeat(4000);
  server.addExport({ name: `${index}`, description, backend: { sizeBytes: 0, read, write, flush } });
}
await server.listenUnix(process.argv[2] ?? "");
process.on("message", () => {
  globalThis.gc?.();
  process.send?.(process.memoryUsage().rss);
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
