import type { BlobHash, BlobKind, BlobPlace } from "./blob.ts";
import { hashBytes } from "./blob.ts";
import { damaged } from "./repository-failure.ts";
import type { NewFile, ReadFile, RepositoryFolder } from "./repository-folder.ts";

/** Where one blob is. */
export interface IndexRecord extends BlobPlace {
  readonly hash: BlobHash;
  readonly kind: BlobKind;
}

/** Bytes of a record: hash, pack, offset, length (little endian), kind, three of zero. */
export const recordBytes: number = 48;
const headerBytes = 16;
const magic = Buffer.from("VDC-OS index v1\n");
const windowRecords = 85;

/** Writes a record. */
export function encodeRecord(record: IndexRecord): Buffer {
  const bytes = Buffer.alloc(recordBytes);
  record.hash.copy(bytes);
  bytes.writeUInt32LE(record.pack, 32);
  bytes.writeUInt32LE(record.offset, 36);
  bytes.writeUInt32LE(record.length, 40);
  bytes.writeUInt8(record.kind === "chunk" ? 0 : 1, 44);
  return bytes;
}

export function decodeRecord(bytes: Buffer): IndexRecord {
  return {
    hash: Buffer.from(bytes.subarray(0, hashBytes)),
    pack: bytes.readUInt32LE(32),
    offset: bytes.readUInt32LE(36),
    length: bytes.readUInt32LE(40),
    kind: bytes.readUInt8(44) === 0 ? "chunk" : "node",
  };
}

/**
 * A file of records in order of hash. Hashes are evenly spread, so a search guesses where one is and needs two or three small reads; nothing of the
 * file is kept in memory.
 */
export class IndexFile {
  readonly name: string;
  readonly count: number;
  readonly #file: ReadFile;
  readonly #window = Buffer.alloc(windowRecords * recordBytes);

  private constructor(name: string, file: ReadFile, count: number) {
    this.name = name;
    this.#file = file;
    this.count = count;
  }

  static open(folder: RepositoryFolder, name: string): IndexFile {
    const file = folder.openFile(`index/${name}`);
    try {
      const header = Buffer.alloc(headerBytes);
      file.read(header, 0);
      const count = (file.sizeBytes - headerBytes) / recordBytes;
      if (!header.equals(magic) || !Number.isInteger(count)) {
        throw damaged(`'index/${name}' is no index of ${file.sizeBytes} bytes`);
      }
      return new IndexFile(name, file, count);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** The ordinal of a hash's record, and the record. */
  find(hash: BlobHash): { readonly ordinal: number; readonly record: IndexRecord } | undefined {
    let low = 0;
    let high = this.count;
    let guess = Math.floor((hash.readUInt32BE(0) / 2 ** 32) * this.count);
    while (low < high) {
      const count = Math.min(windowRecords, high - low);
      const first = Math.min(Math.max(low, guess - (windowRecords >> 1)), high - count);
      this.#file.read(this.#window.subarray(0, count * recordBytes), headerBytes + first * recordBytes);
      if (this.#compare(hash, 0) < 0) high = first;
      else if (this.#compare(hash, count - 1) > 0) low = first + count;
      else return this.#findInWindow(hash, first, count);
      guess = (low + high) >> 1;
    }
    return undefined;
  }

  /** Records in order, from an ordinal on, each a view that is good until the next. */
  *records(): Generator<Buffer> {
    const buffer = Buffer.alloc(1024 * recordBytes);
    for (let at = 0; at < this.count; at += 1024) {
      const count = Math.min(1024, this.count - at);
      this.#file.read(buffer.subarray(0, count * recordBytes), headerBytes + at * recordBytes);
      for (let i = 0; i < count; i++) yield buffer.subarray(i * recordBytes, (i + 1) * recordBytes);
    }
  }

  close(): void {
    this.#file.close();
  }

  #compare(hash: BlobHash, i: number): number {
    return hash.compare(this.#window, i * recordBytes, i * recordBytes + hashBytes);
  }

  #findInWindow(hash: BlobHash, first: number, count: number): ReturnType<IndexFile["find"]> {
    for (let low = 0, high = count; low < high; ) {
      const middle = (low + high) >> 1;
      const order = this.#compare(hash, middle);
      if (order === 0) {
        const record = decodeRecord(this.#window.subarray(middle * recordBytes, (middle + 1) * recordBytes));
        return { ordinal: first + middle, record };
      }
      if (order < 0) high = middle;
      else low = middle + 1;
    }
    return undefined;
  }
}

/** Writes an index of records that come in order of hash. Returns how many there were; without any there is no file. */
export async function writeIndexFile(
  folder: RepositoryFolder,
  name: string,
  sorted: Iterable<Buffer>,
): Promise<number> {
  const file: NewFile = await folder.createFile();
  try {
    await file.append(magic);
    let batch: Buffer[] = [];
    let count = 0;
    for (const record of sorted) {
      batch.push(Buffer.from(record));
      count++;
      if (batch.length < 4096) continue;
      await file.append(Buffer.concat(batch));
      batch = [];
    }
    await file.append(Buffer.concat(batch));
    if (count > 0) await file.commit(`index/${name}`);
    return count;
  } finally {
    await file.abandon();
  }
}
