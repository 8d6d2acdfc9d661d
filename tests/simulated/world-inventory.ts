import { createOperationContext, type Page } from "@vdc-os/core";
import type { Vm } from "@vdc-os/core/compute/v1";
import type { SwitchStatus } from "@vdc-os/core/network/v1";
import type { Volume } from "@vdc-os/core/storage/v1";
import type { SimulatedWorld } from "@vdc-os/plugin-simulator";

/** A VM, and the host that has it. */
export type PlacedVm = Vm & { readonly host: string };

/** A connected port, and its switch. */
export type ConnectedPort = SwitchStatus["ports"][number] & { readonly switchId: string };

/** What there is in a world, as its providers see it. */
export interface WorldInventory {
  readonly volumes: readonly Volume[];
  /** How many volumes there are with those that their owner deleted, and that a clone still reads. */
  readonly volumesWithTombstones: number;
  readonly vms: readonly PlacedVm[];
  readonly switches: readonly string[];
  readonly ports: readonly ConnectedPort[];
  readonly instances: number;
}

/** A world with nothing in it. */
export const emptyInventory: WorldInventory = {
  volumes: [],
  volumesWithTombstones: 0,
  vms: [],
  switches: [],
  ports: [],
  instances: 0,
};

/** Lists everything that there is. All hosts must be up, and no call be made to fail. */
export async function takeInventory(world: SimulatedWorld): Promise<WorldInventory> {
  const context = createOperationContext();
  const storage = world.storage("storage");
  const network = world.network("network");
  const volumes = await allPages((page) => storage.listVolumes(page, context));
  const lineage = await storage.facets?.lineage?.lineageTree({}, context);
  const vms: PlacedVm[] = [];
  for (const host of world.hosts) {
    const found = await allPages((page) => world.hypervisor(host).listVms(page, context));
    vms.push(...found.map((vm) => ({ ...vm, host })));
  }
  const switches = await allPages((page) => network.listSwitches(page, context));
  const ports: ConnectedPort[] = [];
  for (const { switchId } of switches) {
    const status = await network.switchStatus({ switchId }, context);
    ports.push(...status.ports.map((port) => ({ ...port, switchId })));
  }
  return {
    volumes,
    volumesWithTombstones: lineage?.length ?? 0,
    vms,
    switches: switches.map(({ name }) => name),
    ports,
    instances: world.cloudAccount("cloud").instances.length,
  };
}

/** What occurs more than once. */
export function repeated(items: readonly string[]): readonly string[] {
  return items.filter((item, index) => items.indexOf(item) !== index);
}

/** The owners of things, by uid; an unstamped one is `nobody`. */
export function owners(items: readonly { readonly owner?: { readonly uid: string } }[]): readonly string[] {
  return items.map(({ owner }) => owner?.uid ?? "nobody");
}

async function allPages<T>(list: (page: { readonly pageToken?: string }) => Promise<Page<T>>): Promise<readonly T[]> {
  const items: T[] = [];
  let pageToken: string | undefined;
  do {
    const page = await list(pageToken === undefined ? {} : { pageToken });
    items.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined);
  return items;
}
