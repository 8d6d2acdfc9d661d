import { encodeMessage, inRange, messageType } from "../wire/message.ts";
import { numbers32 } from "../wire/octets.ts";

const master = 2;

/**
 * Asks to be the one connection that may change anything (OpenFlow 1.3.5, 7.3.9). Whoever asked with a lower number may not any more.
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT`
 */
export function masterRequest(generation: bigint): Buffer {
  return inRange("a generation", () => {
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(generation);
    return encodeMessage(messageType.roleRequest, numbers32(master, 0), number);
  });
}
