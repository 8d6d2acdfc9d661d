import { realpathSync } from "node:fs";
import { pathInside } from "./backing.ts";
import type { FileLayer, ImageFile } from "./file-layer.ts";
import type { Header } from "./header.ts";
import { type ImageLock, isLockedForWriting, lockForWriting } from "./image-lock.ts";
import { shareWithQemu } from "./qemu-locks.ts";
import { Qcow2Error, toQcow2Error } from "./qcow2-error.ts";

/** What a header asks for: the name of the file that holds the guest's data, which must not be trusted, and the image that names it. */
export interface DataFileRequest {
  /** `undefined` when the header does not say. */
  readonly name: string | undefined;
  /** Whether the file is at the same time a raw disk of its own. */
  readonly raw: boolean;
  readonly imagePath: string;
}

/** Where the data is, as the caller's catalogue says. */
export interface ResolvedDataFile {
  readonly path: string;
}

/**
 * Decides which file an external data file reference means. It may throw; returning `undefined` refuses the reference. An image could
 * otherwise have any file of the host read or overwritten by naming it.
 */
export type DataFileResolver = (request: DataFileRequest) => ResolvedDataFile | undefined;

/** A resolver that follows plain names inside one folder only, by the rules of `backingFolder`. */
export function dataFileFolder(folder: string): DataFileResolver {
  const root = realpathSync(folder);
  return ({ name, imagePath }) => {
    const refuse = (why: string): Qcow2Error =>
      new Qcow2Error("DATA_FILE_REFUSED", `'${imagePath}' names the data file '${name}': ${why}`);
    if (name === undefined || name === "") throw refuse("the header does not give its name");
    const inside = pathInside({ root, folder, path: name, imagePath, refuse });
    if (inside === undefined) throw new Qcow2Error("DATA_FILE_MISSING", refuse("it does not exist").message);
    return { path: inside };
  };
}

export interface OpenDataFileOptions {
  readonly write: boolean;
  readonly resolveDataFile: DataFileResolver | undefined;
  readonly fileLayer: FileLayer;
  readonly lock: boolean;
}

/**
 * Opens the file that holds an image's guest data, if its header names one.
 * Errors: `DATA_FILE_REFUSED`, `DATA_FILE_MISSING`, `IN_USE`, and those of opening a file.
 */
export function openDataFile(file: ImageFile, header: Header, options: OpenDataFileOptions): DataFile | undefined {
  if (header.dataFile === undefined) return undefined;
  const { name, raw } = header.dataFile;
  const { write } = options;
  const resolved = options.resolveDataFile?.({ name, raw, imagePath: file.path });
  if (resolved === undefined) {
    const why = options.resolveDataFile ? "the resolver refuses it" : "no resolver was given";
    throw new Qcow2Error(
      "DATA_FILE_REFUSED",
      `'${file.path}' names the external data file '${name ?? ""}', but ${why}`,
    );
  }
  let data: ImageFile;
  try {
    data = options.fileLayer.openSync(resolved.path, { write });
  } catch (error) {
    const failure = toQcow2Error(error, `the data file of '${file.path}'`);
    const code = failure.code === "NOT_FOUND" ? "DATA_FILE_MISSING" : failure.code;
    throw new Qcow2Error(code, `the data file of '${file.path}': ${failure.message}`, { cause: error });
  }
  let lock: ImageLock | undefined;
  try {
    if (data.status().identity === file.status().identity) {
      throw new Qcow2Error("DATA_FILE_REFUSED", `'${file.path}' names itself as its data file`);
    }
    if (options.lock) {
      shareWithQemu(data, write);
      if (write) lock = lockForWriting(resolved.path);
      else if (isLockedForWriting(resolved.path)) {
        throw new Qcow2Error("IN_USE", `the data file '${resolved.path}' is open for writing`);
      }
    }
  } catch (error) {
    data.closeSync();
    throw error;
  }
  return new DataFile(data, lock);
}

/** An external data file with its claim. Syncs only what was written since the last sync. */
export class DataFile implements ImageFile {
  readonly path: string;
  readonly #file: ImageFile;
  readonly #lock: ImageLock | undefined;
  #dirty = false;

  constructor(file: ImageFile, lock: ImageLock | undefined) {
    this.path = file.path;
    this.#file = file;
    this.#lock = lock;
  }

  status(): ReturnType<ImageFile["status"]> {
    return this.#file.status();
  }

  readSync(buffer: Uint8Array, position: number): number {
    return this.#file.readSync(buffer, position);
  }

  readCachedSync(buffer: Uint8Array, position: number): number {
    return this.#file.readCachedSync?.(buffer, position) ?? this.#file.readSync(buffer, position);
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    return this.#file.read?.(buffer, position) ?? this.#file.readSync(buffer, position);
  }

  writeSync(buffer: Uint8Array, position: number): void {
    this.#dirty = true;
    this.#file.writeSync(buffer, position);
  }

  truncateSync(sizeBytes: number): void {
    this.#dirty = true;
    this.#file.truncateSync(sizeBytes);
  }

  syncSync(): void {
    if (!this.#dirty) return;
    // A sync that fails is never repeated: the image then refuses to be written.
    this.#dirty = false;
    this.#file.syncSync();
  }

  async sync(): Promise<void> {
    if (!this.#dirty) return;
    this.#dirty = false;
    await this.#file.sync();
  }

  closeSync(): void {
    this.#file.closeSync();
    this.#lock?.release(true);
  }
}

/** The image's file as a barrier sees it: a sync makes the guest's data durable too, wherever that lies. */
export function syncedTogether(file: ImageFile, data: ImageFile): ImageFile {
  return {
    path: file.path,
    status: () => file.status(),
    readSync: (buffer, position) => file.readSync(buffer, position),
    writeSync: (buffer, position) => file.writeSync(buffer, position),
    truncateSync: (sizeBytes) => file.truncateSync(sizeBytes),
    syncSync: () => {
      data.syncSync();
      file.syncSync();
    },
    sync: async () => {
      await Promise.all([data.sync(), file.sync()]);
    },
    closeSync: () => file.closeSync(),
  };
}
