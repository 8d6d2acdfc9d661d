/**
 * The data path of an attached volume, as its owner on the host has it. Each call asks the pool whether the owner is still the one, so
 * that one which was revoked or replaced is refused with `FAILED_PRECONDITION`, reason `VDC_FENCED`.
 */
export interface SimulatedBlockDevice {
  readonly capacityBytes: number;
  readonly readOnly: boolean;
  /** `OUT_OF_RANGE` beyond the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** `PERMISSION_DENIED` when the attachment is for reading, `OUT_OF_RANGE` beyond the end. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Makes a range read as zeroes, and gives its space back. */
  discard(offset: number, length: number): Promise<void>;
  /** Does nothing: what was written is there. */
  flush(): Promise<void>;
  close(): Promise<void>;
}
