import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { removeUnfinishedWrites, syncDirectory, writeFileAtomic } from "@vdc-os/core/local";
import { type Logger, type OwnerStamp, ownerStamp } from "@vdc-os/core";
import { z } from "zod";
import { isVolumeId, type PoolLayout } from "./pool-layout.ts";

/** A group snapshot's record. */
export interface GroupRecord {
  readonly format: 1;
  readonly groupSnapshotId: string;
  readonly name: string;
  readonly createdAt: number;
  readonly owner?: OwnerStamp | undefined;
  /** False until all its snapshots are taken: then the group is none, and its snapshots are not there. */
  readonly complete: boolean;
  readonly members: readonly { readonly volumeId: string; readonly snapshotId: string }[];
}

const groupRecord: z.ZodType<GroupRecord> = z.object({
  format: z.literal(1),
  groupSnapshotId: z.string(),
  name: z.string(),
  createdAt: z.number(),
  owner: ownerStamp.optional(),
  complete: z.boolean(),
  members: z.array(z.object({ volumeId: z.string(), snapshotId: z.string() })),
});

/** The group snapshots of a pool, one file each. */
export class GroupCatalog {
  readonly #layout: PoolLayout;
  readonly #groups = new Map<string, GroupRecord>();

  private constructor(layout: PoolLayout) {
    this.#layout = layout;
  }

  /** Reads the groups, and forgets those that a kill kept from being taken whole. */
  static async open(layout: PoolLayout, logger: Logger): Promise<GroupCatalog> {
    const catalog = new GroupCatalog(layout);
    const made = mkdirSync(layout.groups, { recursive: true, mode: 0o700 });
    // A record that is synced in a folder is found again only by the folder's own name.
    if (made !== undefined) await syncDirectory(layout.root);
    for (const name of readdirSync(layout.groups)) {
      const [id = "", kind] = name.split(".");
      if (!isVolumeId(id) || kind !== "json") continue;
      const path = layout.group(id);
      await removeUnfinishedWrites(path);
      try {
        const record = groupRecord.parse(JSON.parse(readFileSync(path, "utf8")));
        if (record.complete) catalog.#groups.set(id, record);
        else rmSync(path, { force: true });
      } catch (error) {
        logger.error("a group snapshot's record cannot be read", { path, error: String(error) });
      }
    }
    return catalog;
  }

  isComplete(groupSnapshotId: string): boolean {
    return this.#groups.get(groupSnapshotId)?.complete === true;
  }

  find(groupSnapshotId: string): GroupRecord | undefined {
    const group = this.#groups.get(groupSnapshotId);
    return group?.complete ? group : undefined;
  }

  /** A group of that name that is there or is being taken. */
  findByName(name: string): GroupRecord | undefined {
    return [...this.#groups.values()].find((group) => group.name === name);
  }

  /** Durable when it resolves. */
  async write(record: GroupRecord): Promise<void> {
    // A name is taken from the first moment on, and a group is whole only when the disk says so.
    if (!record.complete) this.#groups.set(record.groupSnapshotId, record);
    await writeFileAtomic(this.#layout.group(record.groupSnapshotId), `${JSON.stringify(record, undefined, 2)}\n`);
    this.#groups.set(record.groupSnapshotId, record);
  }

  async remove(groupSnapshotId: string): Promise<void> {
    this.#groups.delete(groupSnapshotId);
    await rm(this.#layout.group(groupSnapshotId), { force: true });
    await syncDirectory(this.#layout.groups);
  }
}
