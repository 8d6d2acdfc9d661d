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

/**
 * The disk behind an export. It is structural: an image of another package fits without importing this one.
 *
 * The server checks every range against `sizeBytes` first and calls `write`, `trim` and `writeZeroes` only where `readOnly` is not
 * true. It may call while an earlier promise is unsettled; overlapping writes are then the backend's to order. What a method throws or
 * rejects with is answered as the NBD error of the same name as its `errno` or `code` (`ENOSPC`, `EPERM`, ...), else as `EIO`.
 */
export interface BlockBackend {
  /** The size of the disk, constant while it is exported; a safe integer. */
  readonly sizeBytes: number;
  /** Defaults to false. */
  readonly readOnly?: boolean;
  /**
   * True when `flush` covers the writes of every connection, so that a client may spread its requests over several. Defaults to false.
   */
  readonly sharedFlush?: boolean;
  /** Fills the whole of `target` from `offset`. A backend that cannot must fail: what it leaves unfilled is sent as it is. */
  read(target: Buffer, offset: number): BlockResult;
  /** Writes the whole of `source` at `offset`. `source` may be kept until the answer, not longer. */
  write(source: Buffer, offset: number): BlockResult;
  /** Answers once all writes answered before are on stable storage. */
  flush(): BlockResult;
  /** Gives up the contents of a range. Absent: trim is not offered. */
  trim?(offset: number, length: number): BlockResult;
  /** Makes a range read as zeroes. With `noHole` it must stay allocated. Absent: write zeroes is not offered. */
  writeZeroes?(offset: number, length: number, options: { readonly noHole: boolean }): BlockResult;
  /** Reads a range ahead. Absent: cache is not offered. */
  cache?(offset: number, length: number): BlockResult;
  /**
   * The extents from `offset` on, in order and without gaps. They may end before `offset + length`, and what lies beyond is cut off.
   * Absent: `base:allocation` is not offered.
   */
  extents?(offset: number, length: number): Iterable<BlockExtent> | PromiseLike<Iterable<BlockExtent>>;
}

/** True for what must be awaited. */
export function isPending<T>(result: T | PromiseLike<T>): result is PromiseLike<T> {
  return (
    typeof result === "object" && result !== null && typeof (result as Partial<PromiseLike<T>>).then === "function"
  );
}
