import { externalNameOf } from "../../journal/external-name.ts";
import type { DatacenterProviders } from "../providers.ts";
import type { VolumeContext, VolumeObject } from "./volume-object.ts";

/** Deletes what a run before may have made for a volume that has no id yet, on a storage provider that it was asked for on before. */
export async function removeElsewhere(
  context: VolumeContext,
  object: VolumeObject,
  providers: DatacenterProviders,
): Promise<void> {
  const { spec, status, metadata } = object;
  if (status.volumeId !== undefined) return;
  const here = `storage/${status.storage ?? spec.storage}`;
  const name = externalNameOf(object);
  for (const intent of context.intents) {
    const { provider, externalName, target } = intent;
    if (target.uid !== metadata.uid || externalName !== name || provider === here) continue;
    if (!provider.startsWith("storage/")) continue;
    const storage = providers.storage.get(provider.slice("storage/".length));
    const { items } = await storage.listVolumes({ name, limit: 1 }, context.operation);
    const [found] = items;
    if (found !== undefined) await storage.deleteVolume({ volumeId: found.volumeId }, context.operation);
    await context.journal.done(intent, { signal: context.signal });
  }
}
