import fs from "node:fs";
import fsPromises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname, join } from "node:path";

/** One change of a folder's tree. Nodes (files and folders) are numbered as they are made; 0 is the folder itself. */
export type FileEvent =
  | { readonly kind: "write"; readonly node: number; readonly position: number; readonly data: Buffer }
  | { readonly kind: "truncate"; readonly node: number; readonly sizeBytes: number }
  /** A name for a node, which may be new. */
  | { readonly kind: "add"; readonly folder: number; readonly name: string; readonly node: number }
  | { readonly kind: "remove"; readonly folder: number; readonly name: string }
  | {
      readonly kind: "rename";
      readonly from: readonly [folder: number, name: string];
      readonly folder: number;
      readonly name: string;
      readonly node: number;
    }
  /** What happened to the node before event number `upTo` is durable: a file's bytes, or a folder's names. */
  | { readonly kind: "sync"; readonly node: number; readonly upTo: number };

type Call = (...args: never[]) => unknown;

/**
 * Records every change that this process makes below a folder through `node:fs`, in order, until it is disposed: so that a test can make what a kill or a
 * power loss would have left. Calls of the kernel that go past `node:fs` (holes that are punched, modes) are no part of it.
 */
export class FileRecorder implements Disposable {
  readonly root: string;
  readonly events: FileEvent[] = [];
  /** Which nodes are folders, and what they have now. */
  readonly folders: Map<number, Map<string, number>> = new Map([[0, new Map()]]);
  readonly #descriptors = new Map<number, number>();
  readonly #restore: (() => void)[] = [];
  #nodes = 0;

  /** What is below `root` already is what the first events make, and durable. */
  constructor(root: string) {
    this.root = root;
    this.#adopt(root);
    this.#replaceSync();
    this.#replacePromises();
    syncBuiltinESMExports();
  }

