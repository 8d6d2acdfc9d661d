import { createHash } from "node:crypto";
import { isVdcError } from "@vdc-os/core";
import type { RestoredDisk, RestoreTarget } from "@vdc-os/core/backup/v1";
import { z } from "zod";
import type { RepositoryFolder } from "../repository/repository-folder.ts";

/** The restore of one disk, as it is on disk before its first side effect. One that is done stays, so that a repeated call can be told so. */
export interface RestoreRecord {
  readonly recoveryPointId: string;
  readonly diskId: string;
  readonly target: RestoreTarget;
  /** Stamped on a volume that it makes. */
  readonly attempt: string;
  /** The highest attachment generation that it has used. */
  readonly generation: number;
  readonly done?: RestoredDisk;
}

const count = z.int().nonnegative();

const restoreRecord: z.ZodType<RestoreRecord> = z.object({
  recoveryPointId: z.string(),
  diskId: z.string(),
  target: z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("new"),
      storage: z.string(),
      name: z.string(),
      parameters: z.record(z.string(), z.string()).exactOptional(),
    }),
    z.object({ kind: z.literal("volume"), storage: z.string(), volumeId: z.string(), generation: count }),
  ]),
  attempt: z.string(),
  generation: count,
  done: z
    .object({
      diskId: z.string(),
      storage: z.string(),
      volumeId: z.string(),
      capacityBytes: count,
      generation: count,
      writtenBytes: count,
    })
    .exactOptional(),
});

/** The restores that have begun. One target is restored to by one at a time. */
export class RestoreStore {
  readonly #folder: RepositoryFolder;

  constructor(folder: RepositoryFolder) {
    this.#folder = folder;
  }

  async list(): Promise<readonly RestoreRecord[]> {
    const found: RestoreRecord[] = [];
    for (const name of await this.#folder.list("restores")) {
      const record = await this.#read(`restores/${name}`);
      if (record === undefined) await this.#folder.remove(`restores/${name}`);
      else found.push(record);
    }
    return found;
  }

  find(target: RestoreTarget): Promise<RestoreRecord | undefined> {
    return this.#read(pathOf(target));
  }

  save(record: RestoreRecord): Promise<void> {
    return this.#folder.write(pathOf(record.target), JSON.stringify(record));
  }

  remove({ target }: RestoreRecord): Promise<void> {
    return this.#folder.remove(pathOf(target));
  }

  async #read(path: string): Promise<RestoreRecord | undefined> {
    try {
      const text = await this.#folder.read(path, 64 * 1024);
      return text === undefined ? undefined : restoreRecord.parse(JSON.parse(text));
    } catch (error) {
      if (isVdcError(error) && error.code !== "DATA_LOSS") throw error;
      return undefined;
    }
  }
}

/** What tells a target from others. */
export function targetKey(target: RestoreTarget): string {
  const what = target.kind === "new" ? `name\0${target.name}` : `volume\0${target.volumeId}`;
  return createHash("sha256").update(`${target.storage}\0${what}`).digest("hex").slice(0, 24);
}

function pathOf(target: RestoreTarget): string {
  return `restores/${targetKey(target)}.json`;
}
