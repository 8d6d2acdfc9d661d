import { VdcError } from "@vdc-os/core";
import type { ReconcileContext } from "../../controller/define-controller.ts";
import { storageNameOf, type VolumeMove, type VolumeSpec, type VolumeStatus } from "../../kinds/volume-spec.ts";
import type { Resource } from "../../resource/resource.ts";

/** A volume in the inventory. */
export type VolumeObject = Resource<VolumeSpec, VolumeStatus>;

/** What a reconcile of a volume works with. */
export type VolumeContext = ReconcileContext<VolumeSpec, VolumeStatus>;

/** The storage provider that a volume is on; of one that is nowhere yet, where it is to be. Throws `UNAVAILABLE` while its policy has not chosen one. */
export function storageOf(object: Pick<VolumeObject, "spec" | "status" | "metadata">): string {
  const name = storageNameOf(object);
  if (name !== undefined) return name;
  throw new VdcError("UNAVAILABLE", `volume '${object.metadata.name}' has no storage yet`);
}

/** Whether a volume is asked to be on another storage provider than the one that it is on. */
export function isAskedElsewhere({ spec, status }: Pick<VolumeObject, "spec" | "status">): boolean {
  return spec.storage !== undefined && status.storage !== undefined && spec.storage !== status.storage;
}

/** What keeps a volume from being attached, or let go of, until its move is a step further. `undefined` when nothing does. */
export function heldByMove(move: VolumeMove | undefined): string | undefined {
  if (move?.phase === "switching") return `it is being switched to storage '${move.to.storage}'`;
  if (move?.online === undefined && (move?.phase === "copying" || move?.phase === "undoing")) {
    return `it is being copied to storage '${move.to.storage}'`;
  }
  return undefined;
}
