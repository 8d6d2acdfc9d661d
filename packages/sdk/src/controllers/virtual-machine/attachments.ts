import { createHash } from "node:crypto";
import { VdcError } from "@vdc-os/core";
import type { VmDisk, VmNic } from "@vdc-os/core/compute/v1";
import type { ConnectPort } from "@vdc-os/core/network/v1";
import { effectivePortSetting } from "../../decisions/effective-port-setting.ts";
import { switchKind, type SwitchKindSpec, type SwitchKindStatus } from "../../kinds/switch-spec.ts";
import { volumeKind, type VolumeSpec, type VolumeStatus } from "../../kinds/volume-spec.ts";
import { isBeingDeleted, type Resource } from "../../resource/resource.ts";
import type { PortGate } from "../port-gate.ts";
import type { DatacenterProviders } from "../providers.ts";
import { heldByMove, storageOf } from "../volume/volume-object.ts";
import type { VmContext, VmObject } from "./vm-object.ts";

/** How a VM reaches its disks and networks. */
export interface VmAttachments {
  readonly disks: readonly VmDisk[];
  readonly vmNics: readonly VmNic[];
  readonly waitsFor?: string;
}

/** Attaches the VM's volumes and connects its ports on its host, with its generation. Repeating it changes nothing. */
export async function attachAll(
  context: VmContext,
  object: VmObject,
  providers: DatacenterProviders,
  { volumes, gate }: { readonly volumes: readonly Resource<VolumeSpec, VolumeStatus>[]; readonly gate: PortGate },
): Promise<VmAttachments> {
  const { host, generation, disks: records = [] } = object.status;
  if (host === undefined || generation === undefined)
    throw new VdcError("INTERNAL", `VM '${object.metadata.name}' has no host yet`);
  const disks: VmDisk[] = [];
  for (const [index, volume] of volumes.entries()) {
    disks.push(
      await attachDisk(context, object, providers, {
        volume,
        id: records[index]?.id ?? `disk${index}`,
        host,
        generation,
      }),
    );
  }
  const connected = await connectNics(context, object, providers, { host, generation, gate });
  if (typeof connected === "string") return { disks, vmNics: [], waitsFor: connected };
  return { disks, vmNics: connected };
}

interface DiskToAttach {
  readonly volume: Resource<VolumeSpec, VolumeStatus>;
  readonly id: string;
  readonly host: string;
  readonly generation: number;
}

async function attachDisk(
  context: VmContext,
  object: VmObject,
  providers: DatacenterProviders,
  disk: DiskToAttach,
): Promise<VmDisk> {
  const { volume, id, host, generation } = disk;
  const { tenant, name } = volume.metadata;
  const attachedTo = { vm: object.metadata.name, host, generation };
  const present = volume.status.attachedTo;
  if (present !== undefined && present.vm !== attachedTo.vm) {
    throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is attached for VM '${present.vm}'`, {
      blockers: [{ kind: "VirtualMachine", name: present.vm }],
    });
  }
  if (present === undefined && isBeingDeleted(volume)) {
    throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is being deleted`, {
      blockers: [{ kind: volumeKind.kind, name }],
    });
  }
  // On record first: the volume's own controller must not delete what is about to be attached.
  const attached = await context.store.updateStatus(
    volumeKind,
    { tenant, name },
    ({ status }) => {
      mustNotBeHeld(name, status);
      return { status: { ...status, generation, attachedTo } };
    },
    { observedGeneration: volume.metadata.observedGeneration, ifUid: volume.metadata.uid, signal: context.signal },
  );
  const { volumeId } = attached.status;
  if (volumeId === undefined) throw new VdcError("UNAVAILABLE", `volume '${name}' has no id yet`);
  const storage = providers.storage.get(storageOf(attached));
  const attachment = await storage.attachVolume({ volumeId, host, access: "readWrite", generation }, context.operation);
  return { id, transport: attachment.transport, readOnly: false };
}

function mustNotBeHeld(name: string, { move, reverting }: VolumeStatus): void {
  const why = reverting === undefined ? heldByMove(move) : "it is going back to a snapshot";
  if (why !== undefined) throw new VdcError("ABORTED", `volume '${name}' can't change hands now: ${why}`);
}

