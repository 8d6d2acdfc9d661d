import { mustHave } from "../wire/malformed.ts";
import { encodeMessage, messageType } from "../wire/message.ts";
import { numbers16 } from "../wire/octets.ts";

/** What a multipart message is about (OpenFlow 1.3.5, 7.3.5). */
export const multipartType = { flow: 1, aggregate: 2, portStats: 4, meter: 9, portDescription: 13 } as const;

/** One message of an answer. */
export interface MultipartReply {
  readonly type: number;
  /** Whether another message follows. */
  readonly more: boolean;
  readonly body: Buffer;
}

/** A question whose answer may come in several messages. */
export function multipartRequest(type: number, ...parts: readonly Buffer[]): Buffer {
  return encodeMessage(messageType.multipartRequest, numbers16(type, 0), Buffer.alloc(4), ...parts);
}

/** @throws `OPENFLOW_PROTOCOL` */
export function parseMultipart(body: Buffer): MultipartReply {
  mustHave(body, 8, "a multipart reply");
  return { type: body.readUInt16BE(0), more: (body.readUInt16BE(2) & 1) === 1, body: body.subarray(8) };
}
