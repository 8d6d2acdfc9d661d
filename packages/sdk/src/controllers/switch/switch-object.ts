import { createHash } from "node:crypto";
import type { Handle } from "@vdc-os/core";
import type { DistributedSwitch, SwitchSpec } from "@vdc-os/core/network/v1";
import type { ReconcileContext } from "../../controller/define-controller.ts";
import type { SwitchKindSpec, SwitchKindStatus } from "../../kinds/switch-spec.ts";
import { isJsonObject } from "../../resource/field-path.ts";
import type { Resource } from "../../resource/resource.ts";

/** A switch in the inventory. */
export type SwitchObject = Resource<SwitchKindSpec, SwitchKindStatus>;

/** What a reconcile of a switch works with. */
export type SwitchContext = ReconcileContext<SwitchKindSpec, SwitchKindStatus>;

/** The handle on a network provider. */
export type NetworkHandle = Handle<DistributedSwitch>;

/** Tells whether a provider was given the very same spec before, in whatever order its members are. */
export function digestOf(spec: SwitchSpec): string {
  const text = JSON.stringify(spec, (_name, value: unknown) =>
    isJsonObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value,
  );
  return createHash("sha256").update(text).digest("base64url").slice(0, 22);
}

/** A generation that the provider has not seen. Not below the object's, which people look at. */
export function nextProviderGeneration({ metadata, status }: SwitchObject): number {
  const { desiredGeneration = 0, highestGeneration = 0 } = status;
  return Math.max(metadata.generation, Math.max(desiredGeneration, highestGeneration) + 1);
}
