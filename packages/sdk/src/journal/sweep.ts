import { type Clock, isVdcError, type Logger, toVdcError } from "@vdc-os/core";
import type { Resource } from "../resource/resource.ts";
import { objectsPrefix } from "../resource/resource-key.ts";
import { listEntries, type StateAccess } from "../store/state-access.ts";
import { findOrphans, isAbout, type ObservedExternal, type SweepFinding } from "./find-orphans.ts";
import type { Intent, IntentJournal } from "./intent-journal.ts";

/** One provider, as a sweep sees it. */
export interface SweepTarget {
  readonly provider: string;
  /** Everything that bears an owner stamp of ours; it may list more. Fails rather than to leave something out. */
  list(options: { readonly signal?: AbortSignal | undefined }): Promise<readonly ObservedExternal[]>;
  /** What has this name now, or `undefined`. */
  find(
    externalName: string,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<ObservedExternal | undefined>;
  /** Deletes it. Idempotent. */
  remove(external: ObservedExternal, options: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}

/** Options of {@link sweep}. */
export interface SweepOptions {
  readonly state: StateAccess;
  readonly journal: IntentJournal;
  readonly datacenter: string;
  readonly targets: readonly SweepTarget[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** See `findOrphans`. Defaults to ten minutes. */
  readonly graceMs?: number;
  /** Only reports what it would delete. Defaults to false. */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** What a sweep did. */
export interface SweepReport {
  /** Deleted, or to be deleted with `dryRun`. */
  readonly removed: readonly SweepFinding[];
  /** Orphans that could not be deleted, and why. */
  readonly failed: readonly SweepFinding[];
  readonly deferred: readonly SweepFinding[];
  readonly foreign: readonly SweepFinding[];
  /** Providers that could not be asked, and why. Nothing of them was touched. */
  readonly unreachable: readonly { readonly provider: string; readonly reason: string }[];
}

/**
 * Deletes what bears this datacenter's stamp and belongs to no object, and reports the rest. It deletes nothing else, whatever a
 * provider lists: just before each deletion it looks at the thing again, and leaves it when its stamp is not the same any more.
 */
export async function sweep(options: SweepOptions): Promise<SweepReport> {
  const { state, journal, datacenter, targets, clock, logger, graceMs = 600_000, dryRun = false, signal } = options;
  const unreachable: { readonly provider: string; readonly reason: string }[] = [];
  const observed: ObservedExternal[] = [];
  const byProvider = new Map(targets.map((target) => [target.provider, target]));
  for (const target of targets) {
    try {
      observed.push(...(await target.list({ signal })));
    } catch (error) {
      signal?.throwIfAborted();
      unreachable.push({ provider: target.provider, reason: toVdcError(error).message });
    }
  }
  // In this order: see `FindOrphansInput.observed`.
  const pending = await journal.pending({ signal });
  const { entries } = await listEntries(state, objectsPrefix, { signal });
  const objects = new Set(entries.map(({ value }) => (value as unknown as Resource).metadata.uid));
  const plan = findOrphans({ datacenter, observed, objects, pending, now: clock.now(), graceMs });
  const removed: SweepFinding[] = [];
  const failed: SweepFinding[] = [];
  for (const finding of plan.orphans) {
    const { external, reason } = finding;
    if (dryRun) {
      removed.push(finding);
      continue;
    }
    try {
      const target = byProvider.get(external.provider);
      const current = await target?.find(external.externalName, { signal });
      if (current?.owner?.datacenter !== datacenter || current.owner.uid !== external.owner?.uid) continue;
      await target?.remove(current, { signal });
      logger.info("removed an orphan", { provider: external.provider, name: external.externalName, reason });
      removed.push(finding);
    } catch (error) {
      signal?.throwIfAborted();
      if (isVdcError(error, "NOT_FOUND")) removed.push(finding);
      else failed.push({ external, reason: toVdcError(error).message });
    }
  }
  if (!dryRun) {
    const unasked = new Set(unreachable.map(({ provider }) => provider));
    const isKnownGone = (intent: Intent): boolean => byProvider.has(intent.provider) && !unasked.has(intent.provider);
    const isRemoved = (intent: Intent): boolean =>
      !objects.has(intent.target.uid) && removed.some(({ external }) => isAbout(intent, external));
    const settled = [...plan.settled.filter(isKnownGone), ...pending.filter(isRemoved)];
    for (const intent of settled) await journal.done(intent, { signal });
  }
  return { removed, failed, deferred: plan.deferred, foreign: plan.foreign, unreachable };
}