async function connectNics(
  context: VmContext,
  object: VmObject,
  providers: DatacenterProviders,
  { host, generation, gate }: { readonly host: string; readonly generation: number; readonly gate: PortGate },
): Promise<readonly VmNic[] | string> {
  const vmNics: VmNic[] = [];
  const nics = nicsOf(object);
  for (const [index, nic] of object.spec.nics.entries()) {
    const key = { tenant: object.metadata.tenant, name: nic.switch };
    const network = await context.store.find(switchKind, key, { signal: context.signal });
    if (network === undefined)
      throw new VdcError("NOT_FOUND", `switch '${nic.switch}' of VM '${object.metadata.name}' does not exist`);
    const group = network.spec.portGroups.find(({ name }) => name === nic.portGroup);
    if (group === undefined) {
      const names = network.spec.portGroups.map(({ name }) => `'${name}'`).join(", ");
      throw new VdcError("NOT_FOUND", `switch '${nic.switch}' has no port group '${nic.portGroup}': it has ${names}`);
    }
    if (!isRealised(network, host)) return `switch '${nic.switch}' is not ready on host '${host}'`;
    const { id, mac, portKey } = nics[index] as NicRecord;
    const port: ConnectPort = {
      switchId: network.metadata.uid,
      portGroup: group.name,
      portKey,
      host,
      mac,
      ...(nic.addresses === undefined ? {} : { addresses: nic.addresses }),
      generation,
      owner: context.ownerStamp,
      ...(nic.policy === undefined ? {} : { setting: effectivePortSetting(network.spec.policy, group, nic.policy) }),
      ...(nic.opaque === undefined ? {} : { opaque: nic.opaque }),
    };
    const binding = await gate.connect(port.switchId, () =>
      providers.network.get(network.spec.network).connectPort(port, context.operation),
    );
    vmNics.push({ id, mac, attachment: binding.attachment });
  }
  return vmNics;
}

/** Whether a switch is as asked for on a host. What becomes of its other members does not matter: one that is away must not keep VMs from starting elsewhere. */
function isRealised(network: Resource<SwitchKindSpec, SwitchKindStatus>, host: string): boolean {
  const { metadata, status } = network;
  const { members, trial, specGeneration = 0, desiredGeneration = 1 } = status;
  const member = members?.find((other) => other.host === host);
  if (member === undefined || (member.state !== "up" && member.state !== "warning")) return false;
  if (isBeingDeleted(network) || trial !== undefined) return member.realizedGeneration >= 1;
  return specGeneration >= metadata.generation && member.realizedGeneration >= desiredGeneration;
}

/** A VM's NIC, as its status has it. */
export interface NicRecord {
  readonly id: string;
  readonly portKey: string;
  readonly mac: string;
}

/** The NICs of a VM, in order. They follow from the VM alone, so that a run that adopts it knows them too. */
export function nicsOf({ metadata: { uid }, spec }: VmObject): readonly NicRecord[] {
  return spec.nics.map(({ mac }, index) => {
    const id = `nic${index}`;
    return { id, portKey: `${uid}.${id}`, mac: mac ?? macOf(uid, index) };
  });
}

/** A locally administered unicast address (IEEE 802, section 8.2) that follows from the VM and the NIC's place. */
export function macOf(uid: string, index: number): string {
  const digest = createHash("sha256").update(`${uid}/${index}`).digest();
  return ["52", "54", "00", ...[0, 1, 2].map((at) => (digest[at] ?? 0).toString(16).padStart(2, "0"))].join(":");
}

/** Detaches the volumes and disconnects the ports that a VM may have. Repeating it changes nothing. */
export async function releaseAll(context: VmContext, object: VmObject, providers: DatacenterProviders): Promise<void> {
  const { tenant, name } = object.metadata;
  const { host, generation, disks = [] } = object.status;
  if (host === undefined || generation === undefined) return;
  for (const [index, { portKey }] of nicsOf(object).entries()) {
    const network = await context.store.find(
      switchKind,
      { tenant, name: object.spec.nics[index]?.switch ?? "" },
      { signal: context.signal },
    );
    if (network === undefined) continue;
    const port = { switchId: network.metadata.uid, portKey, generation };
    await providers.network.get(network.spec.network).disconnectPort(port, context.operation);
  }
  for (const disk of disks) {
    const volume = await context.store.find(volumeKind, { tenant, name: disk.volume }, { signal: context.signal });
    if (volume?.status.volumeId === undefined || volume.status.attachedTo?.vm !== name) continue;
    const { volumeId } = volume.status;
    mustNotBeHeld(disk.volume, volume.status);
    await providers.storage.get(storageOf(volume)).detachVolume({ volumeId, host, generation }, context.operation);
    await context.store.updateStatus(
      volumeKind,
      { tenant, name: disk.volume },
      ({ status: { attachedTo: _, ...status } }) => {
        // What was detached is the volume no more, if it has just been moved.
        if (status.volumeId !== volumeId) throw new VdcError("ABORTED", `volume '${disk.volume}' has just been moved`);
        mustNotBeHeld(disk.volume, status);
        return { status };
      },
      { observedGeneration: volume.metadata.observedGeneration, ifUid: volume.metadata.uid, signal: context.signal },
    );
  }
}
