import type { SwitchStatus } from "@vdc-os/core/network/v1";
import { virtualMachineKind } from "../../kinds/virtual-machine-spec.ts";
import type { Resource } from "../../resource/resource.ts";
import type { VirtualMachineSpec, VirtualMachineStatus } from "../../kinds/virtual-machine-spec.ts";
import type { PortGate } from "../port-gate.ts";
import type { NetworkHandle, SwitchContext, SwitchObject } from "./switch-object.ts";
import { vmPortsOf } from "./vm-ports.ts";

/** Keys that this datacenter makes: a VM's uid and the NIC's place. Ports of other keys are somebody else's, and are left alone. */
const ownKey = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.nic\d+$/;

/**
 * Disconnects ports that no VM of the datacenter has any more, such as those of a VM that was removed while its switch could not be reached. Which ones they are
 * is decided by the state store while nobody connects any: a VM is on record before its first port is connected. Returns their keys.
 */
export async function collectPorts(
  context: SwitchContext,
  object: SwitchObject,
  {
    network,
    gate,
    status,
  }: { readonly network: NetworkHandle; readonly gate: PortGate; readonly status: SwitchStatus },
): Promise<readonly string[]> {
  const { tenant, name, uid: switchId } = object.metadata;
  const cached = vmPortsOf(context.cache.list(virtualMachineKind, { tenant }), name);
  if (!hasUnowned(status, cached)) return [];
  return gate.collect(switchId, async () => {
    const owned = vmPortsOf(await allVms(context, tenant), name);
    const now = await network.switchStatus({ switchId }, context.operation);
    if (!hasUnowned(now, owned)) return [];
    const others = now.ports.map(({ portKey }) => portKey).filter((key) => !ownKey.test(key));
    const collected = await network.collectGarbage(
      { switchId, known: [...owned.keys(), ...others] },
      context.operation,
    );
    if (collected.length > 0) {
      context.logger.info("disconnected ports that no VM has", { switch: name, ports: collected.join(", ") });
    }
    return collected;
  });
}

function hasUnowned({ ports }: SwitchStatus, owned: ReadonlyMap<string, unknown>): boolean {
  return ports.some(({ portKey }) => ownKey.test(portKey) && !owned.has(portKey));
}

async function allVms(
  { store, signal }: SwitchContext,
  tenant: string,
): Promise<readonly Resource<VirtualMachineSpec, VirtualMachineStatus>[]> {
  const vms: Resource<VirtualMachineSpec, VirtualMachineStatus>[] = [];
  let pageToken: string | undefined;
  do {
    const page = await store.list(virtualMachineKind, {
      tenant,
      limit: 1000,
      signal,
      ...(pageToken === undefined ? {} : { pageToken }),
    });
    vms.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined);
  return vms;
}
