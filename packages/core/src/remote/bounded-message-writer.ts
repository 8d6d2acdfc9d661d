import type { Writable } from "node:stream";
import { AbstractMessageWriter, type Message, type MessageWriter } from "vscode-jsonrpc/node";
import { VdcError } from "../error/vdc-error.ts";
import { toResponseError } from "./wire-error.ts";

const written = Promise.resolve();

/**
 * Writes Content-Length framed JSON-RPC messages: one `JSON.stringify` and one write for each.
 *
 * A message that cannot be written (too long, not JSON) is refused alone: {@link takeRefusal} tells why, and the connection goes on.
 * A peer that lets more than `maxBufferedBytes` pile up is given up: `onOverflow`.
 */
export class BoundedMessageWriter extends AbstractMessageWriter implements MessageWriter {
  readonly #stream: Writable;
  readonly #maxMessageBytes: number;
  readonly #maxBufferedBytes: number;
  readonly #onOverflow: (error: VdcError) => void;
  #refusal: VdcError | undefined;

  constructor(
    stream: Writable,
    options: {
      readonly maxMessageBytes: number;
      readonly maxBufferedBytes: number;
      readonly onOverflow: (error: VdcError) => void;
    },
  ) {
    super();
    this.#stream = stream;
    this.#maxMessageBytes = options.maxMessageBytes;
    this.#maxBufferedBytes = options.maxBufferedBytes;
    this.#onOverflow = options.onOverflow;
  }

  /** Bytes that the peer has not taken yet. */
  get bufferedBytes(): number {
    return this.#stream.writableLength;
  }

  write(message: Message): Promise<void> {
    try {
      this.#write(message);
      return written;
    } catch (error) {
      return Promise.reject(toResponseError(error));
    }
  }

  /** Why the last message was refused, once. Read it right after the send: the writer works synchronously. */
  takeRefusal(): VdcError | undefined {
    const refusal = this.#refusal;
    this.#refusal = undefined;
    return refusal;
  }

  end(): void {
    this.#stream.end();
  }

  #write(message: Message): void {
    if (!this.#stream.writable) throw this.#refuse(new VdcError("UNAVAILABLE", "the connection is closed"));
    let text: string;
    try {
      text = JSON.stringify(message);
    } catch (cause) {
      throw this.#refuse(new VdcError("INTERNAL", "a value cannot be written as JSON", { cause }));
    }
    const length = Buffer.byteLength(text);
    if (length > this.#maxMessageBytes) {
      const facts = { bytes: length, limit: this.#maxMessageBytes };
      throw this.#refuse(
        new VdcError(
          "RESOURCE_EXHAUSTED",
          `a message of ${length} bytes is longer than the limit of ${this.#maxMessageBytes}: page or stream it`,
          { reason: "VDC_MESSAGE_TOO_LONG", details: facts, retryable: false },
        ),
      );
    }
    this.#stream.write(`Content-Length: ${length}\r\n\r\n${text}`);
    if (this.#stream.writableLength > this.#maxBufferedBytes) {
      this.#onOverflow(
        new VdcError(
          "UNAVAILABLE",
          `the connection was closed because ${this.#stream.writableLength} bytes waited for a peer that does not read`,
          {
            reason: "VDC_PEER_DOES_NOT_READ",
          },
        ),
      );
    }
  }

  #refuse(error: VdcError): VdcError {
    this.#refusal = error;
    return error;
  }
}
