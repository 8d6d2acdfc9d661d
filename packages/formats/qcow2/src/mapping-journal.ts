import { closeSync, existsSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** A change of one L2 entry. */
export interface MappingRecord {
  readonly guestOffset: number;
  /** The entry as it was made: 8 bytes, or 16 with extended L2 entries. */
  readonly entry: Buffer;
}

/** Which image, in which boot of the machine: a journal of another one says nothing. */
export interface JournalSubject {
  readonly path: string;
  /** Of the image's file: device and inode. */
  readonly identity: string;
  readonly entryBytes: number;
}

const MAGIC = "VDCJRNL1";
const HEADER_BYTES = 192;
const BUFFER_BYTES = 64 * 1024;

/** The two files of an image's journal: hidden ones beside it. */
export function journalPathsOf(imagePath: string): readonly [string, string] {
  const path = (letter: string): string => join(dirname(imagePath), `.${basename(imagePath)}.${letter}.journal`);
  return [path("a"), path("b")];
}

/**
 * What the L2 tables in memory have that those in the file do not, kept in the page cache: so what was written survives the end of this process, though not that
 * of the machine, without being synced. A record is in the file before the write that it belongs to is answered.
 *
 * Two files take turns. When a flush begins, all records so far are about to become durable in the tables: the file that holds older ones, which are durable
 * already, is emptied, and the next records go there. To apply records again that are durable does no harm as long as all later ones follow.
 */
export class MappingJournal {
  readonly #subject: JournalSubject;
  readonly #paths: readonly [string, string];
  readonly #descriptors: [number | undefined, number | undefined] = [undefined, undefined];
  readonly #recordBytes: number;
  readonly #buffer = Buffer.alloc(BUFFER_BYTES);
  #buffered = 0;
  #turn: 0 | 1 = 0;
  /** Where the next record goes in the present file; 0 while it has no header. */
  #position = 0;
  #sequence = 0;
  #failed = false;

  private constructor(subject: JournalSubject) {
    this.#subject = subject;
    this.#paths = journalPathsOf(subject.path);
    this.#recordBytes = 8 + subject.entryBytes;
  }

  /** A journal for an image that is written by this process alone. `undefined` where a boot can't be told from another. */
  static begin(subject: JournalSubject): MappingJournal | undefined {
    return bootId() === "" ? undefined : new MappingJournal(subject);
  }

  /** Records a change. It is in the file after `commit`. */
  note(guestOffset: number, table: Buffer, at: number): void {
    if (this.#failed) return;
    if (this.#buffered + this.#recordBytes > BUFFER_BYTES) this.commit();
    this.#buffer.writeDoubleLE(guestOffset, this.#buffered);
    table.copy(this.#buffer, this.#buffered + 8, at, at + this.#subject.entryBytes);
    this.#buffered += this.#recordBytes;
  }

  /** Writes what was recorded. When that fails, the journal ends: writing goes on, and is safe again after the next flush. */
  commit(): void {
    if (this.#buffered === 0) return;
    const bytes = this.#buffered;
    this.#buffered = 0;
    try {
      if (this.#position === 0) this.#writeHeader();
      writeSync(this.#file(), this.#buffer, 0, bytes, this.#position);
      this.#position += bytes;
    } catch {
      this.#failed = true;
      this.#remove();
    }
  }

  /** A flush begins, which covers all that was recorded. */
  rotate(): void {
    this.commit();
    if (this.#position === 0) return;
    this.#turn = this.#turn === 0 ? 1 : 0;
    this.#position = 0;
  }

  /** Everything is durable in the tables. */
  reset(): void {
    this.#buffered = 0;
    this.#position = 0;
    this.#failed = false;
    this.#remove();
  }

  /** Ends it, when the tables have everything. */
  close(): void {
    this.#buffered = 0;
    this.#remove();
  }

  /** Ends it, and leaves what it has to the next one who opens the image. */
  abandon(): void {
    for (const turn of [0, 1] as const) this.#closeFile(turn);
  }

  #file(): number {
    const open = this.#descriptors[this.#turn];
    if (open !== undefined) return open;
    const made = openSync(this.#paths[this.#turn], "w", 0o600);
    this.#descriptors[this.#turn] = made;
    return made;
  }

  /** Begins a file anew: what it held is durable in the tables. A header without records says that. */
  #writeHeader(): void {
    this.#closeFile(this.#turn);
    const header = Buffer.alloc(HEADER_BYTES);
    header.write(MAGIC, 0, "latin1");
    header.writeDoubleLE(++this.#sequence, 8);
    header.writeUInt32LE(this.#subject.entryBytes, 16);
    header.write(`${bootId()} ${this.#subject.identity}`, 24, "latin1");
    writeSync(this.#file(), header, 0, HEADER_BYTES, 0);
    this.#position = HEADER_BYTES;
  }

  #closeFile(turn: 0 | 1): void {
    const descriptor = this.#descriptors[turn];
    if (descriptor === undefined) return;
    this.#descriptors[turn] = undefined;
    closeSync(descriptor);
  }

  #remove(): void {
    for (const turn of [0, 1] as const) {
      if (this.#descriptors[turn] === undefined) continue;
      this.#closeFile(turn);
      unlinkSync(this.#paths[turn]);
    }
  }
}

/** The journal's subject, for an image's file. */
export function journalSubjectOf(
  file: { readonly path: string; status(): { readonly identity: string } },
  geometry: { readonly l2EntryBytes: number },
): JournalSubject {
  return { path: file.path, identity: file.status().identity, entryBytes: geometry.l2EntryBytes };
}

/** What a process that ended without closing an image has left in its journal, in order. Records of another boot or another file are none. */
export function readJournal(subject: JournalSubject): readonly MappingRecord[] {
  const recordBytes = 8 + subject.entryBytes;
  const files = journalPathsOf(subject.path)
    .map((path) => readIfThere(path))
    .filter((bytes) => bytes.length >= HEADER_BYTES && bytes.toString("latin1", 0, 8) === MAGIC)
    .filter((bytes) => bytes.readUInt32LE(16) === subject.entryBytes)
    .filter((bytes) => {
      const text = bytes.toString("latin1", 24, HEADER_BYTES);
      const boot = bootId();
      return boot !== "" && text.slice(0, text.indexOf("\0")) === `${boot} ${subject.identity}`;
    })
    .sort((a, b) => a.readDoubleLE(8) - b.readDoubleLE(8));
  const records: MappingRecord[] = [];
  for (const bytes of files) {
    for (let at = HEADER_BYTES; at + recordBytes <= bytes.length; at += recordBytes) {
      records.push({ guestOffset: bytes.readDoubleLE(at), entry: bytes.subarray(at + 8, at + recordBytes) });
    }
  }
  return records;
}

/** Whether an image has a journal beside it: its last writer ended without closing it. */
export function hasJournal(imagePath: string): boolean {
  return journalPathsOf(imagePath).some((path) => existsSync(path));
}

/** Removes a journal that was applied, or that says nothing. */
export function removeJournal(imagePath: string): void {
  for (const path of journalPathsOf(imagePath)) {
    try {
      unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}

function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

let known: string | undefined;

function bootId(): string {
  try {
    known ??= readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    known = "";
  }
  return known;
}
