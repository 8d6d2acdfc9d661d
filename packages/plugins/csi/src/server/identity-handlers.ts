import { type GrpcHandler, handler } from "../grpc/grpc-server.ts";
import { identity, type PluginCapability, pluginServices, volumeExpansions } from "../spec/identity-service.ts";
import type { Sparse } from "../grpc/message.ts";
import type { ProviderCalls } from "./provider-calls.ts";

/** What the identity service says. */
export interface DriverIdentity {
  readonly driverName: string;
  readonly version: string;
}

/** Service Identity. Without a provider there is no controller: a node's driver. */
export function identityHandlers(
  { driverName, version }: DriverIdentity,
  calls: ProviderCalls | undefined,
): readonly GrpcHandler[] {
  return [
    handler(identity.getPluginInfo, async () => ({ name: driverName, vendorVersion: version })),
    handler(identity.getPluginCapabilities, async (_request, call) => {
      if (calls === undefined) return {};
      const capabilities: Sparse<PluginCapability>[] = [{ service: { type: pluginServices.controller } }];
      // A node that publishes through FUSE does not see that a volume has grown until it is published again.
      const resize = await calls.hasFacet("resize", calls.context(call));
      if (resize) capabilities.push({ volumeExpansion: { type: volumeExpansions.offline } });
      return { capabilities };
    }),
    handler(identity.probe, async (_request, call) => {
      if (calls === undefined) return { ready: { value: true } };
      const health = await calls.provider.health({}, calls.context(call));
      // A degraded pool still serves; the specification's "not ready" is for one that is starting.
      return { ready: { value: health.condition !== "abnormal" } };
    }),
  ];
}
