import { VdcError } from "@vdc-os/core";
import { storagePolicyKind } from "../../kinds/storage-policy-spec.ts";
import { storagePoolKind } from "../../kinds/storage-pool-spec.ts";
import { virtualMachineKind } from "../../kinds/virtual-machine-spec.ts";
import type { VolumePlacer } from "./place-volume-object.ts";
import type { VolumeContext, VolumeObject } from "./volume-object.ts";
import type { CloneSource } from "./volume-source.ts";

/** Options of {@link chooseStorage}. */
export interface ChooseStorageOptions {
  readonly placer: VolumePlacer;
  readonly source: CloneSource | undefined;
  /** Providers that turned out to have no room, with what they said. */
  readonly full: Readonly<Record<string, string>>;
}

/** The provider that was asked for by name; `undefined` where the operator's limit, or the hosts that must reach it, have to be asked first. */
export function namedStorage(
  { cache }: VolumeContext,
  { spec: { storage, accessibleHosts } }: VolumeObject,
): string | undefined {
  const pool = storage === undefined ? undefined : cache.get(storagePoolKind, { tenant: "default", name: storage });
  return pool?.spec.maxOverSubscription === undefined && accessibleHosts === undefined ? storage : undefined;
}

/** Chooses where a volume is made, and records that. Throws what `VolumePlacer.choose` does, and `NOT_FOUND` for a policy that does not exist. */
export async function chooseStorage(
  context: VolumeContext,
  object: VolumeObject,
  { placer, source, full }: ChooseStorageOptions,
): Promise<string> {
  const { spec, metadata } = object;
  const policy =
    spec.policy === undefined
      ? undefined
      : await context.store.find(
          storagePolicyKind,
          { tenant: metadata.tenant, name: spec.policy },
          { signal: context.signal },
        );
  if (spec.policy !== undefined && policy === undefined) {
    throw new VdcError("NOT_FOUND", `policy '${spec.policy}' of volume '${metadata.name}' does not exist`);
  }
  const only = source?.storage ?? spec.storage;
  const needs = { empty: [], file: ["importExport"], clone: ["clones"] } as const;
  const request = {
    capacityBytes: spec.capacityBytes ?? source?.capacityBytes ?? 0,
    facets: needs[spec.content.kind],
    hosts: [...new Set([...(spec.accessibleHosts ?? []), ...(await ownersHost(context, object))])],
    ...(policy === undefined ? {} : { policy: policy.spec }),
    ...(only === undefined ? {} : { storage: only }),
  };
  const { ranked, rejected } = await placer.choose(context, request, full);
  const [best] = ranked;
  if (best === undefined) throw new VdcError("INTERNAL", "a placement without a place");
  const { storage, reason } = best;
  const placement = policy === undefined ? {} : { placement: { reason, rejected } };
  await context.updateStatus(({ status }) => ({ status: { ...status, storage, ...placement } }));
  return storage;
}

/** The host that the VM of a VM's own disk must be on. */
async function ownersHost(context: VolumeContext, { metadata }: VolumeObject): Promise<readonly string[]> {
  const owner = metadata.ownerReferences.find(({ kind }) => kind === virtualMachineKind.kind);
  if (owner === undefined) return [];
  const key = { tenant: metadata.tenant, name: owner.name };
  const vm = await context.store.find(virtualMachineKind, key, { signal: context.signal });
  const host = vm?.spec.host;
  return host === undefined ? [] : [host];
}
