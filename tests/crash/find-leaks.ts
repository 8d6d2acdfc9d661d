import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { SeenObject, Snapshot } from "./manager-protocol.ts";
import { findProcesses } from "../datacenter/owned-processes.ts";

/** What a converged datacenter must not have: anything in the inventory that is not outside, and anything outside that is not in the inventory. */
export async function findLeaks(directory: string, snapshot: Snapshot): Promise<readonly string[]> {
  const { objects } = snapshot;
  const of = (kind: string): readonly SeenObject[] => objects.filter((object) => object.kind === kind);
  return [
    ...objects
      .filter(({ ready, leaving }) => !ready || leaving)
      .map(
        (object) => `${object.kind} '${object.name}' is ${object.leaving ? "leaving" : "not ready"}: ${object.detail}`,
      ),
    ...snapshot.unfinishedTasks.map((task) => `a task has not ended: ${task}`),
    ...snapshot.pendingIntents.map((intent) => `the journal still has '${intent}'`),
    ...volumeLeaks(snapshot, of("Volume"), of("VirtualMachine")),
    ...(await poolLeaks(directory, snapshot)),
    ...switchLeaks(snapshot, of("Switch"), of("VirtualMachine")),
    ...(await machineLeaks(directory, snapshot, of("VirtualMachine"))),
  ];
}

/** The lines that only one of two lists has, said in words. */
function difference(what: string, wanted: readonly string[], found: readonly string[]): readonly string[] {
  const twice = found.filter((item, index) => found.indexOf(item) !== index);
  return [
    ...wanted.filter((item) => !found.includes(item)).map((item) => `${what}: '${item}' is missing`),
    ...found.filter((item) => !wanted.includes(item)).map((item) => `${what}: '${item}' is left over`),
    ...twice.map((item) => `${what}: '${item}' is there twice`),
  ];
}

function isOn(vm: SeenObject): boolean {
  return vm.spec.power === "on";
}

function volumeLeaks(
  snapshot: Snapshot,
  volumes: readonly SeenObject[],
  vms: readonly SeenObject[],
): readonly string[] {
  const ids = volumes.map(({ status }) => String(status.volumeId));
  const tombstones = snapshot.lineage.filter(({ tombstoned }) => tombstoned);
  const running = new Set(vms.filter(isOn).map(({ name }) => name));
  const attached = volumes.filter(({ status }) => status.attachedTo !== undefined);
  return [
    ...difference(
      "volumes of the storage provider",
      volumes.map(({ uid, status }) => `${String(status.volumeId)} of ${uid}`),
      snapshot.volumes.map(({ volumeId, ownerUid }) => `${volumeId} of ${ownerUid}`),
    ),
    ...difference("volumes of the pool", [...ids, ...tombstones.map(({ volumeId }) => volumeId)], snapshot.poolVolumes),
    ...tombstones
      .filter(({ children }) => children.length === 0)
      .map(({ volumeId }) => `tombstone '${volumeId}' has no children any more`),
    ...attached
      .filter(({ status }) => !running.has((status.attachedTo as { readonly vm: string }).vm))
      .map(({ name, status }) => `volume '${name}' is still attached: ${JSON.stringify(status.attachedTo)}`),
    ...difference(
      "attachments",
      attached.map(({ status }) => {
        const { host, generation } = status.attachedTo as { readonly host: string; readonly generation: number };
        return `${String(status.volumeId)} on ${host} in ${generation}`;
      }),
      snapshot.attachments.map(({ volumeId, host, generation }) => `${volumeId} on ${host} in ${generation}`),
    ),
  ];
}

function isAttached(snapshot: Snapshot, volumeId: string | undefined): boolean {
  return snapshot.attachments.some((attachment) => attachment.volumeId === volumeId);
}

async function poolLeaks(directory: string, snapshot: Snapshot): Promise<readonly string[]> {
  const pool = join(directory, "pool");
  const list = (folder: string): Promise<readonly string[]> => readdir(join(pool, folder)).catch(() => []);
  const volumes = await list("volumes");
  const files = await Promise.all(volumes.map((volume) => list(join("volumes", volume))));
  return [
    ...difference("folders of the pool", snapshot.poolVolumes, volumes),
    ...files.flatMap((names, index) =>
      difference(
        `files of volume '${volumes[index]}'`,
        ["disk.qcow2", "volume.json"],
        names
          .filter((name) => !name.endsWith(".lock"))
          // What is attached has a journal of what its tables in the file do not know yet.
          .filter((name) => !(name.endsWith(".journal") && isAttached(snapshot, volumes[index]))),
      ),
    ),
    ...(await list("trash")).map((name) => `'${name}' is left in the trash`),
  ];
}

function switchLeaks(
  snapshot: Snapshot,
  switches: readonly SeenObject[],
  vms: readonly SeenObject[],
): readonly string[] {
  const nics = vms
    .filter(isOn)
    .flatMap(({ status }) =>
      ((status.nics ?? []) as readonly { readonly portKey: string }[]).map(
        ({ portKey }) => `${portKey} on ${String(status.host)} in ${String(status.generation)}`,
      ),
    );
  const ports = snapshot.switches.flatMap((found) =>
    found.ports.map(({ portKey, host, generation }) => `${portKey} on ${host} in ${generation}`),
  );
  return [
    ...difference(
      "switches",
      switches.map(({ uid }) => uid),
      snapshot.switches.map(({ switchId }) => switchId),
    ),
    ...difference("ports", nics, ports),
  ];
}

async function machineLeaks(
  directory: string,
  snapshot: Snapshot,
  vms: readonly SeenObject[],
): Promise<readonly string[]> {
  const processes = (await findProcesses(directory)).filter(({ what }) => what === "qemu");
  const running = vms.filter(isOn);
  const isUp = (state: string): boolean => state === "running";
  return [
    ...snapshot.vms
      .filter(({ ownerUid }) => !vms.some(({ uid }) => uid === ownerUid))
      .map(({ vmId, host }) => `VM '${vmId}' on host '${host}' is left over`),
    ...difference(
      "running VMs",
      running.map(({ uid, status }) => `${uid} on ${String(status.host)} in ${String(status.generation)}`),
      snapshot.vms
        .filter(({ state }) => isUp(state))
        .map(({ ownerUid, host, generation }) => `${ownerUid} on ${host} in ${String(generation)}`),
    ),
    // Its last part is the VM's id.
    ...difference(
      "QEMU processes",
      running.map(({ status }) => `${String(status.host)}/${String(status.vmId)}`),
      processes.map(({ owner }) => owner?.split("/").slice(1).join("/") ?? "nobody's"),
    ),
  ];
}
