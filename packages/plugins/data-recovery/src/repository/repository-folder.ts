import { randomBytes } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { syncDirectory } from "@vdc-os/core/local";
import { damaged, fileFailure } from "./repository-failure.ts";

/** A file that is being written. It has a name only once it is whole. */
export interface NewFile {
  /** What has been appended. */
  readonly sizeBytes: number;
  /** `data` is not changed until the file has its name. One call at a time. */
  append(data: Uint8Array): Promise<void>;
  /** Makes the content durable, and gives it its name, in place of what had it. */
  commit(path: string): Promise<void>;
  /** Forgets it. Does nothing after `commit`. */
  abandon(): Promise<void>;
}

/** A file that is being read, at any place. */
export interface ReadFile {
  readonly sizeBytes: number;
  /** Fills the whole of `target`. `DATA_LOSS` where the file ends before. */
  read(target: Buffer, offset: number): void;
  close(): void;
}

/** Appends are written once they are this many bytes together. */
const writeBytes = 1024 * 1024;

/** The subfolders, in the order in which they are made. */
const folders = ["tmp", "packs", "index", "points", "runs", "restores"] as const;

/**
 * The repository's folder. All that changes it goes through here: content is written under a temporary name, synced, and renamed; so a file is there wholly
 * or not at all, and once a call has resolved it outlives a power cut.
 */
export class RepositoryFolder {
  readonly path: string;
  readonly #onEffect: (what: string) => void;

  /** `onEffect` is called before and after each change; what it throws ends the change there. */
  constructor(path: string, onEffect: (what: string) => void = () => {}) {
    this.path = path;
    this.#onEffect = onEffect;
  }

  /** Makes what is not there yet, and removes what was being written when a process was killed. */
  async prepare(): Promise<void> {
    await this.#guard("making the repository", async () => {
      await mkdir(this.path, { recursive: true, mode: 0o700 });
      for (const folder of folders) await mkdir(join(this.path, folder), { recursive: true, mode: 0o700 });
      for (const name of await readdir(join(this.path, "tmp"))) {
        await rm(join(this.path, "tmp", name), { recursive: true, force: true });
      }
      await syncDirectory(this.path);
    });
  }

  async createFile(): Promise<NewFile> {
    const temporary = join(this.path, "tmp", randomBytes(12).toString("hex"));
    const handle = await open(temporary, "wx", 0o600).catch((error: unknown) => {
      throw fileFailure(error, "making a file");
    });
    return new TemporaryFile(handle, temporary, (what, run) => this.#guard(what, run), this.path);
  }

  async write(path: string, text: string): Promise<void> {
    const file = await this.createFile();
    try {
      await file.append(Buffer.from(text));
      await file.commit(path);
    } finally {
      await file.abandon();
    }
  }

  /** A small file's text; `undefined` when there is none. `DATA_LOSS` when it is larger than `maxBytes`. */
  async read(path: string, maxBytes: number): Promise<string | undefined> {
    let file: ReadFile;
    try {
      file = this.openFile(path);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
    try {
      if (file.sizeBytes > maxBytes) throw damaged(`'${path}' has ${file.sizeBytes} bytes`);
      const content = Buffer.alloc(file.sizeBytes);
      file.read(content, 0);
      return content.toString("utf8");
    } finally {
      file.close();
    }
  }

  openFile(path: string): ReadFile {
    let descriptor: number;
    try {
      descriptor = openSync(join(this.path, path), "r");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") {
        throw damaged(`'${path}' is not there`, error);
      }
      throw fileFailure(error, `opening '${path}'`);
    }
    const info = fstatSync(descriptor);
    if (!info.isFile()) {
      closeSync(descriptor);
      throw damaged(`'${path}' is no file`);
    }
    return {
      sizeBytes: info.size,
      read(target, offset) {
        for (let done = 0; done < target.length; ) {
          let count: number;
          try {
            count = readSync(descriptor, target, done, target.length - done, offset + done);
          } catch (error) {
            throw fileFailure(error, `reading '${path}'`);
          }
          if (count === 0) throw damaged(`'${path}' ends before byte ${offset + target.length}`);
          done += count;
        }
      },
      close: () => closeSync(descriptor),
    };
  }

  /** The names in a folder. One that is not there is empty. */
  async list(folder: string): Promise<readonly string[]> {
    try {
      return await readdir(join(this.path, folder));
    } catch (error) {
      if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
      throw fileFailure(error, `listing '${folder}'`);
    }
  }

  async sizeOf(path: string): Promise<number> {
    return (await stat(join(this.path, path)).catch(() => undefined))?.size ?? 0;
  }

  async makeFolder(path: string): Promise<void> {
    await this.#guard(`making '${path}'`, async () => {
      await mkdir(join(this.path, path), { recursive: true, mode: 0o700 });
      await syncDirectory(join(this.path, path, ".."));
    });
  }

  /** Removes files or folders that have one parent. What is absent is a success. */
  async remove(...paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      await this.#guard(`removing '${path}'`, () => rm(join(this.path, path), { recursive: true, force: true }));
    }
    const [first] = paths;
    if (first !== undefined) await syncDirectory(join(this.path, first, ".."));
  }

  async #guard<T>(what: string, run: () => Promise<T>): Promise<T> {
    this.#onEffect(`before ${what}`);
    let result: T;
    try {
      result = await run();
    } catch (error) {
      throw fileFailure(error, what);
    }
    this.#onEffect(`after ${what}`);
    return result;
  }
}

class TemporaryFile implements NewFile {
  sizeBytes = 0;
  readonly #handle: FileHandle;
  readonly #temporary: string;
  readonly #guard: <T>(what: string, run: () => Promise<T>) => Promise<T>;
  readonly #root: string;
  #open = true;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;

  constructor(
    handle: FileHandle,
    temporary: string,
    guard: <T>(what: string, run: () => Promise<T>) => Promise<T>,
    root: string,
  ) {
    this.#handle = handle;
    this.#temporary = temporary;
    this.#guard = guard;
    this.#root = root;
  }

  async append(data: Uint8Array): Promise<void> {
    this.sizeBytes += data.length;
    this.#pending.push(data);
    this.#pendingBytes += data.length;
    if (this.#pendingBytes >= writeBytes) await this.#write();
  }

  async commit(path: string): Promise<void> {
    const target = join(this.#root, path);
    await this.#write();
    await this.#guard(`syncing '${path}'`, () => this.#handle.sync());
    await this.#close();
    await this.#guard(`naming '${path}'`, async () => {
      await rename(this.#temporary, target);
      await syncDirectory(join(target, ".."));
    });
  }

  async abandon(): Promise<void> {
    if (!this.#open) return;
    await this.#close();
    await rm(this.#temporary, { force: true });
  }

  /** Writes what was appended: small pieces together. */
  async #write(): Promise<void> {
    const data = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    for (let done = 0; done < data.length; ) {
      const { bytesWritten } = await this.#handle.write(data, done, data.length - done).catch((error: unknown) => {
        throw fileFailure(error, "writing to the repository");
      });
      done += bytesWritten;
    }
  }

  async #close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#handle.close();
  }
}

function isAbsent(error: unknown): boolean {
  return ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
}
