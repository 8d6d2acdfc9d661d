/** `MALFORMED`: bytes from outside are no capture file that can be read. */
export type PcapErrorCode = "MALFORMED";

/** The only error that this package throws on purpose. Test `code`, not the text. */
export class PcapError extends Error {
  override readonly name = "PcapError";
  readonly code: PcapErrorCode;

  constructor(code: PcapErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
