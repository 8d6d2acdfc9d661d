import {
  type Clock,
  createOperationContext,
  type Handle,
  type Logger,
  type OperationContext,
  type Random,
  silentLogger,
  systemClock,
  systemRandom,
} from "@vdc-os/core";
import type { StateStore } from "@vdc-os/core/state/v1";
import type { StorageProvider } from "@vdc-os/core/storage/v1";
import { BaseStorage } from "./base-storage.ts";
import { CloneCatalog } from "./clone-catalog.ts";
import { CloneEngine } from "./clone-engine.ts";
import { DepthPolicy } from "./depth-policy.ts";
import { GroupSnapshots } from "./group-snapshots.ts";
import { LinkedClonesProvider } from "./linked-clones-provider.ts";
import { RecordStore } from "./record-store.ts";
import { SnapshotCatalog } from "./snapshot-catalog.ts";
import { sweep } from "./sweep.ts";
import { VolumeLocks } from "./volume-locks.ts";

/** Options of {@link openLinkedClones}. */
export interface OpenLinkedClonesOptions {
  /** The provider's name, under which its records lie in the state store. */
  readonly name: string;
  /** The provider underneath. */
  readonly base: Handle<StorageProvider>;
  readonly state: Handle<StateStore>;
  /** Defaults to none. */
  readonly logger?: Logger;
  /** Defaults to the machine's. */
  readonly random?: Random;
  /** Defaults to the machine's. */
  readonly clock?: Clock;
  /** Linked clones that are deeper are flattened in the background. Defaults to none. */
  readonly flattenAtDepth?: number | undefined;
  /** Contexts for what is done of its own accord. Defaults to ones that nothing ends. */
  readonly operation?: () => OperationContext;
}

/** Opens the provider without a kernel. What a kill left is finished or undone before it resolves. */
export async function openLinkedClones(options: OpenLinkedClonesOptions): Promise<LinkedClonesProvider> {
  const { flattenAtDepth } = options;
  const records = new RecordStore(options.state, options.name);
  const engine = new CloneEngine({
    base: new BaseStorage(options.base),
    records,
    catalog: new CloneCatalog(records),
    snapshots: new SnapshotCatalog(records),
    locks: new VolumeLocks(),
    logger: options.logger ?? silentLogger,
    random: options.random ?? systemRandom,
    clock: options.clock ?? systemClock,
    operation: options.operation ?? (() => createOperationContext()),
  });
  const groups = new GroupSnapshots(engine);
  const depth = new DepthPolicy(engine, flattenAtDepth);
  await sweep(engine, groups);
  await depth.resume();
  return new LinkedClonesProvider({ engine, depth, groups, flattenAtDepth });
}
