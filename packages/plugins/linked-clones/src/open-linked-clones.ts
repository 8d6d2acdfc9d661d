import {
  createOperationContext,
  type Handle,
  type Logger,
  type OperationContext,
  type Random,
  silentLogger,
  systemRandom,
} from "@vdc-os/core";
import type { StateStore } from "@vdc-os/core/state/v1";
import type { StorageProvider } from "@vdc-os/core/storage/v1";
import { BaseStorage } from "./base-storage.ts";
import { CloneCatalog } from "./clone-catalog.ts";
import { CloneEngine } from "./clone-engine.ts";
import { LinkedClonesProvider } from "./linked-clones-provider.ts";

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
  /** Contexts for what is done of its own accord. Defaults to ones that nothing ends. */
  readonly operation?: () => OperationContext;
}

/** Opens the provider without a kernel. What a kill left is finished or undone before it resolves. */
export async function openLinkedClones(options: OpenLinkedClonesOptions): Promise<LinkedClonesProvider> {
  const engine = new CloneEngine({
    base: new BaseStorage(options.base),
    catalog: new CloneCatalog(options.state, options.name),
    logger: options.logger ?? silentLogger,
    random: options.random ?? systemRandom,
    operation: options.operation ?? (() => createOperationContext()),
  });
  await engine.sweep();
  return new LinkedClonesProvider(engine);
}
