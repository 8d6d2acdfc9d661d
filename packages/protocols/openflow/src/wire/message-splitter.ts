import { malformed } from "./malformed.ts";
import { headerLength, type Message, messageType, version } from "./message.ts";

/**
 * Cuts a stream into messages. What it keeps is less than one message, 64 KiB, and what it does is linear in what it gets, however that is cut.
 */
export class MessageSplitter {
  readonly #chunks: Buffer[] = [];
  #length = 0;
  /** How much there must be before another message can be whole. */
  #needed = headerLength;

  /** @throws `OPENFLOW_PROTOCOL` */
  push(chunk: Buffer): readonly Message[] {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#needed) return [];
    const all = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#length);
    const messages: Message[] = [];
    let at = 0;
    this.#needed = headerLength;
    while (all.length - at >= headerLength) {
      const length = lengthAt(all, at);
      if (all.length - at < length) {
        this.#needed = length;
        break;
      }
      const body = all.subarray(at + headerLength, at + length);
      messages.push({ version: all.readUInt8(at), type: all.readUInt8(at + 1), xid: all.readUInt32BE(at + 4), body });
      at += length;
    }
    // A copy, so that a rest does not hold all that it came with.
    const rest = at === 0 ? all : Buffer.from(all.subarray(at));
    this.#chunks.splice(0, Number.POSITIVE_INFINITY, ...(rest.length === 0 ? [] : [rest]));
    this.#length = rest.length;
    return messages;
  }
}

/** The length of the message whose header begins here. */
function lengthAt(all: Buffer, at: number): number {
  const spoken = all.readUInt8(at);
  const type = all.readUInt8(at + 1);
  const length = all.readUInt16BE(at + 2);
  if (length < headerLength) throw malformed(`a message of ${length} octets`);
  // A hello, and an error that answers it, can be of any version.
  if (spoken !== version && type !== messageType.hello && type !== messageType.error) {
    throw malformed(`a message of version ${spoken}, and ${version} was agreed on`);
  }
  return length;
}
