import { isVdcError, VdcError } from "@vdc-os/core";
import type { Datacenter } from "@vdc-os/sdk";

/** What a provider calls what was made for an object: its name, and a part of its uid. */
const externalName = /[a-z0-9][a-z0-9.-]*-[0-9a-f]{12}(?![0-9a-z])/g;

/** An error in the datacenter's words: providers have volumes and snapshots under names that nobody has typed. Anything else comes back as it is. */
export async function inOwnNames(dc: Datacenter, error: unknown): Promise<unknown> {
  if (!isVdcError(error)) return error;
  const { code, message, reason, details, blockers, retryable } = error;
  if (![message, ...blockers.map(({ name }) => name)].some((text) => text.search(externalName) >= 0)) return error;
  const { externalNameOf } = await import("@vdc-os/sdk");
  const signal = AbortSignal.timeout(5_000);
  const objects = await Promise.all([dc.volumes.list({ signal }), dc.volumeSnapshots.list({ signal })]).catch(() => []);
  const names = new Map(objects.flat().map((object) => [externalNameOf(object), object.metadata.name]));
  const named = (text: string): string => text.replace(externalName, (found) => names.get(found) ?? found);
  return new VdcError(code, named(message), {
    reason,
    details,
    blockers: blockers.map(({ kind, name }) => ({ kind, name: named(name) })),
    retryable,
    cause: error,
  });
}
