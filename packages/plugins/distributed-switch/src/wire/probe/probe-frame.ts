import { createHash } from "node:crypto";
import type { MacAddress } from "../../dataplane/mac-address.ts";
import { ethernetFrame } from "../packet/packet-builder.ts";
import { ETHERTYPE_VLAN } from "../packet/packet-headers.ts";
import { WireError } from "../wire-error.ts";

/** IEEE 802's local experimental EtherType 1 (IEEE 802-2014 9.2.4). */
export const ETHERTYPE_PROBE = 0x88b5;
/** The smallest and the largest frame that a probe can be, its tag not counted. */
export const MIN_PROBE_BYTES = 60;
export const MAX_PROBE_BYTES: number = 9216 + 14;
/** The octets of a nonce. */
export const NONCE_BYTES = 16;
const MAX_NAME_BYTES = 64;

/** A question from one member to another, or its answer. */
export interface Probe {
  readonly kind: "request" | "reply";
  /** Host members by name, up to 64 octets. */
  readonly from: string;
  readonly to: string;
  /** The VLAN that it is sent in; 0 for none. */
  readonly vlan: number;
  /** Octets of the whole frame, its tag not counted. The answer has as many. */
  readonly frameBytes: number;
  readonly sequence: number;
  /** {@link NONCE_BYTES} by chance, of the run: whoever didn't hear the question can't answer it. */
  readonly nonce: Uint8Array;
}

const MAGIC = 0x5644_4350;
const VERSION = 1;
const FIXED_BYTES = 28;

/** The address that a member probes from: locally administered, and a function of its name, so that nobody needs to be told. */
export function probeMac(member: string): MacAddress {
  return 0x0200_0000_0000 + createHash("sha256").update(`vdc-probe ${member}`).digest().readUIntBE(0, 5);
}

/**
 * The frame of a probe: magic, version, kind, VLAN, length, sequence, nonce, both names, then a pattern. Untagged unless `tagged`. Throws
 * `INVALID_ARGUMENT` for a name, length or VLAN that it can't have.
 */
export function encodeProbe(probe: Probe, { tagged = false }: { readonly tagged?: boolean } = {}): Buffer {
  const { from, to, vlan, frameBytes, sequence, nonce } = probe;
  const names = [from, to].map((name) => Buffer.from(name));
  if (names.some(({ length }) => length === 0 || length > MAX_NAME_BYTES)) {
    throw invalid(`the members '${from}' and '${to}' by names of 1 to ${MAX_NAME_BYTES} octets`);
  }
  if (!(vlan >= 0 && vlan <= 4094) || nonce.length !== NONCE_BYTES) throw invalid(`the VLAN '${vlan}'`);
  const used = FIXED_BYTES + names.reduce((sum, { length }) => sum + 1 + length, 0);
  if (!(frameBytes >= leastProbeBytes(probe) && frameBytes <= MAX_PROBE_BYTES)) throw invalid(`${frameBytes} octets`);
  const payload = Buffer.alloc(frameBytes - 14, 0x5a);
  payload.writeUInt32BE(MAGIC, 0);
  payload.writeUInt8(VERSION, 4);
  payload.writeUInt8(probe.kind === "request" ? 1 : 2, 5);
  payload.writeUInt16BE(vlan, 6);
  payload.writeUInt16BE(frameBytes, 8);
  payload.writeUInt16BE(sequence & 0xffff, 10);
  payload.set(nonce, 12);
  payload.set(Buffer.concat(names.flatMap((name) => [Buffer.from([name.length]), name])), FIXED_BYTES);
  payload.fill(0x5a, used);
  const macs = { sourceMac: probeMac(from), destinationMac: probeMac(to) };
  return ethernetFrame(ETHERTYPE_PROBE, payload, { ...macs, tag: tagged ? vlan : undefined });
}

/** The least octets of a frame that holds a probe between these members. */
export function leastProbeBytes({ from, to }: Pick<Probe, "from" | "to">): number {
  return Math.max(MIN_PROBE_BYTES, 14 + FIXED_BYTES + 2 + Buffer.byteLength(from) + Buffer.byteLength(to));
}

/** Whether a frame is a probe, tagged or not. */
export function isProbe(frame: Buffer): boolean {
  return probeOffset(frame) !== undefined;
}

/**
 * Reads a probe. Throws `MALFORMED` when it isn't one, also when its length isn't what it says: it was cut on its way.
 */
export function decodeProbe(frame: Buffer): Probe {
  const at = probeOffset(frame);
  if (at === undefined) throw malformed("another EtherType");
  const payload = frame.subarray(at);
  if (payload.length < FIXED_BYTES + 4) throw malformed("too short");
  if (payload.readUInt32BE(0) !== MAGIC || payload.readUInt8(4) !== VERSION)
    throw malformed("another protocol or version");
  const kind = payload.readUInt8(5) === 1 ? "request" : payload.readUInt8(5) === 2 ? "reply" : undefined;
  const frameBytes = payload.readUInt16BE(8);
  if (kind === undefined) throw malformed(`the kind ${payload.readUInt8(5)}`);
  if (frameBytes !== payload.length + 14) throw malformed(`${payload.length + 14} octets that were ${frameBytes}`);
  const { name: from, end } = readName(payload, FIXED_BYTES);
  const { name: to } = readName(payload, end);
  return {
    ...{ kind, from, to, vlan: payload.readUInt16BE(6), frameBytes, sequence: payload.readUInt16BE(10) },
    nonce: payload.subarray(12, 12 + NONCE_BYTES),
  };
}

/** The answer to a request, from the member that it was for. */
export function replyTo(request: Probe): Probe {
  return { ...request, kind: "reply", from: request.to, to: request.from };
}

function readName(payload: Buffer, at: number): { readonly name: string; readonly end: number } {
  const length = payload[at] ?? 0;
  const end = at + 1 + length;
  if (length === 0 || length > MAX_NAME_BYTES || end > payload.length) throw malformed(`a name of ${length} octets`);
  return { name: payload.toString("utf8", at + 1, end), end };
}

function probeOffset(frame: Buffer): number | undefined {
  if (frame.length < 14) return undefined;
  const first = frame.readUInt16BE(12);
  if (first === ETHERTYPE_PROBE) return 14;
  return first === ETHERTYPE_VLAN && frame.length >= 18 && frame.readUInt16BE(16) === ETHERTYPE_PROBE ? 18 : undefined;
}

function invalid(what: string): WireError {
  return new WireError("INVALID_ARGUMENT", `a probe can't have ${what}`);
}

function malformed(what: string): WireError {
  return new WireError("MALFORMED", `this is not a probe that can be read: ${what}`);
}
