import { LENGTH_PREFIX_BYTES, recordOf } from "./ethernet-frame.ts";
import type { FrameInFlight } from "./frame-in-flight.ts";
import type { PacketFields } from "./packet-fields.ts";

/** Gives the frame bytes of its own, which may be changed. */
function makeOwn(frame: FrameInFlight): Buffer {
  const record = recordOf(frame.buffer.subarray(frame.start, frame.end));
  frame.replace(record, LENGTH_PREFIX_BYTES, record.length);
  return record;
}

/** Sets the 802.1p priority: of the tag that the frame carries, and of one that it gets later. */
export function setPriority(frame: FrameInFlight, priority: number): void {
  if (frame.tagFlags >>> 1 === priority) return;
  // Whether it may be dropped first stays as it is.
  frame.tagFlags = (priority << 1) | (frame.tagFlags & 1);
  if (!frame.tagged) {
    frame.replace(frame.buffer, frame.start, frame.end);
    return;
  }
  const record = makeOwn(frame);
  const at = LENGTH_PREFIX_BYTES + 14;
  record.writeUInt16BE((record.readUInt16BE(at) & 0x1fff) | (priority << 13), at);
}

/**
 * Sets the DSCP of an IP packet (RFC 2474): IPv4's with its checksum brought up to date (RFC 1624), IPv6's traffic class. The two ECN bits
 * stay. `fields` were read from this frame; other frames than IP packets stay as they are.
 */
export function setDscp(frame: FrameInFlight, fields: PacketFields, dscp: number): void {
  if (fields.version === 0) return;
  const offset = fields.ipOffset - frame.start;
  const before = frame.buffer.readUInt16BE(fields.ipOffset);
  const after = fields.version === 4 ? (before & 0xff03) | (dscp << 2) : (before & 0xf03f) | (dscp << 6);
  if (before === after) return;
  const record = makeOwn(frame);
  fields.ipOffset = LENGTH_PREFIX_BYTES + offset;
  record.writeUInt16BE(after, fields.ipOffset);
  if (fields.version !== 4) return;
  const at = fields.ipOffset + 10;
  let sum = (~record.readUInt16BE(at) & 0xffff) + (~before & 0xffff) + after;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  record.writeUInt16BE(~sum & 0xffff, at);
}
