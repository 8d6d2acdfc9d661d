import { constants, readdirSync, statSync } from "node:fs";
import { chmod, copyFile, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { removeUnfinishedWrites, syncDirectory, writeFileAtomic } from "@vdc-os/core/local";
import type { Logger } from "@vdc-os/core";
import type { z } from "zod";

const newPrefix = ".new-";
const gonePrefix = ".gone-";
const recordName = "record.json";
const diskName = "disk.raw";

/**
 * Raw disks with a record each, in folders named by their ids. What is made appears complete, after a crash at any instant, or not at all;
 * what is removed is gone at once. What a killed process left half-way is swept when the folder is opened.
 */
export class DiskFolder<R> {
  readonly #root: string;
  readonly #schema: z.ZodType<R>;
  /** Of new disks. */
  readonly #mode: number;
  readonly #records = new Map<string, R>();

  private constructor(root: string, schema: z.ZodType<R>, mode: number) {
    this.#root = root;
    this.#schema = schema;
    this.#mode = mode;
  }

  static async open<R>(
    root: string,
    options: { readonly schema: z.ZodType<R>; readonly writable: boolean; readonly logger: Logger },
  ): Promise<DiskFolder<R>> {
    const { schema, writable, logger } = options;
    const folder = new DiskFolder(root, schema, writable ? 0o600 : 0o400);
    await mkdir(root, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(root)) {
      if (name.startsWith(newPrefix) || name.startsWith(gonePrefix)) {
        await rm(join(root, name), { recursive: true, force: true });
      } else {
        await folder.#load(name, logger);
      }
    }
    return folder;
  }

  disk(id: string): string {
    return join(this.#root, id, diskName);
  }

  get(id: string): R | undefined {
    return this.#records.get(id);
  }

  all(): readonly R[] {
    return [...this.#records.values()];
  }

  /** What a disk takes on the file system, in bytes; 0 when its file is gone. */
  allocatedBytes(id: string): number {
    return (statSync(this.disk(id), { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }

  hasDisk(id: string): boolean {
    return statSync(this.disk(id), { throwIfNoEntry: false })?.isFile() === true;
  }

  /** Makes a disk: `fill` makes the file at the path that it is given. */
  async make(id: string, record: R, fill: (path: string) => Promise<void>): Promise<void> {
    const making = join(this.#root, `${newPrefix}${id}`);
    await mkdir(making, { mode: 0o700 });
    try {
      const path = join(making, diskName);
      await fill(path);
      await chmod(path, this.#mode);
      await syncFile(path);
      await writeFileAtomic(join(making, recordName), JSON.stringify(record));
      await rename(making, join(this.#root, id));
      await syncDirectory(this.#root);
    } catch (error) {
      await rm(making, { recursive: true, force: true });
      throw error;
    }
    this.#records.set(id, record);
  }

  async update(id: string, record: R): Promise<void> {
    await writeFileAtomic(join(this.#root, id, recordName), JSON.stringify(record));
    this.#records.set(id, record);
  }

  /** Lets a disk's file be written, or not, by whoever opens it from now on. */
  async setWritable(id: string, writable: boolean): Promise<void> {
    await chmod(this.disk(id), writable ? 0o600 : 0o400);
  }

  /** Puts another content in a disk's place: `fill` makes it at the path that it is given. */
  async replace(id: string, fill: (path: string) => Promise<void>): Promise<void> {
    const path = join(this.#root, id, `${newPrefix}${diskName}`);
    try {
      await fill(path);
      await chmod(path, this.#mode);
      await syncFile(path);
      await rename(path, this.disk(id));
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    await syncDirectory(join(this.#root, id));
  }

  async remove(id: string): Promise<void> {
    const gone = join(this.#root, `${gonePrefix}${id}`);
    await rename(join(this.#root, id), gone);
    await syncDirectory(this.#root);
    this.#records.delete(id);
    await rm(gone, { recursive: true, force: true });
  }

  async #load(id: string, logger: Logger): Promise<void> {
    const path = join(this.#root, id, recordName);
    try {
      this.#records.set(id, this.#schema.parse(JSON.parse(await readFile(path, "utf8"))));
    } catch (error) {
      logger.error("a record can't be read; its disk is left alone", { id, error: String(error) });
      return;
    }
    await removeUnfinishedWrites(path);
    await rm(join(this.#root, id, `${newPrefix}${diskName}`), { force: true });
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes a file that shares all its blocks with another (FICLONE, ioctl_ficlone(2)), as that one is at one moment. Throws where the file system can't. */
export async function shareBlocks(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
}
