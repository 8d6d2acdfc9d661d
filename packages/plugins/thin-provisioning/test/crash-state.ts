import { linkSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FileEvent } from "./file-recorder.ts";

/** A tree of files, by node: what is in each file, and what each folder names. */
export interface CrashState {
  readonly files: ReadonlyMap<number, Buffer>;
  readonly folders: ReadonlyMap<number, ReadonlyMap<string, number>>;
}

/** Options of {@link crashState}. */
export interface CrashStateOptions {
  /** How many events had happened. */
  readonly count: number;
  /** Which nodes are folders. */
  readonly isFolder: (node: number) => boolean;
  /** How a power loss chooses: a number from 0 to 1 at each call. Without it, all that happened is there, as after a kill. */
  readonly chance?: () => number;
}

/**
 * What is there after a crash. A power loss leaves of each file what was synced, and any sectors of what was written since; of each folder's changes
 * those that were synced and any number of the next ones, in their order, independently of every other folder. A rename is whole or not there.
 */
export function crashState(events: readonly FileEvent[], options: CrashStateOptions): CrashState {
  const { count, isFolder, chance } = options;
  const durable = new Map<number, number>();
  for (const event of events.slice(0, count)) {
    if (event.kind === "sync") durable.set(event.node, Math.max(durable.get(event.node) ?? 0, event.upTo));
  }
  const ends = new Map<number, number>();
  const endOf = (folder: number): number => {
    if (chance === undefined) return count;
    const synced = durable.get(folder) ?? 0;
    // Often all or nothing of what is not durable, else somewhere in between.
    const choice = Math.min(1, Math.max(0, chance() * 2 - 0.5));
    const end = ends.get(folder) ?? synced + Math.round(choice * (count - synced));
    ends.set(folder, end);
    return end;
  };
  const files = new Map<number, Buffer>();
  const folders = new Map<number, Map<string, number>>([[0, new Map()]]);
  const folder = (node: number): Map<string, number> => {
    const present = folders.get(node) ?? new Map<string, number>();
    folders.set(node, present);
    return present;
  };
  const write = (node: number, position: number, data: Buffer): void => {
    const before = files.get(node) ?? Buffer.alloc(0);
    const content = position + data.length > before.length ? Buffer.alloc(position + data.length) : before;
    if (content !== before) before.copy(content);
    data.copy(content, position);
    files.set(node, content);
  };
  const share = chance === undefined ? 1 : chance() < 0.5 ? 0.3 : 0.7;
  for (const [index, event] of events.slice(0, count).entries()) {
    if (event.kind === "sync") continue;
    if (event.kind === "write" || event.kind === "truncate") {
      const isCertain = chance === undefined || index < (durable.get(event.node) ?? 0);
      if (event.kind === "truncate") {
        if (!isCertain && (chance?.() ?? 0) > share) continue;
        const content = Buffer.alloc(event.sizeBytes);
        files.get(event.node)?.copy(content);
        files.set(event.node, content);
        continue;
      }
      const { node, position, data } = event;
      if (isCertain) write(node, position, data);
      else {
        for (let at = 0; at < data.length; ) {
          const next = Math.min(data.length, at + 512 - ((position + at) % 512));
          if ((chance?.() ?? 0) < share) write(node, position + at, data.subarray(at, next));
          at = next;
        }
      }
      continue;
    }
    if (index >= endOf(event.folder)) continue;
    if (event.kind === "remove") folder(event.folder).delete(event.name);
    else {
      if (event.kind === "rename") folder(event.from[0]).delete(event.from[1]);
      folder(event.folder).set(event.name, event.node);
      if (isFolder(event.node)) folder(event.node);
    }
  }
  return { files, folders };
}

/** When the crash was, for who looks at the age of files. */
const longAgo = new Date(0);

/** Writes a state's files into a folder. A file with several names has them here too. */
export function writeCrashState({ files, folders }: CrashState, path: string): void {
  const written = new Map<number, string>();
  const writeFolder = (node: number, folder: string): void => {
    mkdirSync(folder, { recursive: true });
    for (const [name, child] of folders.get(node) ?? []) {
      const below = join(folder, name);
      const twin = written.get(child);
      if (folders.has(child)) writeFolder(child, below);
      else if (twin !== undefined) linkSync(twin, below);
      else {
        writeFileSync(below, files.get(child) ?? "");
        utimesSync(below, longAgo, longAgo);
        written.set(child, below);
      }
    }
  };
  writeFolder(0, path);
}
