import { type OperationContext, toVdcError, VdcError } from "@vdc-os/core";
import type { StateOperation } from "@vdc-os/core/state/v1";
import type { Volume } from "@vdc-os/core/storage/v1";
import {
  assertSameRequest,
  type CloneRecord,
  type CloneRequest,
  type MadeBelow,
  type ParentLink,
} from "./clone-record.ts";
import { baseNameOf, type CloneServices, type KnownVolume } from "./clone-services.ts";
import type { Collector } from "./collector.ts";
import { NameTickets } from "./name-tickets.ts";
import { type Condition, deleteRecord, putRecord } from "./record-store.ts";

/** What was made in the provider underneath. */
export interface MadeVolume {
  readonly volume: Volume;
  readonly madeBelow?: MadeBelow;
}

/** A volume to be made. */
export interface NewCloneVolume {
  readonly name: string;
  readonly request: CloneRequest;
  /** What must still hold when it is recorded. */
  readonly conditions?: readonly Condition[];
  /** What it shares blocks with. */
  readonly parent?: ParentLink;
  /** What is recorded together with it. */
  readonly also?: (volumeId: string) => readonly StateOperation[];
  /** Makes it in the provider underneath, under a name that was never used. */
  make(baseName: string): Promise<MadeVolume>;
}

/** Makes volumes in two places that no transaction spans: the end of a volume's name underneath is reserved before, and the volume is recorded after, in one transaction. */
export class VolumeMaker {
  readonly #services: CloneServices;
  readonly #collector: Collector;
  readonly #known: (record: CloneRecord, context: OperationContext) => Promise<KnownVolume>;
  readonly #tickets: NameTickets;
  readonly #making = new Map<string, { readonly request: CloneRequest; readonly done: Promise<KnownVolume> }>();

  constructor(
    services: CloneServices,
    collector: Collector,
    known: (record: CloneRecord, context: OperationContext) => Promise<KnownVolume>,
  ) {
    this.#services = services;
    this.#collector = collector;
    this.#known = known;
    this.#tickets = new NameTickets(services);
  }

  /** Gives back the names that were reserved and not used. */
  close(): Promise<void> {
    return this.#tickets.close();
  }

  /** The volume of a name, when it is there and is what is asked for. Throws `ALREADY_EXISTS` when it is something else. */
  async present(name: string, request: CloneRequest, context: OperationContext): Promise<KnownVolume | undefined> {
    const { catalog } = this.#services;
    for (let making = this.#making.get(name); making !== undefined; making = this.#making.get(name)) {
      assertSameRequest(name, making.request, request);
      const made = await making.done.catch(() => undefined);
      if (made !== undefined) return made;
    }
    const found = await catalog.name(name, context);
    if (found?.value.volumeId === undefined) return undefined;
    assertSameRequest(name, found.value.request, request);
    return this.#known((await catalog.get(found.value.volumeId, context)).value, context);
  }

  /** Makes a volume, or returns the one of that name and request. */
  async create(input: NewCloneVolume, context: OperationContext): Promise<KnownVolume> {
    for (;;) {
      const present = await this.present(input.name, input.request, context);
      if (present !== undefined) return present;
      // Somebody else may have begun while the store was asked.
      if (!this.#making.has(input.name)) break;
    }
    const done = this.#make(input, context);
    this.#making.set(input.name, { request: input.request, done });
    try {
      return await done;
    } finally {
      this.#making.delete(input.name);
    }
  }

  /** Undoes what an intent of an earlier version tells of. */
  async undo(name: string, baseName: string): Promise<void> {
    const { catalog, base, records, operation } = this.#services;
    const context = operation();
    const made = await base.findByName(baseName, context);
    const reserved = await catalog.name(name, context);
    const ours = reserved?.value.baseName === baseName;
    const pending = deleteRecord(catalog.pendingKey(baseName));
    // It may be complete: then it was recorded, and only the answer was lost.
    if (ours && reserved.value.volumeId !== undefined) return records.commit([], [pending], context);
    if (made !== undefined) await base.handle.deleteVolume({ volumeId: made.volumeId }, context);
    await records.commit([], [pending, ...(ours ? [deleteRecord(catalog.nameKey(name))] : [])], context);
  }

  async #make(input: NewCloneVolume, context: OperationContext): Promise<KnownVolume> {
    const { catalog, records, operation } = this.#services;
    const { name, request, parent = {} } = input;
    const nameKey = catalog.nameKey(name);
    const stale = await catalog.name(name, context);
    if (stale !== undefined) {
      if (stale.value.volumeId !== undefined) throw busyName(name);
      // Begun by a call that failed and could not undo it.
      await this.undo(name, stale.value.baseName);
    }
    const ticket = await this.#tickets.take();
    const baseName = baseNameOf(name, ticket.suffix);
    if (context.signal.aborted) {
      ticket.done();
      throw toVdcError(context.signal.reason);
    }
    try {
      const { volume, madeBelow } = await input.make(baseName);
      const { volumeId } = volume;
      const record: CloneRecord = { volumeId, name, baseName, request, ...parent, madeBelow };
      await records.commit(
        [{ key: nameKey, revision: 0 }, ...(input.conditions ?? [])],
        [
          putRecord(nameKey, { baseName, request, volumeId }),
          putRecord(catalog.volumeKey(volumeId), record),
          ...catalog.link(volumeId, parent),
          ...(input.also?.(volumeId) ?? []),
        ],
        // What was made is recorded, or undone: a caller that leaves now must not leave it in between.
        operation(),
      );
      ticket.done();
      return { record, volume };
    } catch (error) {
      // What was given up may still be under way underneath.
      await this.#collector.finish(`undo ${baseName}`, async () => {
        await this.#undoUnrecorded(name, baseName);
        ticket.done();
      });
      throw error;
    }
  }

  /** Removes what was made, unless it was recorded and only the answer was lost. */
  async #undoUnrecorded(name: string, baseName: string): Promise<void> {
    const { catalog, base, operation } = this.#services;
    const context = operation();
    const made = await base.findByName(baseName, context);
    if (made === undefined || (await catalog.name(name, context))?.value.baseName === baseName) return;
    await base.handle.deleteVolume({ volumeId: made.volumeId }, context);
  }
}

function busyName(name: string): VdcError {
  return new VdcError("ABORTED", `volume '${name}' was made meanwhile: try again`, { reason: "VDC_VOLUME_BUSY" });
}
