import { type AnyExtensionPoint, describeOperation } from "@vdc-os/core";
import { cloudConnector } from "@vdc-os/core/cloud/v1";
import { hypervisor } from "@vdc-os/core/compute/v1";
import { hostRuntime } from "@vdc-os/core/host/v1";
import type { Kernel } from "@vdc-os/core/kernel";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { secretStore } from "@vdc-os/core/secret/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import type { Datacenter } from "./datacenter.ts";

/** The points that a datacenter asks for descriptions. */
const describedPoints: readonly AnyExtensionPoint[] = [
  stateStore,
  secretStore,
  hostRuntime,
  hypervisor,
  storageProvider,
  distributedSwitch,
  cloudConnector,
];

/** What every provider says of itself. One that does not answer just now is left out. */
export async function describeProviders(kernel: Kernel): ReturnType<Datacenter["describe"]> {
  const found = describedPoints.flatMap((point) => {
    const providers = kernel.all(point as typeof storageProvider);
    return providers.names().map((name) => ({ point: point.id, name, handle: providers.get(name) }));
  });
  const described = await Promise.all(
    found.map(async ({ point, name, handle }) => {
      try {
        return { point, name, description: describeOperation.output.parse(await handle.describe({ scope: {} })) };
      } catch {
        // A provider that does not answer just now is left out.
        return undefined;
      }
    }),
  );
  return described.filter((item) => item !== undefined);
}
