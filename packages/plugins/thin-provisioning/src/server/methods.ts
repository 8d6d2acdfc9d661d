import type { DataPlaneMethod } from "@vdc-os/core/remote";
import { z } from "zod";
import type { StorageServer } from "./storage-server.ts";

const owner = z.object({ volumeId: z.string(), generation: z.int().positive() });
const volume = z.object({ volumeId: z.string() });

/** The control protocol of a storage process. */
export function storageMethods(server: StorageServer): Readonly<Record<string, DataPlaneMethod>> {
  return {
    attach: (params) => server.attach(owner.parse(params)),
    revoke: (params) => server.revoke(owner.parse(params)),
    copyUp: (params, { signal }) => server.copyUp(volume.parse(params), signal),
    status: () => server.status(),
  };
}
