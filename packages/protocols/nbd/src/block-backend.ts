/**
 * What a backend's method answers: nothing when it is done already, or a promise that settles when it is. Answering without a promise
 * is the fast path: then a request costs none either.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a method that returns nothing must fit.
export type BlockResult = void | PromiseLike<unknown>;

/**
 * A run of bytes in one state: `data` may hold anything; `zero` certainly reads as zeroes; a `hole` does too, and has no storage
 * allocated, so that writing to it may fail with `ENOSPC`.
 */
export interface BlockExtent {
  /** In bytes. */
  readonly length: number;
  readonly kind: "data" | "zero" | "hole";
}

/** A run of bytes that changed since a bitmap began (`dirty`), or certainly did not. */
export interface DirtyExtent {
  /** In bytes. */
  readonly length: number;
  readonly dirty: boolean;
}

/** A bitmap of changed blocks. Clients ask for it as the metadata context `qemu:dirty-bitmap:NAME`. */
export interface DirtyBitmap {
  /** Without the context's prefix; at most 1023 bytes of UTF-8. */
  readonly name: string;
  /** The extents from `offset` on, in order and without gaps. They may end early, as those of `BlockBackend.extents`. */
  extents(offset: number, length: number): Iterable<DirtyExtent> | PromiseLike<Iterable<DirtyExtent>>;
}

/** How a range is made to read as zeroes. */
export interface BlockZeroOptions {
  /** The range must stay allocated. */
  readonly noHole: boolean;
  /** Fail with `ENOTSUP`, having done nothing, where this takes as long as writing zeroes. Only set where `fastZeroes` is true. */
  readonly fast: boolean;
}

/**
 * The disk behind an export. It is structural: an image of another package fits without importing this one.
 *
 * The server checks every range against `sizeBytes` first and calls `write`, `trim` and `writeZeroes` only where `readOnly` is not
 * true. It may call while an earlier promise is unsettled; overlapping writes are then the backend's to order. What a method throws or
 * rejects with is answered as the NBD error of the same name as its `errno` or `code` (`ENOSPC`, `EPERM`, ...), else as `EIO`.
 */
export interface BlockBackend {
  /**
   * The size of the disk, a safe integer. It may change while the disk is exported: whoever connects from then on is told the new size,
   * and every connection may use it. The protocol has no message for the others; they learn of it when they connect again.
   */
  readonly sizeBytes: number;
  /** Defaults to false. */
  readonly readOnly?: boolean;
  /**
   * True when `flush` covers the writes of every connection, so that a client may spread its requests over several. Defaults to false.
   */
  readonly sharedFlush?: boolean;
  /**
   * True when `extents` answers at once and costs little beside a read of 64 KiB. Reads from that size on are then answered without
   * the zeroes, to clients that understand that. Defaults to false.
   */
  readonly sparseReads?: boolean;
  /** True when `writeZeroes` heeds `fast`. Defaults to false. */
  readonly fastZeroes?: boolean;
  /** Fills the whole of `target` from `offset`. A backend that cannot must fail: what it leaves unfilled is sent as it is. */
  read(target: Buffer, offset: number): BlockResult;
  /** Writes the whole of `source` at `offset`. `source` may be kept until the answer, not longer. */
  write(source: Buffer, offset: number): BlockResult;
  /** Answers once all writes answered before are on stable storage. */
  flush(): BlockResult;
  /** Gives up the contents of a range. Absent: trim is not offered. */
  trim?(offset: number, length: number): BlockResult;
  /** Makes a range read as zeroes. Absent: write zeroes is not offered. */
  writeZeroes?(offset: number, length: number, options: BlockZeroOptions): BlockResult;
  /**
   * Changes `sizeBytes`, which is the new size once this has answered; what is added reads as zeroes. Only called where the export was told
   * `allowResize`; a size that it does not take, such as a smaller one, it refuses with `EINVAL` or `ENOSPC`. Absent: resize is not offered.
   */
  resize?(sizeBytes: number): BlockResult;
  /** Reads a range ahead. Absent: cache is not offered. */
  cache?(offset: number, length: number): BlockResult;
  /**
   * The extents from `offset` on, in order and without gaps. They may end before `offset + length`, and what lies beyond is cut off.
   * Absent: `base:allocation` is not offered.
   */
  extents?(offset: number, length: number): Iterable<BlockExtent> | PromiseLike<Iterable<BlockExtent>>;
  /** The bitmaps that there are now. A client that selects one keeps it until it leaves. Absent: none are offered. */
  bitmaps?(): Iterable<DirtyBitmap>;
}

/** True for what must be awaited. */
export function isPending<T>(result: T | PromiseLike<T>): result is PromiseLike<T> {
  return (
    typeof result === "object" && result !== null && typeof (result as Partial<PromiseLike<T>>).then === "function"
  );
}
