import { dataPlaneEnvironment, serveDataPlane } from "@vdc-os/core/remote";
import { z } from "zod";
import { storageMethods } from "./methods.ts";
import { StorageServer, type StorageServerConfig } from "./storage-server.ts";

// The entry of a storage process: started by a host runtime, one for each pool and host.

const serverConfig: z.ZodType<StorageServerConfig> = z.object({
  poolDirectory: z.string(),
  host: z.string(),
  socket: z.string(),
  limitBytes: z.number().nonnegative().optional(),
  outOfSpace: z.enum(["pause", "fail"]),
});

async function main(): Promise<void> {
  // Flushes and reads of slow disks wait on these threads. The pool takes the number when it is first used.
  process.env.UV_THREADPOOL_SIZE ??= "16";
  const server = await StorageServer.open(serverConfig.parse(dataPlaneEnvironment().config));
  await serveDataPlane({ methods: storageMethods(server), stop: () => server.close() });
}

main().catch((error) => {
  process.stderr.write(`the storage process could not start: ${String(error)}\n`);
  process.exit(1);
});
