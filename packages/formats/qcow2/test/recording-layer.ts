import type { FileLayer, ImageFile } from "../src/index.ts";

/** One change of a file's bytes or length, or the point at which everything before it is durable. */
export type DiskEvent =
  | { readonly kind: "write"; readonly position: number; readonly data: Buffer }
  | { readonly kind: "truncate"; readonly sizeBytes: number }
  | { readonly kind: "sync" };

/** A file in memory that remembers every change in order, so that a test can ask what a crash would have left. */
export class RecordingFile {
  content: Buffer;
  readonly events: DiskEvent[] = [];
  /** When given, every event is noted here too, so that the order across files is known. */
  readonly timeline: { readonly file: RecordingFile; readonly event: DiskEvent }[];
  /** When set, a write that would make the file longer than this fails as a full disk does. */
  maximumBytes: number = Number.MAX_SAFE_INTEGER;
  /** When true, a sync fails as a broken disk's does. */
  failSync = false;

  constructor(content: Buffer, timeline: { readonly file: RecordingFile; readonly event: DiskEvent }[] = []) {
    this.content = Buffer.from(content);
    this.timeline = timeline;
  }
}

/** The content after an event; changes `content` itself where its length allows. */
export function applyEvent(content: Buffer, event: DiskEvent): Buffer {
  if (event.kind === "sync") return content;
  let result = content;
  if (event.kind === "truncate") {
    result = Buffer.alloc(event.sizeBytes);
    content.copy(result);
    return result;
  }
  const end = event.position + event.data.length;
  if (end > content.length) {
    result = Buffer.alloc(end);
    content.copy(result);
  }
  event.data.copy(result, event.position);
  return result;
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}

/** A file system of recording files, by path. */
export function recordingLayer(files: ReadonlyMap<string, RecordingFile>): FileLayer {
  const open = (path: string, write: boolean): ImageFile => {
    const file = files.get(path);
    if (!file) throw systemError("ENOENT");
    const change = (event: DiskEvent): void => {
      if (!write) throw systemError("EBADF");
      const end =
        event.kind === "write" ? event.position + event.data.length : event.kind === "truncate" ? event.sizeBytes : 0;
      if (end > file.maximumBytes) throw systemError("ENOSPC");
      if (event.kind === "sync" && file.failSync) throw systemError("EIO");
      file.content = applyEvent(file.content, event);
      file.events.push(event);
      file.timeline.push({ file, event });
    };
    return {
      path,
      status: () => ({ sizeBytes: file.content.length, diskBytes: file.content.length, identity: path }),
      readSync: (buffer, position) => {
        const part = file.content.subarray(position, position + buffer.length);
        buffer.set(part);
        return part.length;
      },
      writeSync: (buffer, position) => change({ kind: "write", position, data: Buffer.from(buffer) }),
      truncateSync: (sizeBytes) => change({ kind: "truncate", sizeBytes }),
      syncSync: () => change({ kind: "sync" }),
      sync: async () => {
        // What is written while the disk works is not covered by this sync, so the point is marked at its start.
        change({ kind: "sync" });
        await Promise.resolve();
        await new Promise((resolve) => setImmediate(resolve));
      },
      closeSync: () => undefined,
    };
  };
  return {
    openSync: (path, options) => open(path, options.write),
    publishSync: () => {
      throw systemError("ENOSYS");
    },
    removeSync: () => undefined,
  };
}

/** Sector-sized pieces of a write, since a crash may tear it between any two. */
export function pieces(event: DiskEvent): DiskEvent[] {
  if (event.kind !== "write") return [event];
  const parts: DiskEvent[] = [];
  for (let at = 0; at < event.data.length; ) {
    const next = Math.min(event.data.length, at + 512 - ((event.position + at) % 512));
    parts.push({ kind: "write", position: event.position + at, data: event.data.subarray(at, next) });
    at = next;
  }
  return parts;
}
