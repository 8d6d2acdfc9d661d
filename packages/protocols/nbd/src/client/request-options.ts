/** Options of every request of a client. */
export interface NbdRequestOptions {
  /** Gives up waiting with `NBD_ABORTED`. A change may still take effect. */
  readonly signal?: AbortSignal;
}

/** Options of a request that changes something. */
export interface NbdWriteOptions extends NbdRequestOptions {
  /** Answers only once the data is on stable storage. Defaults to false. */
  readonly fua?: boolean;
}

/** Options of a request that writes zeroes. */
export interface NbdWriteZeroesOptions extends NbdWriteOptions {
  /** Keeps the range allocated. Defaults to false. */
  readonly noHole?: boolean;
  /** Fails with the errno `ENOTSUP` where this is no faster than writing. Defaults to false. */
  readonly fast?: boolean;
}
