import type { OwnerStamp } from "@vdc-os/core";

/** Whether two owner stamps are those of the same owner. */
export function isSameOwner(a: OwnerStamp | undefined, b: OwnerStamp | undefined): boolean {
  return ownerKey(a) === ownerKey(b);
}

/** A text that is equal for equal owners. */
export function ownerKey(owner: OwnerStamp | undefined): string {
  return JSON.stringify(owner && [owner.datacenter, owner.tenant, owner.kind, owner.name, owner.uid]);
}
