import { type BlobHash, type BlobKind, encodeBlob, hashOf } from "./blob.ts";
import type { BlobIndex } from "./blob-index.ts";
import type { IndexRecord } from "./index-file.ts";
import type { NewPack, Packs } from "./packs.ts";

/** What became of a blob. */
export interface StoredBlob {
  readonly hash: BlobHash;
  /** What it took. 0 for one that was there. */
  readonly storedBytes: number;
}

/** A pack is closed once it has this many bytes. */
const packBytes = 16 * 1024 * 1024;

/**
 * Puts blobs into packs of its own, those that the index does not have yet. What was put counts once `flush` has resolved; what was not flushed when a
 * process is killed is in nobody's way, and goes with the next prune.
 */
export class BlobWriter {
  readonly #index: BlobIndex;
  readonly #packs: Packs;
  /** Blobs that are in packs, or on their way there, and not in the index yet. */
  readonly #pending = new Map<string, IndexRecord | undefined>();
  #pack: NewPack | undefined;
  #appends: Promise<unknown> = Promise.resolve();
  #unflushedBytes = 0;

  constructor(index: BlobIndex, packs: Packs) {
    this.#index = index;
    this.#packs = packs;
  }

  /** What has been stored since the last flush. */
  get unflushedBytes(): number {
    return this.#unflushedBytes;
  }

  get unflushedBlobs(): number {
    return this.#pending.size;
  }

  /** Stores a blob unless it is there. Several calls can run at once. */
  async put(kind: BlobKind, content: Buffer, hash: BlobHash = hashOf(content)): Promise<StoredBlob> {
    const key = hash.toString("latin1");
    if (this.#pending.has(key) || this.#index.find(hash) !== undefined) return { hash, storedBytes: 0 };
    this.#pending.set(key, undefined);
    const blob = encodeBlob(kind, hash, content);
    await this.#append(key, kind, hash, blob);
    return { hash, storedBytes: blob.length };
  }

  /** Stores a blob as it is in another pack, also when the index has it. */
  async putEncoded(kind: BlobKind, hash: BlobHash, blob: Buffer): Promise<void> {
    await this.#append(hash.toString("latin1"), kind, hash, blob);
  }

  /** Makes what was put durable and known. No `put` may be under way. For `merge` see the index. */
  async flush(options: { readonly merge?: boolean } = {}): Promise<void> {
    await this.#appends;
    await this.#closePack();
    await this.#index.add(
      [...this.#pending.values()].filter((record) => record !== undefined),
      options,
    );
    this.#pending.clear();
    this.#unflushedBytes = 0;
  }

  /** Forgets what was not flushed. */
  async abandon(): Promise<void> {
    await this.#appends.catch(() => {});
    await this.#pack?.abandon();
    this.#pack = undefined;
    this.#pending.clear();
  }

  #append(key: string, kind: BlobKind, hash: BlobHash, blob: Buffer): Promise<void> {
    const appended = this.#appends.then(async () => {
      this.#pack ??= await this.#packs.create();
      const place = await this.#pack.append(blob);
      this.#pending.set(key, { hash: Buffer.from(hash), kind, ...place });
      this.#unflushedBytes += blob.length;
      if (this.#pack.sizeBytes >= packBytes) await this.#closePack();
    });
    this.#appends = appended;
    // Whoever put it is told; the chain itself is awaited by `flush`.
    appended.catch(() => {});
    return appended;
  }

  async #closePack(): Promise<void> {
    const pack = this.#pack;
    if (pack === undefined) return;
    this.#pack = undefined;
    try {
      await pack.commit();
    } finally {
      await pack.abandon();
    }
  }
}
