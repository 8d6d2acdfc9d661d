import type { Condition, Resource, VolumeSpec, VolumeStatus } from "@vdc-os/sdk";

/** A volume of a datacenter. */
export type VolumeObject = Resource<VolumeSpec, VolumeStatus>;

// What follows is a line each; the SDK, which has it too, is loaded only by commands that open a datacenter.

/** The storage provider that a volume is on, or is asked to be on; `undefined` while its policy has not chosen one. */
export function storageNameOf({ spec, status }: Pick<VolumeObject, "spec" | "status">): string | undefined {
  return status.storage ?? spec.storage;
}

/** The condition of a type. */
export function conditionOf({ conditions }: Pick<VolumeObject, "conditions">, type: string): Condition | undefined {
  return conditions.find((condition) => condition.type === type);
}
