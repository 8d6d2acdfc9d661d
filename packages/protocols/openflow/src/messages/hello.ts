import { padding } from "../wire/octets.ts";
import { encodeMessage, messageType, version } from "../wire/message.ts";

/** A hello that lists 1.3 alone, with a version bitmap (OpenFlow 1.3.5, 7.5.1). */
export function hello(): Buffer {
  return encodeMessage(messageType.hello, Buffer.from([0, 1, 0, 8, 0, 0, 0, 1 << version]));
}

/** Whether a hello's sender speaks our version (OpenFlow 1.3.5, 6.3.1). `spoken` is the version of its header. */
export function speaksOurVersion(spoken: number, body: Buffer): boolean {
  for (let at = 0; body.length - at >= 4; ) {
    const type = body.readUInt16BE(at);
    const length = body.readUInt16BE(at + 2);
    if (length < 4 || length > body.length - at) break;
    if (type === 1 && length >= 8) return ((body.readUInt32BE(at + 4) >>> version) & 1) === 1;
    at += length + padding(length);
  }
  return spoken >= version;
}
