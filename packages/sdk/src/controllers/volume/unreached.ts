import type { JsonObject } from "@vdc-os/core";
import { unreachedHosts } from "../../decisions/place-volume.ts";
import type { DatacenterProviders } from "../providers.ts";
import type { VolumeContext } from "./volume-object.ts";

/** Whether a host is not among those that reach a storage provider, by what that says of itself. */
export async function isUnreached(
  context: VolumeContext,
  providers: DatacenterProviders,
  { storage, host }: { readonly storage: string; readonly host: string },
): Promise<boolean> {
  const { attributes } = await providers.storage.get(storage).describe({ scope: {} }, context.operation);
  return unreachedHosts([host], attributes as JsonObject).length > 0;
}
