import { systemRandom, VdcError } from "@vdc-os/core";
import type { ControlPlane } from "../controller/control-plane.ts";
import { volumeSnapshotKind } from "../kinds/volume-snapshot-spec.ts";
import { type VolumeInput, volumeKind, type VolumeSpec, type VolumeStatus } from "../kinds/volume-spec.ts";
import type { Accepted, UpdateOptions } from "../store/resource-store-options.ts";
import { type KindClient, kindClient, keyOf, type ObjectName } from "./kind-client.ts";

/** The volumes of a datacenter. */
export interface VolumeClient extends KindClient<VolumeSpec, VolumeStatus, VolumeInput> {
  /**
   * Takes a volume back to one of its snapshots; what was written since is lost. A size that was asked for since is asked for still: the volume grows to it
   * again, and what is added reads as zeroes. The task ends when it is there. Fails with `FAILED_PRECONDITION` while a VM has the volume, and with `NOT_FOUND`
   * without such a snapshot.
   */
  revert(
    name: ObjectName,
    to: { readonly snapshot: string },
    options?: UpdateOptions,
  ): Promise<Accepted<VolumeSpec, VolumeStatus>>;
}

/** The client of volumes. */
export function volumeClient(plane: ControlPlane): VolumeClient {
  const client = kindClient(plane, volumeKind);
  return {
    ...client,
    async revert(name, { snapshot }, options) {
      const key = keyOf(name);
      const volume = await client.get(key, options);
      const found = await plane.store.find(volumeSnapshotKind, { tenant: key.tenant, name: snapshot }, options);
      if (found?.spec.volume !== key.name) {
        throw new VdcError("NOT_FOUND", `volume '${key.name}' has no snapshot '${snapshot}'`);
      }
      const { attachedTo } = volume.status;
      if (attachedTo !== undefined) {
        throw new VdcError("FAILED_PRECONDITION", `VM '${attachedTo.vm}' has volume '${key.name}': stop it first`, {
          blockers: [{ kind: "VirtualMachine", name: attachedTo.vm }],
        });
      }
      const request = systemRandom.uuid();
      return client.update(key, ({ spec }) => ({ ...spec, revert: { snapshot, request } }), options);
    },
  };
}
