// The state-store contract, version 1.

export type {
  Compare,
  KeyValue,
  StateBackupFacet,
  StateEvent,
  StateHistoryFacet,
  StateLease,
  StateOperation,
  StateStore,
  StateStoreFacets,
  Transaction,
  TransactionResult,
} from "./state-store.ts";
export { stateStore } from "./state-store.ts";
