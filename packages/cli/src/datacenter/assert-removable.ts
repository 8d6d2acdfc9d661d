import { type ObjectReference, VdcError } from "@vdc-os/core";
import type { Datacenter } from "@vdc-os/sdk";

/**
 * Fails with `FAILED_PRECONDITION`, and names what is in the way, where a volume would wait to be removed: a VM that has it, or snapshots of it. The datacenter
 * itself lets a removal wait for as long as that takes; somebody at a terminal wants to know.
 */
export async function assertRemovable(dc: Datacenter, name: string, signal: AbortSignal): Promise<void> {
  const { status, metadata } = await dc.volumes.get(name, { signal });
  const vms = await dc.vms.list({ signal });
  const users = vms.filter((vm) => vm.status.disks?.some((disk) => disk.volume === metadata.name) === true);
  const snapshots = (await dc.volumeSnapshots.list({ signal })).filter(({ spec }) => spec.volume === metadata.name);
  const blockers: ObjectReference[] = [
    ...users.map((vm) => ({ kind: "VirtualMachine", name: vm.metadata.name })),
    ...snapshots.map((snapshot) => ({ kind: "VolumeSnapshot", name: snapshot.metadata.name })),
  ];
  if (blockers.length === 0 && status.attachedTo !== undefined) {
    blockers.push({ kind: "VirtualMachine", name: status.attachedTo.vm });
  }
  if (blockers.length === 0) return;
  throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is in use, or has snapshots`, { blockers });
}
