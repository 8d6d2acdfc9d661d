import { hypervisor } from "@vdc-os/core/compute/v1";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { type Datacenter, isBeingDeleted, isConditionTrue, readyCondition, type Resource } from "@vdc-os/sdk";
import type { ObjectRef, SeenObject, Snapshot } from "./manager-protocol.ts";

/** Reads the objects of the kinds that the test works with. */
export async function readObjects(dc: Datacenter): Promise<readonly SeenObject[]> {
  const [volumes, images, switches, vms] = await Promise.all([
    dc.volumes.list(),
    dc.images.list(),
    dc.switches.list(),
    dc.vms.list(),
  ]);
  return [...volumes, ...images, ...switches, ...vms].map(seen);
}

/** Whether all that was asked for is so: nothing waits, nothing is leaving, everything is ready. */
export function isConverged(dc: Datacenter, objects: readonly SeenObject[]): boolean {
  return dc.tasks.list({ finished: false }).length === 0 && objects.every(({ ready, leaving }) => ready && !leaving);
}

function seen(object: Resource): SeenObject {
  const { kind, metadata, spec, status, conditions } = object as Resource<object, object>;
  return {
    kind: kind as ObjectRef["kind"],
    name: metadata.name,
    uid: metadata.uid,
    spec: { ...spec },
    status: { ...status },
    ready: isConditionTrue(conditions, readyCondition, metadata.generation),
    leaving: isBeingDeleted(object),
    detail: conditions
      .map((condition) => `${condition.type}=${condition.status} ${condition.reason}: ${condition.message}`)
      .join("; "),
  };
}

/** Reads all that there is, in the inventory and at the providers. */
export async function takeSnapshot(dc: Datacenter): Promise<Snapshot> {
  const { kernel } = dc;
  const storage = kernel.get(storageProvider, "storage");
  const network = kernel.get(distributedSwitch, "network");
  const lineage = await storage.facet("lineage");
  const { items: volumes } = await storage.listVolumes({ limit: 500 });
  const attachments = await Promise.all(
    volumes.map(async ({ volumeId }) => (await storage.getAttachment({ volumeId })).attachment),
  );
  const { items: poolVolumes } = await kernel.get(storageProvider, "thin").listVolumes({ limit: 500 });
  const { items: switches } = await network.listSwitches({});
  const hosts = kernel.all(hypervisor).names();
  const vms = await Promise.all(
    hosts.map(async (host) => {
      const { items } = await kernel.get(hypervisor, host).listVms({});
      return items.map(({ vmId, owner, state, generation }) => ({
        host,
        vmId,
        ownerUid: owner?.uid ?? "",
        state,
        generation,
      }));
    }),
  );
  const journal = await kernel.get(stateStore).list({ prefix: "journal/" });
  return {
    objects: await readObjects(dc),
    unfinishedTasks: dc.tasks
      .list({ finished: false })
      .map((task) => `${task.action} ${task.target?.kind ?? ""} '${task.target?.name ?? ""}' is ${task.state}`),
    pendingIntents: journal.entries.map(({ key }) => key),
    volumes: volumes.map(({ volumeId, owner }) => ({ volumeId, ownerUid: owner?.uid ?? "" })),
    attachments: attachments
      .filter((attachment) => attachment !== undefined)
      .map(({ volumeId, host, generation }) => ({ volumeId, host, generation })),
    lineage: lineage.available
      ? (await lineage.operations.lineageTree({})).map(({ volumeId, tombstoned, children }) => ({
          volumeId,
          tombstoned,
          children,
        }))
      : [],
    poolVolumes: poolVolumes.map(({ volumeId }) => volumeId),
    switches: await Promise.all(
      switches.map(async ({ switchId }) => {
        const { ports } = await network.switchStatus({ switchId });
        return { switchId, ports: ports.map(({ portKey, host, generation }) => ({ portKey, host, generation })) };
      }),
    ),
    vms: vms.flat(),
  };
}
