import { type Handle, type Json, VdcError } from "@vdc-os/core";
import type { KeyValue, StateOperation, StateStore } from "@vdc-os/core/state/v1";
import type { HostRecord, PortRecord, SwitchRecord } from "./records.ts";
import { keySegment } from "./state-key.ts";

/** What a change writes; a value of undefined deletes. */
export type Write =
  | { readonly kind: "switch"; readonly id: string; readonly value: SwitchRecord | undefined }
  | {
      readonly kind: "port";
      readonly switchId: string;
      readonly portKey: string;
      readonly value: PortRecord | undefined;
    }
  | { readonly kind: "host"; readonly id: string; readonly value: HostRecord | undefined };

/** The part of a state store that the desired state needs. */
export type DesiredStateStore = Pick<Handle<StateStore>, "list" | "transact">;

/** Options of {@link DesiredState.load}. */
export interface DesiredStateOptions {
  readonly store: DesiredStateStore;
  /** Ends with a slash. Everything below it is this switch's. */
  readonly prefix: string;
  /** Told after each change. */
  readonly onChange: () => void;
  readonly signal: AbortSignal;
}

const format = 1;
const operationsPerTransaction = 500;

/**
 * What every switch, port and host should be: in the state store, with a copy in memory. A change is on disk when `change` resolves, and
 * only then is anybody told. Changes run one after another.
 *
 * Each start takes over: it writes a key on which every change of its own depends. A manager that was replaced, and does not know it,
 * can no longer change anything; what it still tells the hosts is older than what they have.
 */
export class DesiredState {
  readonly switches: Map<string, SwitchRecord> = new Map();
  readonly hosts: Map<string, HostRecord> = new Map();
  readonly #ports = new Map<string, Map<string, PortRecord>>();
  readonly #options: DesiredStateOptions;
  #revision = 0;
  #takeover = 0;
  /** A change whose outcome is unknown: the copy is read again before the next one. */
  #unsure = false;
  #last: Promise<unknown> = Promise.resolve();

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
    state.#revision = result.revision;
    return state;
  }

  /** Of the latest change. What is derived from the desired state is as new as this. */
  get revision(): number {
    return this.#revision;
  }

  get #control(): string {
    return `${this.#options.prefix}control`;
  }

  port(switchId: string, portKey: string): PortRecord | undefined {
    return this.#ports.get(switchId)?.get(portKey);
  }

  portsByKey(switchId: string): ReadonlyMap<string, PortRecord> {
    return this.#ports.get(switchId) ?? new Map();
  }

  portsOf(switchId: string): readonly PortRecord[] {
    return [...this.portsByKey(switchId).values()];
  }

  /**
   * Decides on a change, and makes it durable. `decide` sees the state after every earlier change, and must not wait. Rejects with
   * `ABORTED` when another manager has taken over.
   */
  change<T>(decide: () => { readonly writes: readonly Write[]; readonly result: T }): Promise<T> {
    const done = this.#last.then(async () => {
      if (this.#unsure) await this.#reload();
      const { writes, result } = decide();
      for (let at = 0; at < writes.length; at += operationsPerTransaction) {
        await this.#commit(writes.slice(at, at + operationsPerTransaction));
      }
      if (writes.length > 0) this.#options.onChange();
      return result;
    });
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #commit(writes: readonly Write[]): Promise<void> {
    const operations = writes.map((write): StateOperation => {
      const key = this.#keyOf(write);
      return write.value === undefined
        ? { type: "delete", key }
        : { type: "put", key, value: write.value as unknown as Json };
    });
    this.#unsure = true;
    // Not cancelled with the caller: a change whose outcome nobody knows is worse than one that comes too late.
    const result = await this.#options.store.transact(
      { compare: [{ key: this.#control, modRevision: this.#takeover }], operations },
      { signal: this.#options.signal },
    );
    this.#unsure = false;
    if (!result.committed) throw superseded(this.#options.prefix);
    this.#revision = result.revision;
    for (const write of writes) this.#remember(write);
  }

  async #reload(): Promise<void> {
    const control = await this.#readAll();
    if (control?.modRevision !== this.#takeover) throw superseded(this.#options.prefix);
    this.#unsure = false;
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
    this.switches.clear();
    this.hosts.clear();
    this.#ports.clear();
    for (const { key, value } of entries) {
      const kind = key.slice(prefix.length).split("/", 1)[0];
      if (kind === "switch") {
        const record = value as unknown as SwitchRecord;
        this.#remember({ kind, id: record.spec.switchId, value: record });
      } else if (kind === "port") {
        const record = value as unknown as PortRecord;
        this.#remember({ kind, switchId: record.switchId, portKey: record.portKey, value: record });
      } else if (kind === "host") {
        const record = value as unknown as HostRecord;
        this.#remember({ kind, id: record.host, value: record });
      }
    }
    this.#revision = page.revision;
    return entries.find(({ key }) => key === this.#control);
  }

  #remember(write: Write): void {
    if (write.kind === "switch") setOrDelete(this.switches, write.id, write.value);
    else if (write.kind === "host") setOrDelete(this.hosts, write.id, write.value);
    else {
      const ports = this.#ports.get(write.switchId) ?? new Map<string, PortRecord>();
      setOrDelete(ports, write.portKey, write.value);
      setOrDelete(this.#ports, write.switchId, ports.size === 0 ? undefined : ports);
    }
  }

  #keyOf(write: Write): string {
    const { prefix } = this.#options;
    if (write.kind === "port") return `${prefix}port/${keySegment(write.switchId)}/${keySegment(write.portKey)}`;
    return `${prefix}${write.kind}/${keySegment(write.id)}`;
  }
}

function setOrDelete<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

function superseded(prefix: string): VdcError {
  return new VdcError("ABORTED", `another manager has taken over '${prefix}': this one can change nothing any more`, {
    reason: "VDC_SUPERSEDED",
    retryable: false,
  });
}
