import { type Handle, type Json, VdcError } from "@vdc-os/core";
import type { KeyValue, StateOperation, StateStore } from "@vdc-os/core/state/v1";
import { keySegment } from "./names.ts";
import type { KeptSwitch, PortRecord, SwitchRecord } from "./records.ts";

/** What a change does to one switch: `undefined` for the record removes it with its ports. */
export interface SwitchChange {
  readonly switchId: string;
  readonly record?: SwitchRecord | undefined;
  /** Ports that are new, or other than before. */
  readonly ports?: readonly PortRecord[];
}

/** The part of a state store that the desired state needs. */
export type DesiredStateStore = Pick<Handle<StateStore>, "list" | "transact">;

/** Options of {@link DesiredState.load}. */
export interface DesiredStateOptions {
  readonly store: DesiredStateStore;
  /** Ends with a slash. Everything below it is this provider's. */
  readonly prefix: string;
  /** Told after each commit which switches have changed. */
  readonly onChange: (switchIds: ReadonlySet<string>) => void;
  readonly signal: AbortSignal;
}

interface QueuedChange {
  /** Decides, and gives what the store is to do; throws to refuse. */
  readonly decide: () => readonly SwitchChange[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const format = 1;
const operationsPerTransaction = 500;

/**
 * What every switch and port should be: in the state store, with a copy in memory. A change is on disk when `change` resolves, and only then is anybody
 * told. Changes that wait together are decided one after another, and written together.
 *
 * Each start takes over: it writes a key on which every change of its own depends. A manager that was replaced, and does not know it, can change nothing any
 * more.
 */
export class DesiredState {
  readonly #options: DesiredStateOptions;
  readonly #queue: QueuedChange[] = [];
  #switches: ReadonlyMap<string, KeptSwitch> = new Map();
  #takeover = 0;
  #writing = false;
  /** Changes whose outcome is unknown: the copy is read again before the next ones. */
  #unsure = false;

  private constructor(options: DesiredStateOptions) {
    this.#options = options;
  }

  /** Reads what is there, and takes over. */
  static async load(options: DesiredStateOptions): Promise<DesiredState> {
    const state = new DesiredState(options);
    const before = await state.#readAll();
    const known = before?.value as { readonly format?: number } | undefined;
    if (known !== undefined && known.format !== format) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `the state under '${options.prefix}' has format ${known.format}, and this version of the plugin knows ${format}`,
        { reason: "VDC_STATE_FORMAT" },
      );
    }
    const result = await options.store.transact(
      {
        compare: [{ key: state.#control, modRevision: before?.modRevision ?? 0 }],
        operations: [{ type: "put", key: state.#control, value: { format } }],
      },
      { signal: options.signal },
    );
    if (!result.committed) throw superseded(options.prefix);
    state.#takeover = result.revision;
    return state;
  }

  /** Grows with each manager that takes over. */
  get takeover(): number {
    return this.#takeover;
  }

  /** The switches with their ports. Within `decide`, as every earlier change leaves them. */
  get switches(): ReadonlyMap<string, KeptSwitch> {
    return this.#switches;
  }

  /** Decides on a change, and makes it durable. `decide` must not wait. Rejects with `ABORTED` when another manager has taken over. */
  change<T>(decide: () => { readonly changes: readonly SwitchChange[]; readonly result: T }): Promise<T> {
    return new Promise((resolve, reject) => {
      let decided: { readonly result: T } | undefined;
      this.#queue.push({
        decide: () => {
          const { changes, result } = decide();
          decided = { result };
          return changes;
        },
        resolve: () => resolve((decided as { readonly result: T }).result),
        reject,
      });
      if (this.#writing) return;
      this.#writing = true;
      // Those that come in the same turn are written together.
      queueMicrotask(() => void this.#writeAll());
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#queue.length > 0) await this.#writeBatch(this.#queue.splice(0));
    this.#writing = false;
  }

  async #writeBatch(batch: readonly QueuedChange[]): Promise<void> {
    const taken: QueuedChange[] = [];
    try {
      if (this.#unsure) await this.#reload();
      const committed = this.#switches;
      // Of changes of one thing in a batch the last one counts: a transaction has each key once.
      const byKey = new Map<string, StateOperation>();
      const concerned = new Set<string>();
      const draft = new Draft(committed);
      this.#switches = draft.switches;
      try {
        for (const change of batch) {
          try {
            for (const each of change.decide()) {
              concerned.add(each.switchId);
              for (const operation of this.#operations(each, draft)) {
                byKey.delete(operation.key);
                byKey.set(operation.key, operation);
              }
              draft.apply(each);
            }
            taken.push(change);
          } catch (error) {
            change.reject(error);
          }
        }
      } finally {
        this.#switches = committed;
      }
      const operations = [...byKey.values()];
      for (let at = 0; at < operations.length; at += operationsPerTransaction) {
        await this.#commit(operations.slice(at, at + operationsPerTransaction));
      }
      this.#switches = draft.switches;
      if (concerned.size > 0) this.#options.onChange(concerned);
      for (const change of taken) change.resolve();
    } catch (error) {
      for (const change of batch) change.reject(error);
    }
  }

  #operations(change: SwitchChange, draft: Draft): readonly StateOperation[] {
    const { switchId, ports = [] } = change;
    const put = (key: string, value: SwitchRecord | PortRecord): StateOperation => ({
      type: "put",
      key,
      value: value as unknown as Json,
    });
    if ("record" in change && change.record === undefined) {
      const there = [...(draft.switches.get(switchId)?.ports.keys() ?? [])];
      return [
        ...there.map((portKey): StateOperation => ({ type: "delete", key: this.#portKey(switchId, portKey) })),
        { type: "delete", key: this.#switchKey(switchId) },
      ];
    }
    return [
      ...(change.record === undefined ? [] : [put(this.#switchKey(switchId), change.record)]),
      ...ports.map((port) => put(this.#portKey(switchId, port.portKey), port)),
    ];
  }

  async #commit(operations: readonly StateOperation[]): Promise<void> {
    this.#unsure = true;
    // Not cancelled with a caller: a change whose outcome nobody knows is worse than one that comes too late.
    const result = await this.#options.store.transact(
      { compare: [{ key: this.#control, modRevision: this.#takeover }], operations },
      { signal: this.#options.signal },
    );
    this.#unsure = false;
    if (!result.committed) throw superseded(this.#options.prefix);
  }

  async #reload(): Promise<void> {
    const control = await this.#readAll();
    if (control?.modRevision !== this.#takeover) throw superseded(this.#options.prefix);
    this.#unsure = false;
    this.#options.onChange(new Set(this.#switches.keys()));
  }

  /** Fills the copy. Returns the entry that says who is in charge. */
  async #readAll(): Promise<KeyValue | undefined> {
    const { store, prefix, signal } = this.#options;
    const entries: KeyValue[] = [];
    let page: Awaited<ReturnType<typeof store.list>> | undefined;
    do {
      const pageToken = page?.nextPageToken;
      page = await store.list({ prefix, limit: 500, ...(pageToken === undefined ? {} : { pageToken }) }, { signal });
      entries.push(...page.entries);
    } while (page.nextPageToken !== undefined);
    const draft = new Draft(new Map());
    const ofKind = (kind: string): readonly KeyValue[] =>
      entries.filter(({ key }) => key.startsWith(`${prefix}${kind}/`));
    for (const { value } of ofKind("switch")) {
      const record = value as unknown as SwitchRecord;
      draft.apply({ switchId: record.spec.switchId, record });
    }
    for (const { value } of ofKind("port")) {
      const port = value as unknown as PortRecord;
      draft.apply({ switchId: port.switchId, ports: [port] });
    }
    this.#switches = draft.switches;
    return entries.find(({ key }) => key === this.#control);
  }

  get #control(): string {
    return `${this.#options.prefix}control`;
  }

  #switchKey(switchId: string): string {
    return `${this.#options.prefix}switch/${keySegment(switchId)}`;
  }

  #portKey(switchId: string, portKey: string): string {
    return `${this.#options.prefix}port/${keySegment(switchId)}/${keySegment(portKey)}`;
  }
}

let sequence = 0;

/** Switches that become other ones, while those that they came from stay as they are. */
class Draft {
  readonly switches: Map<string, KeptSwitch>;
  /** The ports that are the draft's own. */
  readonly #own = new Map<string, Map<string, PortRecord>>();

  constructor(switches: ReadonlyMap<string, KeptSwitch>) {
    this.switches = new Map(switches);
  }

  apply(change: SwitchChange): void {
    const { switchId, ports = [] } = change;
    if ("record" in change && change.record === undefined) {
      this.switches.delete(switchId);
      this.#own.delete(switchId);
      return;
    }
    const before = this.switches.get(switchId);
    const record = change.record ?? before?.record;
    if (record === undefined) return;
    const own = this.#own.get(switchId) ?? new Map(before?.ports);
    this.#own.set(switchId, own);
    for (const port of ports) own.set(port.portKey, port);
    sequence += 1;
    this.switches.set(switchId, { sequence, record, ports: own });
  }
}

function superseded(prefix: string): VdcError {
  return new VdcError("ABORTED", `another manager has taken over '${prefix}': this one can change nothing any more`, {
    reason: "VDC_SUPERSEDED",
    retryable: false,
  });
}
