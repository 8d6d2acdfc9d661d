import { matchExtent } from "../flow/match.ts";
import { malformed, mustHave } from "../wire/malformed.ts";
import { encodeQuery, type FlowQuery, type InstalledFlow } from "./flow-mod.ts";
import { multipartRequest, multipartType } from "./multipart.ts";

/** A flow as the switch has it. */
export interface FlowStats extends InstalledFlow {
  readonly frames: bigint;
  readonly octets: bigint;
  /** As it is sent, with its padding: `decodeMatch` reads it. */
  readonly match: Buffer;
}

/** What flows have together. */
export interface AggregateStats {
  readonly frames: bigint;
  readonly octets: bigint;
  readonly flows: number;
}

const fixedLength = 48;
const shortest = fixedLength + 8;

/** Asks for flows and their counters (OpenFlow 1.3.5, 7.3.5.2). */
export function flowStatsRequest(query: FlowQuery): Buffer {
  return multipartRequest(multipartType.flow, encodeQuery(query));
}

/**
 * Flows of one message (OpenFlow 1.3.5, 7.3.5.2).
 *
 * @throws `OPENFLOW_PROTOCOL`
 */
export function parseFlowStats(body: Buffer): readonly FlowStats[] {
  const found: FlowStats[] = [];
  for (let at = 0; at < body.length; ) {
    mustHave(body, at + shortest, "a flow");
    const length = body.readUInt16BE(at);
    if (length < shortest || length > body.length - at) throw malformed(`a flow of ${length} octets`);
    const { end } = matchExtent(body.subarray(0, at + length), at + fixedLength);
    found.push({
      table: body.readUInt8(at + 2),
      priority: body.readUInt16BE(at + 12),
      cookie: body.readBigUInt64BE(at + 24),
      frames: body.readBigUInt64BE(at + 32),
      octets: body.readBigUInt64BE(at + 40),
      match: Buffer.from(body.subarray(at + fixedLength, end)),
    });
    at += length;
  }
  return found;
}

/** Asks what flows have together (OpenFlow 1.3.5, 7.3.5.3). */
export function aggregateRequest(query: FlowQuery): Buffer {
  return multipartRequest(multipartType.aggregate, encodeQuery(query));
}

/**
 * What flows have together (OpenFlow 1.3.5, 7.3.5.3).
 *
 * @throws `OPENFLOW_PROTOCOL`
 */
export function parseAggregate(body: Buffer): AggregateStats {
  mustHave(body, 24, "an aggregate");
  return { frames: body.readBigUInt64BE(0), octets: body.readBigUInt64BE(8), flows: body.readUInt32BE(16) };
}
