import {
  type BlobHash,
  type BlobKind,
  type BlobPlace,
  blobHeaderBytes,
  decodeBlob,
  decodeHeader,
  maxBlobBytes,
} from "./blob.ts";
import { damaged } from "./repository-failure.ts";
import type { NewFile, ReadFile, RepositoryFolder } from "./repository-folder.ts";

const magic = Buffer.from("VDC-OS pack v1\n\n");
/** How many packs are held open for reading. */
const maxOpen = 32;

/** The files that blobs are in: each a line that says what it is, then blobs one after the other. A pack does not change. */
export class Packs {
  readonly #folder: RepositoryFolder;
  readonly #open = new Map<number, ReadFile>();
  #next: number;

  private constructor(folder: RepositoryFolder, next: number) {
    this.#folder = folder;
    this.#next = next;
  }

  static async open(folder: RepositoryFolder): Promise<Packs> {
    const numbers = await listPacks(folder);
    return new Packs(folder, numbers.reduce((most, each) => Math.max(most, each), 0) + 1);
  }

  list(): Promise<readonly number[]> {
    return listPacks(this.#folder);
  }

  sizeOf(pack: number): Promise<number> {
    return this.#folder.sizeOf(pathOf(pack));
  }

  async create(): Promise<NewPack> {
    const file = await this.#folder.createFile();
    await file.append(magic);
    return new NewPack(this.#next++, file);
  }

  /** A blob's content, held against its hash. Throws `DATA_LOSS`. */
  read(place: BlobPlace, expected: { readonly kind: BlobKind; readonly hash: BlobHash }): Buffer {
    return decodeBlob(this.readEncoded(place), expected);
  }

  /** A blob as it is stored. */
  readEncoded(place: BlobPlace): Buffer {
    if (place.length < blobHeaderBytes || place.length > blobHeaderBytes + maxBlobBytes) {
      throw damaged(`the index says that a blob has ${place.length} bytes`);
    }
    const blob = Buffer.allocUnsafe(place.length);
    this.#file(place.pack).read(blob, place.offset);
    return blob;
  }

  /** The blobs of a pack, in order. Throws `DATA_LOSS` where it can't go on. */
  *scan(pack: number): Generator<{ readonly kind: BlobKind; readonly hash: BlobHash; readonly place: BlobPlace }> {
    const file = this.#file(pack);
    const header = Buffer.alloc(blobHeaderBytes);
    for (let offset = magic.length; offset < file.sizeBytes; ) {
      file.read(header, offset);
      const { kind, hash, storedBytes } = decodeHeader(header);
      const length = blobHeaderBytes + storedBytes;
      yield { kind, hash: Buffer.from(hash), place: { pack, offset, length } };
      offset += length;
    }
  }

  async remove(packs: readonly number[]): Promise<void> {
    for (const pack of packs) {
      this.#open.get(pack)?.close();
      this.#open.delete(pack);
    }
    await this.#folder.remove(...packs.map(pathOf));
  }

  close(): void {
    for (const file of this.#open.values()) file.close();
    this.#open.clear();
  }

  #file(pack: number): ReadFile {
    const found = this.#open.get(pack) ?? this.#openPack(pack);
    // The one used last is at the end, so that the first is the one to close.
    this.#open.delete(pack);
    this.#open.set(pack, found);
    for (const [old, file] of this.#open) {
      if (this.#open.size <= maxOpen) break;
      file.close();
      this.#open.delete(old);
    }
    return found;
  }

  #openPack(pack: number): ReadFile {
    const file = this.#folder.openFile(pathOf(pack));
    try {
      const start = Buffer.alloc(magic.length);
      file.read(start, 0);
      if (!start.equals(magic)) throw damaged(`'${pathOf(pack)}' is no pack`);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }
}

/** A pack that is being written. */
export class NewPack {
  readonly number: number;
  readonly #file: NewFile;

  constructor(number: number, file: NewFile) {
    this.number = number;
    this.#file = file;
  }

  get sizeBytes(): number {
    return this.#file.sizeBytes;
  }

  /** Appends a blob as `encodeBlob` made it. */
  async append(blob: Buffer): Promise<BlobPlace> {
    const place = { pack: this.number, offset: this.#file.sizeBytes, length: blob.length };
    await this.#file.append(blob);
    return place;
  }

  commit(): Promise<void> {
    return this.#file.commit(pathOf(this.number));
  }

  abandon(): Promise<void> {
    return this.#file.abandon();
  }
}

async function listPacks(folder: RepositoryFolder): Promise<readonly number[]> {
  const names = await folder.list("packs");
  return names.filter((name) => /^[0-9a-f]{8}\.pack$/.test(name)).map((name) => Number.parseInt(name, 16));
}

function pathOf(pack: number): string {
  return `packs/${pack.toString(16).padStart(8, "0")}.pack`;
}
