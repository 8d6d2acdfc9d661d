import { reservedPorts } from "../flow/action.ts";
import { malformed, mustHave } from "../wire/malformed.ts";
import { numbers32 } from "../wire/octets.ts";
import { multipartRequest, multipartType } from "./multipart.ts";

/** A port as the switch describes it (OpenFlow 1.3.5, 7.2.1). */
export interface Port {
  /** OpenFlow's number of it; Open vSwitch's `ofport`. */
  readonly number: number;
  /** Cut by the switch to 15 octets. */
  readonly name: string;
  readonly mac: string;
  /** Whether somebody has taken it down (`OFPPC_PORT_DOWN`). */
  readonly isDisabled: boolean;
  /** Whether there is a link (not `OFPPS_LINK_DOWN`). */
  readonly hasLink: boolean;
  /** In kilobits per second; 0 where it is not known. */
  readonly currentSpeed: number;
}

/** A port came, went, or changed (OpenFlow 1.3.5, 7.4.3). */
export interface PortStatus {
  readonly reason: "added" | "deleted" | "modified";
  /** As it is now; of a deleted one as it was. */
  readonly port: Port;
}

/** What a port counted. */
export interface PortStats {
  readonly port: number;
  readonly framesIn: bigint;
  readonly framesOut: bigint;
  readonly octetsIn: bigint;
  readonly octetsOut: bigint;
}

const portLength = 64;
const statsLength = 112;
const nameAt = 16;
const nameLength = 16;
const reasons = ["added", "deleted", "modified"] as const;

/** Asks what ports there are. */
export function portsRequest(): Buffer {
  return multipartRequest(multipartType.portDescription);
}

/**
 * Ports of one message (OpenFlow 1.3.5, 7.3.5.7).
 *
 * @throws `OPENFLOW_PROTOCOL`
 */
export function parsePorts(body: Buffer): readonly Port[] {
  return rows(body, portLength, "ports").map((at) => portAt(body, at));
}

/** @throws `OPENFLOW_PROTOCOL` */
export function parsePortStatus(body: Buffer): PortStatus {
  mustHave(body, 8 + portLength, "a port's status");
  const reason = reasons[body.readUInt8(0)];
  if (reason === undefined) throw malformed(`a port's status for reason ${body.readUInt8(0)}`);
  return { reason, port: portAt(body, 8) };
}

/** Asks for the counters of all ports. */
export function portStatsRequest(): Buffer {
  return multipartRequest(multipartType.portStats, numbers32(reservedPorts.any, 0));
}

/**
 * Counters of ports of one message (OpenFlow 1.3.5, 7.3.5.6).
 *
 * @throws `OPENFLOW_PROTOCOL`
 */
export function parsePortStats(body: Buffer): readonly PortStats[] {
  return rows(body, statsLength, "counters of ports").map((at) => ({
    port: body.readUInt32BE(at),
    framesIn: body.readBigUInt64BE(at + 8),
    framesOut: body.readBigUInt64BE(at + 16),
    octetsIn: body.readBigUInt64BE(at + 24),
    octetsOut: body.readBigUInt64BE(at + 32),
  }));
}

function portAt(body: Buffer, at: number): Port {
  const name = body.subarray(at + nameAt, at + nameAt + nameLength);
  const end = name.indexOf(0);
  return {
    number: body.readUInt32BE(at),
    name: name.toString("utf8", 0, end === -1 ? nameLength : end),
    mac: (body.toString("hex", at + 8, at + 14).match(/../g) ?? []).join(":"),
    isDisabled: (body.readUInt32BE(at + 32) & 1) === 1,
    hasLink: (body.readUInt32BE(at + 36) & 1) === 0,
    currentSpeed: body.readUInt32BE(at + 56),
  };
}

/** Where each of the rows of equal length begins. */
function rows(body: Buffer, length: number, what: string): readonly number[] {
  if (body.length % length !== 0) throw malformed(`${what} with ${body.length} octets`);
  return Array.from({ length: body.length / length }, (_, index) => index * length);
}
