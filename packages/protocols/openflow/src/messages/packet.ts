import { reservedPorts } from "../flow/action.ts";
import { decodeMatch, type Match, matchExtent } from "../flow/match.ts";
import { mustHave } from "../wire/malformed.ts";
import { encodeMessage, inRange, messageType } from "../wire/message.ts";
import { numbers16, numbers32 } from "../wire/octets.ts";

/** A frame that a flow sent to the controller (OpenFlow 1.3.5, 7.4.1). */
export interface PacketIn {
  /** Of the flow that sent it. */
  readonly table: number;
  readonly cookie: bigint;
  /** Of the whole frame, in octets; `data` may have fewer. */
  readonly originalLength: number;
  /** What the switch knew of the frame beside its octets: the port that it came in by, and registers that are not 0. */
  readonly match: Match;
  readonly data: Buffer;
}

const noBuffer = 0xffff_ffff;
const matchAt = 16;

/**
 * Lets a frame leave by a port, whatever flows say (OpenFlow 1.3.5, 7.3.7).
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT`
 */
export function packetOut(port: number, frame: Buffer): Buffer {
  return inRange("a frame's port", () => {
    const action = Buffer.concat([numbers16(0, 16), numbers32(port), Buffer.alloc(8)]);
    const fixed = [numbers32(noBuffer, reservedPorts.controller), numbers16(action.length), Buffer.alloc(6)];
    return encodeMessage(messageType.packetOut, ...fixed, action, frame);
  });
}

/**
 * A frame for the controller.
 *
 * @throws `OPENFLOW_PROTOCOL`
 */
export function parsePacketIn(body: Buffer): PacketIn {
  mustHave(body, matchAt, "a frame for the controller");
  const { end } = matchExtent(body, matchAt);
  // Two octets of padding, so that what follows the frame's Ethernet header is aligned.
  mustHave(body, end + 2, "a frame for the controller");
  return {
    table: body.readUInt8(7),
    cookie: body.readBigUInt64BE(8),
    originalLength: body.readUInt16BE(4),
    match: decodeMatch(body.subarray(matchAt, end)),
    data: Buffer.from(body.subarray(end + 2)),
  };
}