  [Symbol.dispose](): void {
    for (const restore of this.#restore) restore();
    syncBuiltinESMExports();
  }

  #adopt(folder: string): void {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        this.#madeFolder(path);
        this.#adopt(path);
        continue;
      }
      const node = this.#opened(path, "wx");
      this.#written(node, fs.readFileSync(path), 0);
      this.#synced(node, this.events.length);
    }
    this.#synced(this.#find(folder), this.events.length);
  }

  #replaceSync(): void {
    const real = { ...fs };
    this.#replace(fs, "openSync", (call, path: string, flags: string | number, ...rest) => {
      const fd = call(path, flags, ...rest) as number;
      const node = this.#opened(path, flags);
      if (node !== undefined) this.#descriptors.set(fd, node);
      return fd;
    });
    this.#replace(fs, "closeSync", (call, fd: number) => {
      this.#descriptors.delete(fd);
      return call(fd);
    });
    this.#replace(fs, "writeSync", (call, fd: number, data: string | Uint8Array, ...rest: (number | undefined)[]) => {
      const count = call(fd, data, ...rest) as number;
      const [offset = 0, , at] = rest;
      // A text is written where the last one ended, and only into new files here.
      if (typeof data === "string") this.#written(this.#descriptors.get(fd), Buffer.from(data), 0);
      else this.#written(this.#descriptors.get(fd), Buffer.from(data.subarray(offset, offset + count)), at ?? 0);
      return count;
    });
    this.#replace(fs, "ftruncateSync", (call, fd: number, sizeBytes: number) => {
      call(fd, sizeBytes);
      const node = this.#descriptors.get(fd);
      if (node !== undefined) this.events.push({ kind: "truncate", node, sizeBytes });
    });
    for (const name of ["fsyncSync", "fdatasyncSync"]) {
      this.#replace(fs, name, (call, fd: number) => {
        call(fd);
        this.#synced(this.#descriptors.get(fd), this.events.length);
      });
    }
    for (const name of ["fsync", "fdatasync"]) {
      this.#replace(fs, name, (call, fd: number, done: (error: Error | null) => void) => {
        const [node, upTo] = [this.#descriptors.get(fd), this.events.length];
        call(fd, (error: Error | null) => {
          if (error === null) this.#synced(node, upTo);
          done(error);
        });
      });
    }
    this.#replace(fs, "writeFileSync", (call, path: string, text: string, ...rest) => {
      call(path, text, ...rest);
      this.#written(this.#opened(path, "w"), Buffer.from(text), 0);
    });
    this.#replace(fs, "mkdirSync", (call, path: string, ...rest) => {
      const result = call(path, ...rest);
      this.#madeFolder(path);
      return result;
    });
    this.#replaceNames(fs, "Sync", (run, record) => {
      const result = run();
      record();
      return result;
    });
    this.#replace(fs, "rmSync", (call, path: string, ...rest) => {
      call(path, ...rest);
      if (!real.existsSync(path)) this.#removed(path);
    });
  }

  #replacePromises(): void {
    this.#replace(fsPromises, "open", async (call, path: string, flags: string, ...rest) => {
      const handle = (await call(path, flags, ...rest)) as fsPromises.FileHandle;
      const node = this.#opened(path, flags);
      if (node === undefined) return handle;
      const { sync, writeFile } = handle;
      handle.sync = async () => {
        const upTo = this.events.length;
        await sync.call(handle);
        this.#synced(node, upTo);
      };
      handle.writeFile = async (data) => {
        await writeFile.call(handle, data);
        this.#written(node, Buffer.from(data as string), 0);
      };
      return handle;
    });
    this.#replace(fsPromises, "mkdir", async (call, path: string, ...rest) => {
      const result = await call(path, ...rest);
      this.#madeFolder(path);
      return result;
    });
    this.#replaceNames(fsPromises, "", async (run, record) => {
      const result = await run();
      record();
      return result;
    });
    this.#replace(fsPromises, "rm", async (call, path: string, ...rest) => {
      await call(path, ...rest);
      this.#removed(path);
    });
  }

  #replaceNames(target: object, suffix: string, around: (run: () => unknown, record: () => void) => unknown): void {
    this.#replace(target, `link${suffix}`, (call, from: string, to: string) =>
      around(
        () => call(from, to),
        () => this.#named(to, this.#find(from)),
      ),
    );
    this.#replace(target, `unlink${suffix}`, (call, path: string) =>
      around(
        () => call(path),
        () => this.#removed(path),
      ),
    );
    this.#replace(target, `rename${suffix}`, (call, from: string, to: string) =>
      around(
        () => call(from, to),
        () => this.#renamed(from, to),
      ),
    );
  }

  #replace<Args extends unknown[]>(
    target: object,
    name: string,
    replacement: (call: (...args: unknown[]) => unknown, ...args: Args) => unknown,
  ): void {
    const original = Reflect.get(target, name) as Call;
    const call = (...args: unknown[]): unknown => Reflect.apply(original, target, args);
    Reflect.set(target, name, (...args: unknown[]) => replacement(call, ...(args as Args)));
    this.#restore.push(() => Reflect.set(target, name, original));
  }

  /** The folder that a path is in, and its name there; `undefined` outside the root. */
  #place(path: string): readonly [folder: number, name: string] | undefined {
    if (!path.startsWith(`${this.root}/`)) return undefined;
    const folder = this.#find(dirname(path));
    return folder === undefined ? undefined : [folder, basename(path)];
  }

  #find(path: string): number | undefined {
    if (path === this.root) return 0;
    const place = this.#place(path);
    return place && this.folders.get(place[0])?.get(place[1]);
  }

  #named(path: string, node: number | undefined): void {
    const place = this.#place(path);
    if (place === undefined || node === undefined) return;
    const [folder, name] = place;
    this.folders.get(folder)?.set(name, node);
    this.events.push({ kind: "add", folder, name, node });
  }

  #madeFolder(path: string): void {
    if (!path.startsWith(`${this.root}/`) || this.#find(path) !== undefined) return;
    this.#madeFolder(dirname(path));
    const node = ++this.#nodes;
    this.folders.set(node, new Map());
    this.#named(path, node);
  }

  #opened(path: string, flags: string | number): number | undefined {
    if (this.#place(path) === undefined && path !== this.root) return undefined;
    let node = this.#find(path);
    if (node === undefined) {
      node = ++this.#nodes;
      this.#named(path, node);
    } else if (flags === "w") this.events.push({ kind: "truncate", node, sizeBytes: 0 });
    return node;
  }

  #written(node: number | undefined, data: Buffer, position: number): void {
    if (node !== undefined && data.length > 0) this.events.push({ kind: "write", node, position, data });
  }

  #synced(node: number | undefined, upTo: number): void {
    if (node !== undefined) this.events.push({ kind: "sync", node, upTo });
  }

  #removed(path: string): void {
    const node = this.#find(path);
    const place = this.#place(path);
    if (node === undefined || place === undefined) return;
    for (const name of [...(this.folders.get(node)?.keys() ?? [])]) this.#removed(join(path, name));
    const [folder, name] = place;
    this.folders.get(folder)?.delete(name);
    this.events.push({ kind: "remove", folder, name });
  }

  #renamed(from: string, to: string): void {
    const [node, source, target] = [this.#find(from), this.#place(from), this.#place(to)];
    if (node === undefined || source === undefined || target === undefined) return;
    const [folder, name] = target;
    this.folders.get(source[0])?.delete(source[1]);
    this.folders.get(folder)?.set(name, node);
    this.events.push({ kind: "rename", from: source, folder, name, node });
  }
}
