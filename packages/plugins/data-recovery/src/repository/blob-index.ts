import { z } from "zod";
import type { BlobHash, BlobPlace } from "./blob.ts";
import { encodeRecord, IndexFile, type IndexRecord, writeIndexFile } from "./index-file.ts";
import { mergeRecords } from "./merge-records.ts";
import { damaged } from "./repository-failure.ts";
import type { RepositoryFolder } from "./repository-folder.ts";

const listPath = "index/files.json";
const listSchema = z.object({ files: z.array(z.string().regex(/^[0-9a-f]{8}\.idx$/)).max(4096), nextFile: z.int() });
type FileList = z.output<typeof listSchema>;

/** How many files of about one size are merged into one. */
const fanIn = 4;

/** The files of an index at one moment. They stay readable until it is released, whatever happens to the index. */
export class IndexView {
  readonly files: readonly IndexFile[];
  #users = 1;

  constructor(files: readonly IndexFile[]) {
    this.files = files;
  }

  find(
    hash: BlobHash,
  ): { readonly file: IndexFile; readonly ordinal: number; readonly record: IndexRecord } | undefined {
    for (const file of this.files) {
      const found = file.find(hash);
      if (found !== undefined) return { file, ...found };
    }
    return undefined;
  }

  retain(): this {
    this.#users++;
    return this;
  }

  /** Returns whether it was the last use. */
  release(): boolean {
    return --this.#users === 0;
  }
}

/**
 * Where every blob is. It consists of sorted files, which are never changed: new ones are added, and several of one size are merged. One small file lists
 * those that count, and is replaced at once: that is when a change takes effect.
 */
export class BlobIndex {
  readonly #folder: RepositoryFolder;
  #list: FileList;
  #view: IndexView;
  /** How many views use each file. */
  readonly #uses = new Map<IndexFile, number>();
  #changes: Promise<unknown> = Promise.resolve();

  private constructor(folder: RepositoryFolder, list: FileList) {
    this.#folder = folder;
    this.#list = list;
    this.#view = this.#use(list.files.map((name) => IndexFile.open(folder, name)));
  }

  /** Opens it, and removes files that do not count. */
  static async open(folder: RepositoryFolder): Promise<BlobIndex> {
    const text = await folder.read(listPath, 1024 * 1024);
    let list: FileList = { files: [], nextFile: 1 };
    if (text !== undefined) {
      try {
        list = listSchema.parse(JSON.parse(text));
      } catch (error) {
        throw damaged(`'${listPath}' is not what it should be`, error);
      }
    }
    const index = new BlobIndex(folder, list);
    const stray = (await folder.list("index")).filter((name) => name.endsWith(".idx") && !list.files.includes(name));
    await folder.remove(...stray.map((name) => `index/${name}`));
    return index;
  }

  find(hash: BlobHash): IndexRecord | undefined {
    return this.#view.find(hash)?.record;
  }

  /** The index as it is now. Whoever gets it gives it back to `release`. */
  view(): IndexView {
    return this.#view.retain();
  }

  release(view: IndexView): void {
    if (!view.release()) return;
    for (const file of view.files) {
      const left = (this.#uses.get(file) ?? 1) - 1;
      if (left > 0) {
        this.#uses.set(file, left);
        continue;
      }
      this.#uses.delete(file);
      file.close();
    }
  }

  /**
   * Adds records. Their packs are durable. Of a blob that is in two packs a merge keeps one place, either: who copies blobs so as to drop the packs that they
   * are in merges only when that is done.
   */
  add(records: readonly IndexRecord[], { merge = true }: { readonly merge?: boolean } = {}): Promise<void> {
    if (records.length === 0) return Promise.resolve();
    return this.#alone(async () => {
      const sorted = [...records].sort((a, b) => a.hash.compare(b.hash)).map(encodeRecord);
      const name = this.#nextName();
      await writeIndexFile(this.#folder, name, sorted);
      await this.#replace([], name);
      if (merge) await this.#mergeWhereDue();
    });
  }

  /** Leaves out the records of some packs. */
  dropPacks(packs: ReadonlySet<number>): Promise<void> {
    return this.#alone(async () => {
      const files = this.#view.files;
      const name = this.#nextName();
      const kept = mergeRecords(files, (record) => !packs.has(record.readUInt32LE(32)));
      const count = await writeIndexFile(this.#folder, name, kept);
      await this.#replace(files, count === 0 ? undefined : name);
    });
  }

  close(): void {
    this.release(this.#view);
  }

  async #mergeWhereDue(): Promise<void> {
    for (;;) {
      const tiers = new Map<number, IndexFile[]>();
      for (const file of this.#view.files) {
        const tier = Math.floor(Math.log(Math.max(1, file.count / 1024)) / Math.log(fanIn));
        tiers.set(tier, [...(tiers.get(tier) ?? []), file]);
      }
      const due = [...tiers.values()].find((files) => files.length >= fanIn);
      if (due === undefined) return;
      const name = this.#nextName();
      await writeIndexFile(this.#folder, name, mergeRecords(due));
      await this.#replace(due, name);
    }
  }

  async #replace(old: readonly IndexFile[], name: string | undefined): Promise<void> {
    const staying = this.#view.files.filter((file) => !old.includes(file));
    const added = name === undefined ? [] : [name];
    const list = { files: [...staying.map((file) => file.name), ...added], nextFile: this.#list.nextFile };
    await this.#folder.write(listPath, JSON.stringify(list));
    this.#list = list;
    const before = this.#view;
    this.#view = this.#use([...staying, ...added.map((each) => IndexFile.open(this.#folder, each))]);
    this.release(before);
    await this.#folder.remove(...old.map((file) => `index/${file.name}`));
  }

  #use(files: readonly IndexFile[]): IndexView {
    for (const file of files) this.#uses.set(file, (this.#uses.get(file) ?? 0) + 1);
    return new IndexView(files);
  }

  #nextName(): string {
    const { nextFile, files } = this.#list;
    this.#list = { files, nextFile: nextFile + 1 };
    return `${nextFile.toString(16).padStart(8, "0")}.idx`;
  }

  #alone<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#changes.then(run, run);
    this.#changes = result.catch(() => {});
    return result;
  }
}

/** Which blobs of a view were met: one bit for each record. */
export class Marks {
  readonly #bits = new Map<IndexFile, Uint8Array>();

  /** Marks a blob. Returns whether it was not marked before. */
  add(place: { readonly file: IndexFile; readonly ordinal: number }): boolean {
    const bits = this.#bits.get(place.file) ?? new Uint8Array((place.file.count + 7) >> 3);
    this.#bits.set(place.file, bits);
    const mask = 1 << (place.ordinal & 7);
    const before = bits[place.ordinal >> 3] ?? 0;
    bits[place.ordinal >> 3] = before | mask;
    return (before & mask) === 0;
  }

  has(file: IndexFile, ordinal: number): boolean {
    return ((this.#bits.get(file)?.[ordinal >> 3] ?? 0) & (1 << (ordinal & 7))) !== 0;
  }
}

/** The key of a place, to compare places by. */
export function samePlace(a: BlobPlace, b: BlobPlace): boolean {
  return a.pack === b.pack && a.offset === b.offset;
}
