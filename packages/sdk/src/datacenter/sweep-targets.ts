import { isVdcError, type Page } from "@vdc-os/core";
import type { KernelApi } from "@vdc-os/core/kernel";
import type { ObservedExternal } from "../journal/find-orphans.ts";
import type { SweepTarget } from "../journal/sweep.ts";
import { providersOf } from "../controllers/providers.ts";
import { snapshotsOf } from "../controllers/volume-snapshot-controller.ts";

/** Everything that a datacenter may have made things at, as a sweep sees it. */
export function sweepTargets(kernel: KernelApi, datacenter: string): readonly SweepTarget[] {
  const { storage, network, compute, cloud } = providersOf(kernel);
  return [
    ...compute.names().map((host) => computeTarget(kernel, host, datacenter)),
    ...cloud.names().map((name) => cloudTarget(kernel, name, datacenter)),
    ...storage.names().map((name) => snapshotTarget(kernel, name, datacenter)),
    ...storage.names().map((name) => storageTarget(kernel, name, datacenter)),
    ...network.names().map((name) => networkTarget(kernel, name, datacenter)),
  ];
}

type Options = { readonly signal?: AbortSignal | undefined };
type List<T> = (page: { readonly pageToken?: string }, options: Options) => Promise<Page<T>>;

async function all<T>(list: List<T>, options: Options): Promise<readonly T[]> {
  const items: T[] = [];
  let pageToken: string | undefined;
  do {
    const page = await list(pageToken === undefined ? {} : { pageToken }, options);
    items.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined);
  return items;
}

function storageTarget(kernel: KernelApi, name: string, ownerDatacenter: string): SweepTarget {
  const storage = providersOf(kernel).storage.get(name);
  const provider = `storage/${name}`;
  return {
    provider,
    async list(options) {
      const volumes = await all((page, o) => storage.listVolumes({ ...page, ownerDatacenter }, o), options);
      return volumes.map((volume) => ({ provider, externalName: volume.name, owner: volume.owner }));
    },
    async find(externalName, options) {
      const { items } = await storage.listVolumes({ name: externalName, limit: 1 }, options);
      return observed(provider, externalName, items[0]);
    },
    async remove({ externalName }, options) {
      const { items } = await storage.listVolumes({ name: externalName, limit: 1 }, options);
      const [volume] = items;
      if (volume === undefined) return;
      const { volumeId } = volume;
      const { attachment } = await storage.getAttachment({ volumeId }, options);
      if (attachment !== undefined) {
        await storage.detachVolume({ volumeId, host: attachment.host, generation: attachment.generation }, options);
      }
      await storage.deleteVolume({ volumeId }, options);
    },
  };
}

/** The snapshots of a storage provider, where it has them; in a group's snapshot, the members are listed and deleted one by one. */
function snapshotTarget(kernel: KernelApi, name: string, ownerDatacenter: string): SweepTarget {
  const storage = providersOf(kernel).storage.get(name);
  const provider = snapshotsOf(name);
  const facet = async (options: Options) => {
    const snapshots = await storage.facet("snapshots", options);
    return snapshots.available ? snapshots.operations : undefined;
  };
  const byName = async (externalName: string, options: Options) =>
    (await (await facet(options))?.listSnapshots({ name: externalName, limit: 1 }, options))?.items[0];
  return {
    provider,
    async list(options) {
      const snapshots = await facet(options);
      if (snapshots === undefined) return [];
      const found = await all((page, o) => snapshots.listSnapshots({ ...page, ownerDatacenter }, o), options);
      return found.map((snapshot) => ({ provider, externalName: snapshot.name, owner: snapshot.owner }));
    },
    find: async (externalName, options) => observed(provider, externalName, await byName(externalName, options)),
    async remove({ externalName }, options) {
      const found = await byName(externalName, options);
      if (found !== undefined) await (await facet(options))?.deleteSnapshot({ snapshotId: found.snapshotId }, options);
    },
  };
}

function computeTarget(kernel: KernelApi, host: string, ownerDatacenter: string): SweepTarget {
  const compute = providersOf(kernel).compute.get(host);
  const provider = `compute/${host}`;
  return {
    provider,
    async list(options) {
      const vms = await all((page, o) => compute.listVms({ ...page, ownerDatacenter }, o), options);
      return vms.map((vm) => ({ provider, externalName: vm.name, owner: vm.owner }));
    },
    async find(externalName, options) {
      const { items } = await compute.listVms({ name: externalName, limit: 1 }, options);
      return observed(provider, externalName, items[0]);
    },
    async remove({ externalName }, options) {
      const { items } = await compute.listVms({ name: externalName, limit: 1 }, options);
      const [vm] = items;
      if (vm === undefined) return;
      await compute.stopVm({ vmId: vm.vmId, mode: "hard" }, options);
      await compute.deleteVm({ vmId: vm.vmId }, options);
    },
  };
}

function networkTarget(kernel: KernelApi, name: string, ownerDatacenter: string): SweepTarget {
  const network = providersOf(kernel).network.get(name);
  const provider = `network/${name}`;
  const list = async (options: Options): Promise<readonly ObservedExternal[]> => {
    const switches = await all((page, o) => network.listSwitches({ ...page, ownerDatacenter }, o), options);
    return switches.map((spec) => ({ provider, externalName: spec.switchId, owner: spec.owner }));
  };
  return {
    provider,
    list,
    find: async (externalName, options) =>
      (await list(options)).find((external) => external.externalName === externalName),
    async remove({ externalName: switchId }, options) {
      await network.collectGarbage({ switchId, known: [] }, options);
      await network.removeSwitch({ switchId }, options);
    },
  };
}

function cloudTarget(kernel: KernelApi, name: string, ownerDatacenter: string): SweepTarget {
  const cloud = providersOf(kernel).cloud.get(name);
  const provider = `cloud/${name}`;
  const list = async (options: Options): Promise<readonly (ObservedExternal & { readonly instanceId: string })[]> => {
    const instances = await all((page, o) => cloud.listInstances({ ...page, ownerDatacenter }, o), options);
    return instances.map(({ name: externalName, instanceId, stamp }) => ({
      provider,
      externalName,
      instanceId,
      owner: stamp?.owner,
    }));
  };
  return {
    provider,
    list,
    find: async (externalName, options) =>
      (await list(options)).find((external) => external.externalName === externalName),
    async remove({ externalName }, options) {
      const found = (await list(options)).find((external) => external.externalName === externalName);
      if (found === undefined) return;
      try {
        await cloud.removeInstance({ instanceId: found.instanceId }, options);
      } catch (error) {
        if (!isVdcError(error, "NOT_FOUND")) throw error;
      }
    },
  };
}

function observed(
  provider: string,
  externalName: string,
  found: { readonly owner?: ObservedExternal["owner"] } | undefined,
): ObservedExternal | undefined {
  return found === undefined ? undefined : { provider, externalName, owner: found.owner };
}
