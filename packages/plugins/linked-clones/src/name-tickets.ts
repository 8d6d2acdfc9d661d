import type { OperationContext } from "@vdc-os/core";
import type { CloneServices } from "./clone-services.ts";
import { deleteRecord, putRecord } from "./record-store.ts";

/** The end of a name underneath that was never used, and that the state store knows. */
export interface NameTicket {
  readonly suffix: string;
  /** For when the volume of that name is recorded, or is none. */
  done(): void;
}

/** Tickets that were reserved together. */
interface Batch {
  /** 12 hexadecimal digits; each ticket has 2 more. */
  readonly prefix: string;
  taken: number;
  open: number;
}

/** As many as two digits tell apart. */
const batchSize = 256;
const suffixOfTicket = /\.([0-9a-f]{12})[0-9a-f]{2}$/;

/**
 * Reserves the ends of names for many volumes in one transaction, so that none needs an intent of its own: a volume underneath whose name ends so, and that is
 * not recorded, is what a kill left. A batch's record goes when each of its volumes is recorded or gone.
 */
export class NameTickets {
  readonly #services: CloneServices;
  #batch: Batch | undefined;
  #reserving: Promise<void> | undefined;
  #forgetting: Promise<void> = Promise.resolve();

  constructor(services: CloneServices) {
    this.#services = services;
  }

  /** Takes one. The store is asked once in a while. */
  async take(): Promise<NameTicket> {
    for (;;) {
      const batch = this.#batch;
      if (batch !== undefined) {
        const suffix = batch.prefix + batch.taken.toString(16).padStart(2, "0");
        batch.taken++;
        batch.open++;
        if (batch.taken === batchSize) this.#batch = undefined;
        return { suffix, done: () => this.#done(batch) };
      }
      this.#reserving ??= this.#reserve().finally(() => {
        this.#reserving = undefined;
      });
      await this.#reserving;
    }
  }

  /** Gives back what is not used. What is under way goes on. */
  async close(): Promise<void> {
    const batch = this.#batch;
    this.#batch = undefined;
    if (batch?.open === 0) this.#forget(batch);
    await this.#forgetting;
  }

  async #reserve(): Promise<void> {
    const { catalog, records, random, operation } = this.#services;
    const prefix = random.uuid().replaceAll("-", "").slice(0, 12);
    await records.commit([], [putRecord(catalog.ticketsKey(prefix), {})], operation());
    this.#batch = { prefix, taken: 0, open: 0 };
  }

  #done(batch: Batch): void {
    batch.open--;
    if (batch.open === 0 && batch !== this.#batch) this.#forget(batch);
  }

  #forget({ prefix }: Batch): void {
    const { catalog, records, logger, operation } = this.#services;
    this.#forgetting = this.#forgetting.then(async () => {
      try {
        await records.commit([], [deleteRecord(catalog.ticketsKey(prefix))], operation());
      } catch (error) {
        // The next start goes through the volumes in vain, and forgets it then.
        logger.warn("reserved names could not be given back", { prefix, error: String(error) });
      }
    });
  }
}

/** Removes the volumes underneath that a kill kept from being recorded. Where there are no tickets from before, nothing is looked at. */
export async function sweepTickets(services: CloneServices, context: OperationContext): Promise<void> {
  const { base, catalog, records } = services;
  const prefixes = new Set(await catalog.tickets(context));
  if (prefixes.size === 0) return;
  for await (const { volumeId, name } of base.volumes(context)) {
    const prefix = suffixOfTicket.exec(name)?.[1];
    if (prefix === undefined || !prefixes.has(prefix)) continue;
    if ((await catalog.find(volumeId, context)) === undefined) await base.handle.deleteVolume({ volumeId }, context);
  }
  await records.commit(
    [],
    [...prefixes].map((prefix) => deleteRecord(catalog.ticketsKey(prefix))),
    context,
  );
}
