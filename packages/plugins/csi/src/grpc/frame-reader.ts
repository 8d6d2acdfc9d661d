import { defaultMaxMessageBytes, frameHeaderBytes } from "./method.ts";

/** Why a body is not one message. */
export class FrameError extends Error {
  override readonly name = "FrameError";
  /** `tooLarge`: more bytes than allowed. `compressed`: with an encoding that nobody offered. `malformed`: anything else. */
  readonly kind: "tooLarge" | "compressed" | "malformed";

  constructor(kind: FrameError["kind"], text: string) {
    super(text);
    this.kind = kind;
  }
}

/** Collects the one message of a unary call's body. Holds no more than the limit, whatever the peer announces or sends. */
export class FrameReader {
  readonly #limit: number;
  readonly #chunks: Buffer[] = [];
  #received = 0;
  #length: number | undefined;

  constructor(limit: number = defaultMaxMessageBytes) {
    this.#limit = limit;
  }

  /** Takes a piece of the body. Throws {@link FrameError} as soon as it can't be right. */
  push(chunk: Buffer): void {
    this.#received += chunk.length;
    this.#chunks.push(chunk);
    if (this.#received > this.#limit + frameHeaderBytes) this.#refuse(this.#received - frameHeaderBytes);
    if (this.#received < frameHeaderBytes) return;
    this.#length ??= this.#readHeader();
    if (this.#received > this.#length + frameHeaderBytes) {
      throw new FrameError("malformed", "there is more than one message, or bytes behind it");
    }
  }

  /** The message, once the body has ended; `undefined` when the body is empty. */
  end(): Uint8Array | undefined {
    if (this.#received === 0) return undefined;
    const body = Buffer.concat(this.#chunks);
    if (body.length < frameHeaderBytes || body.readUInt32BE(1) !== body.length - frameHeaderBytes) {
      throw new FrameError("malformed", "the message ends too early");
    }
    return body.subarray(frameHeaderBytes);
  }

  #readHeader(): number {
    const header = Buffer.concat(this.#chunks);
    if (header[0] !== 0) throw new FrameError("compressed", "the message is compressed, which was not offered");
    const length = header.readUInt32BE(1);
    if (length > this.#limit) this.#refuse(length);
    return length;
  }

  #refuse(length: number): never {
    throw new FrameError("tooLarge", `a message of ${length} bytes is more than the ${this.#limit} that are allowed`);
  }
}
