import type { KeyValue, Transaction, TransactionResult } from "@vdc-os/core/state/v1";
import type { DesiredStateStore } from "../../src/control/desired-state.ts";

/** A state store that costs next to nothing, so that what is measured is the switch's own work. */
export class MemoryStore implements DesiredStateStore {
  readonly #entries = new Map<string, KeyValue>();
  #revision = 0;

  list = async ({ prefix }: { readonly prefix: string }): Promise<{ entries: KeyValue[]; revision: number }> => ({
    entries: [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix)),
    revision: this.#revision,
  });

  transact = async ({ compare, operations }: Transaction): Promise<TransactionResult> => {
    const conflicts = compare.filter(
      ({ key, modRevision }) => (this.#entries.get(key)?.modRevision ?? 0) !== modRevision,
    );
    if (conflicts.length > 0) return { committed: false, revision: this.#revision, conflicts: [] };
    this.#revision += 1;
    for (const operation of operations) {
      const { key } = operation;
      if (operation.type === "delete") this.#entries.delete(key);
      else {
        const { createRevision = this.#revision } = this.#entries.get(key) ?? {};
        this.#entries.set(key, { key, value: operation.value, createRevision, modRevision: this.#revision });
      }
    }
    return { committed: true, revision: this.#revision };
  };
}
