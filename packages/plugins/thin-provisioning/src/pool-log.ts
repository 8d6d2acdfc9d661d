import {
  closeSync,
  fdatasync,
  fsync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type Logger, VdcError } from "@vdc-os/core";
import { syncDirectory } from "@vdc-os/core/local";
import { formatEntries, formatSegment, type LogEntry, readSegment } from "./log-segment.ts";
import type { VolumeRecord } from "./volume-record.ts";

/** Options of {@link PoolLog.open}. */
export interface OpenPoolLogOptions {
  readonly folder: string;
  readonly logger: Logger;
  /** The least size of a segment, in bytes. Defaults to 1 MiB. */
  readonly segmentBytes?: number | undefined;
  /** Makes durable what deleted volumes have become: the log forgets them afterwards. */
  readonly beforeForgetting: () => Promise<void>;
}

/** Where entries are being written. */
interface OpenSegment {
  readonly fd: number;
  readonly sizeBytes: number;
  /** What the check sums of its frames begin with. */
  readonly seed: number;
  end: number;
}

interface Waiting {
  readonly entry: LogEntry;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** How the names of segments that are being written begin. */
const unfinished = ".new-";

/**
 * The pool's log: which volumes were made and not touched since, and which were deleted. One sync of a file whose blocks are all there already makes any number
 * of entries durable; the folders of those volumes need none, since what a power loss takes of them is made again from here.
 *
 * Entries that come while a sync runs share the next one. When a segment is full, the next one begins with what is still true of the volumes
 * that were made, and gets its name when that is on disk; then the one before goes. So the log is never larger than a few times what it says.
 */
export class PoolLog {
  readonly #options: OpenPoolLogOptions;
  readonly #made = new Map<string, VolumeRecord>();
  readonly #deleted = new Set<string>();
  #number = 0;
  #segment: OpenSegment | undefined;
  #queue: Waiting[] = [];
  #running: Promise<void> | undefined;
  #closed = false;

  private constructor(options: OpenPoolLogOptions) {
    this.#options = options;
  }

  /** Reads the log. Its folder is there, and the caller holds the pool's lock. Nothing is written until the first entry comes. */
  static open(options: OpenPoolLogOptions): PoolLog {
    const { folder, logger } = options;
    const log = new PoolLog(options);
    const names = readdirSync(folder).filter((name) => name.startsWith(unfinished) || /^[1-9]\d{0,14}$/.test(name));
    const newest = Math.max(0, ...names.map(Number).filter(Number.isSafeInteger));
    for (const name of names) if (name !== String(newest)) rmSync(join(folder, name), { force: true });
    log.#number = newest;
    if (newest === 0) return log;
    const path = join(folder, String(newest));
    const { entries, isDamaged } = readSegment(readFileSync(path));
    if (isDamaged) logger.error("the pool's log is damaged; volumes are taken as they are found", { path });
    for (const entry of entries) log.#apply(entry);
    return log;
  }

  /** The volumes that were made and not touched since. */
  get made(): ReadonlyMap<string, VolumeRecord> {
    return this.#made;
  }

  /** The ids of volumes that were deleted, as far as the log still knows them. */
  get deleted(): ReadonlySet<string> {
    return this.#deleted;
  }

  /** Writes an entry; the writing has begun when this returns. Durable when it resolves. When it rejects, the entry is as if it had never been. */
  append(entry: LogEntry): Promise<void> {
    if (this.#closed) return Promise.reject(new VdcError("UNAVAILABLE", "the pool is closed"));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#queue.push({ entry, resolve, reject });
    this.#running ??= this.#run();
    return promise;
  }

  /** Gives the log's file up once what was begun is written. */
  close(): void {
    this.#closed = true;
    if (this.#running === undefined) this.#closeSegment();
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      try {
        await this.#write(batch.map(({ entry }) => entry));
        for (const { entry } of batch) this.#apply(entry);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        // What the file has now is not known. The next segment tells what holds, without these entries.
        this.#closeSegment();
        await this.#rotate([]).catch(() => {});
        for (const { reject } of batch) reject(error);
      }
    }
    this.#running = undefined;
    if (this.#closed) this.#closeSegment();
  }

  async #write(entries: readonly LogEntry[]): Promise<void> {
    const segment = this.#segment;
    if (segment === undefined) return this.#rotate(entries);
    const { fd, seed, sizeBytes } = segment;
    const frames = formatEntries(segment.end, seed, entries);
    if (segment.end + frames.length > sizeBytes) return this.#rotate(entries);
    writeFully(fd, frames, segment.end);
    segment.end += frames.length;
    await synced(fdatasync, fd);
  }

  /** Begins a segment with what holds after these entries. */
  async #rotate(entries: readonly LogEntry[]): Promise<void> {
    const { folder, segmentBytes = 1024 * 1024, beforeForgetting } = this.#options;
    const made = new Map(this.#made);
    for (const entry of entries) applyTo(made, entry);
    const number = this.#number + 1;
    const holding = [...made.values()].map((record): LogEntry => ({ kind: "made", record }));
    const { bytes, seed } = formatSegment(number, holding);
    const sizeBytes = Math.max(segmentBytes, Math.ceil((2 * bytes.length) / 512) * 512);
    const unnamed = join(folder, `${unfinished}${number}`);
    rmSync(unnamed, { force: true });
    const fd = openSync(unnamed, "wx+", 0o600);
    try {
      // Zeroes that are written, not a hole: a later sync then has no blocks to allocate, and that is most of what one costs.
      writeFully(fd, Buffer.concat([bytes, Buffer.alloc(sizeBytes - bytes.length)]), 0);
      // Both have ended before anything else is done, also when one fails.
      const results = await Promise.allSettled([synced(fsync, fd), beforeForgetting()]);
      for (const result of results) if (result.status === "rejected") throw result.reason;
      renameSync(unnamed, join(folder, String(number)));
    } catch (error) {
      closeSync(fd);
      rmSync(unnamed, { force: true });
      throw error;
    }
    const before = this.#number;
    this.#number = number;
    this.#closeSegment();
    this.#segment = { fd, sizeBytes, seed, end: bytes.length };
    await syncDirectory(folder);
    this.#deleted.clear();
    rmSync(join(folder, String(before)), { force: true });
  }

  #apply(entry: LogEntry): void {
    applyTo(this.#made, entry);
    if (entry.kind === "deleted") this.#deleted.add(entry.volumeId);
  }

  #closeSegment(): void {
    if (this.#segment !== undefined) closeSync(this.#segment.fd);
    this.#segment = undefined;
  }
}

function applyTo(made: Map<string, VolumeRecord>, entry: LogEntry): void {
  if (entry.kind === "made") made.set(entry.record.volumeId, entry.record);
  else made.delete(entry.volumeId);
}

function writeFully(fd: number, data: Buffer, position: number): void {
  for (let done = 0; done < data.length; ) done += writeSync(fd, data, done, data.length - done, position + done);
}

function synced(sync: typeof fsync, fd: number): Promise<void> {
  return new Promise((resolve, reject) => sync(fd, (error) => (error ? reject(error) : resolve())));
}
