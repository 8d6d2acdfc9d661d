import { randomUUID } from "node:crypto";
import { stat } from "node:fs/promises";
import { isVdcError, VdcError } from "@vdc-os/core";
import { type ProcessLock, takeProcessLock } from "@vdc-os/core/remote";
import { z } from "zod";
import { type BlobHash, type BlobKind, maxBlobBytes } from "./blob.ts";
import { BlobIndex, type IndexView } from "./blob-index.ts";
import { BlobWriter } from "./blob-writer.ts";
import { Packs } from "./packs.ts";
import { PointStore } from "./point-store.ts";
import { damaged } from "./repository-failure.ts";
import { RepositoryFolder } from "./repository-folder.ts";
import { SharedLock } from "./shared-lock.ts";

/** Options of {@link Repository.open}. */
export interface RepositoryOptions {
  /** Made when it is not there. */
  readonly directory: string;
  /** Into how large parts disks are cut, a power of two from 64 KiB to 1 MiB. Settled when the repository is made. Defaults to 64 KiB. */
  readonly chunkBytes?: number | undefined;
  /** Called before and after each change of the folder, for tests: what it throws ends the change there. */
  readonly onEffect?: ((what: string) => void) | undefined;
}

const configPath = "repository.json";
const configSchema = z.object({
  format: z.literal("vdc-os-backup"),
  version: z.literal(1),
  repositoryId: z.uuid(),
  chunkBytes: z
    .int()
    .min(64 * 1024)
    .max(maxBlobBytes)
    .refine((value) => (value & (value - 1)) === 0),
});

/** A repository on a folder: blobs by their hash, and recovery points. One process at a time has it open. */
export class Repository {
  readonly id: string;
  readonly chunkBytes: number;
  readonly folder: RepositoryFolder;
  readonly index: BlobIndex;
  readonly packs: Packs;
  readonly points: PointStore;
  /** Who adds or reads blobs shares it; who removes some has it alone. */
  readonly users: SharedLock = new SharedLock();
  readonly #lock: ProcessLock;

  private constructor(parts: {
    readonly config: z.output<typeof configSchema>;
    readonly folder: RepositoryFolder;
    readonly index: BlobIndex;
    readonly packs: Packs;
    readonly points: PointStore;
    readonly lock: ProcessLock;
  }) {
    this.id = parts.config.repositoryId;
    this.chunkBytes = parts.config.chunkBytes;
    this.folder = parts.folder;
    this.index = parts.index;
    this.packs = parts.packs;
    this.points = parts.points;
    this.#lock = parts.lock;
  }

  /** Opens or makes it. `FAILED_PRECONDITION` while it is open elsewhere on this machine, `DATA_LOSS` when it is not what it should be. */
  static async open(options: RepositoryOptions): Promise<Repository> {
    const folder = new RepositoryFolder(options.directory, options.onEffect);
    await folder.prepare();
    const lock = await takeLock(options.directory);
    try {
      const config = await readConfig(folder, options);
      const index = await BlobIndex.open(folder);
      try {
        const packs = await Packs.open(folder);
        const points = await PointStore.open(folder);
        return new Repository({ config, folder, index, packs, points, lock });
      } catch (error) {
        index.close();
        throw error;
      }
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  writer(): BlobWriter {
    return new BlobWriter(this.index, this.packs);
  }

  /** A blob's content. Throws `DATA_LOSS` when it is not there, or not what it was. */
  readBlob(kind: BlobKind, hash: BlobHash, view?: IndexView): Buffer {
    const place = view === undefined ? this.index.find(hash) : view.find(hash)?.record;
    if (place === undefined) throw damaged(`${kind} '${hash.toString("hex")}' is not there`);
    const content = this.packs.read(place, { kind, hash });
    if (kind === "node" || content.length === this.chunkBytes) return content;
    throw damaged(`chunk '${hash.toString("hex")}' has ${content.length} bytes`);
  }

  async storedBytes(): Promise<number> {
    let sum = 0;
    for (const pack of await this.packs.list()) sum += await this.packs.sizeOf(pack);
    for (const name of await this.folder.list("index")) sum += await this.folder.sizeOf(`index/${name}`);
    return sum;
  }

  async close(): Promise<void> {
    this.packs.close();
    this.index.close();
    await this.#lock.release();
  }
}

async function takeLock(directory: string): Promise<ProcessLock> {
  // The folder itself, whatever path leads to it.
  const { dev, ino } = await stat(directory);
  try {
    return await takeProcessLock(`data-recovery ${dev} ${ino}`);
  } catch (error) {
    if (!isVdcError(error, "ALREADY_EXISTS")) throw error;
    throw new VdcError("FAILED_PRECONDITION", `the repository '${directory}' is open elsewhere: close it there first`, {
      reason: "VDC_REPOSITORY_LOCKED",
      cause: error,
    });
  }
}

async function readConfig(
  folder: RepositoryFolder,
  { chunkBytes, directory }: RepositoryOptions,
): Promise<z.output<typeof configSchema>> {
  const text = await folder.read(configPath, 64 * 1024);
  if (text === undefined) {
    if ((await folder.list("points")).length > 0) throw damaged(`'${configPath}' is not there`);
    const config = configSchema.parse({
      format: "vdc-os-backup",
      version: 1,
      repositoryId: randomUUID(),
      chunkBytes: chunkBytes ?? 64 * 1024,
    });
    await folder.write(configPath, JSON.stringify(config));
    return config;
  }
  let config: z.output<typeof configSchema>;
  try {
    config = configSchema.parse(JSON.parse(text));
  } catch (error) {
    throw damaged(`'${configPath}' is not what it should be`, error);
  }
  if (chunkBytes !== undefined && chunkBytes !== config.chunkBytes) {
    throw new VdcError(
      "FAILED_PRECONDITION",
      `the repository '${directory}' has chunks of ${config.chunkBytes} bytes, which can't be changed to ${chunkBytes}`,
      { reason: "VDC_REPOSITORY_CHUNKS_DIFFER" },
    );
  }
  return config;
}
