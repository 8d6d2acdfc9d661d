import { malformed, mustHave } from "../wire/malformed.ts";
import { encodeMessage, inRange, messageType } from "../wire/message.ts";
import { numbers16, numbers32 } from "../wire/octets.ts";
import { multipartRequest, multipartType } from "./multipart.ts";

/** A limit: bits or packets, never both. What is above it is dropped. */
export interface Meter {
  readonly id: number;
  readonly unit: "kilobits" | "packets";
  /** Per second. */
  readonly rate: number;
  /** In kilobits or packets. */
  readonly burst: number;
}

/** What a meter counted. */
export interface MeterStats {
  readonly id: number;
  /** In frames. */
  readonly dropped: bigint;
}

const commands = { add: 0, modify: 1, delete: 2 } as const;
const allMeters = 0xffff_ffff;
const statsLength = 40;
const bandStatsLength = 16;

/**
 * Makes a meter, changes it, or deletes it (OpenFlow 1.3.5, 7.3.4.4).
 *
 * @throws `OPENFLOW_INVALID_ARGUMENT`
 */
export function meterMod(command: "add" | "modify" | "delete", { id, unit, rate, burst }: Meter): Buffer {
  return inRange("a meter", () => {
    // OFPMF_KBPS or OFPMF_PKTPS, OFPMF_BURST, OFPMF_STATS
    const flags = (unit === "kilobits" ? 1 : 2) | 4 | 8;
    const fixed = [numbers16(commands[command], flags), numbers32(id)];
    // OFPMBT_DROP
    const band = command === "delete" ? [] : [numbers16(1, 16), numbers32(rate, burst, 0)];
    return encodeMessage(messageType.meterMod, ...fixed, ...band);
  });
}

/** Asks for the counters of all meters. */
export function meterStatsRequest(): Buffer {
  return multipartRequest(multipartType.meter, numbers32(allMeters, 0));
}

/**
 * Meters of one message (OpenFlow 1.3.5, 7.3.5.12).
 *
 * @throws `OPENFLOW_PROTOCOL`
 */
export function parseMeterStats(body: Buffer): readonly MeterStats[] {
  const found: MeterStats[] = [];
  for (let at = 0; at < body.length; ) {
    mustHave(body, at + statsLength, "a meter");
    const length = body.readUInt16BE(at + 4);
    if (length < statsLength || length > body.length - at || (length - statsLength) % bandStatsLength !== 0) {
      throw malformed(`a meter of ${length} octets`);
    }
    let dropped = 0n;
    for (let band = at + statsLength; band < at + length; band += bandStatsLength) {
      dropped += body.readBigUInt64BE(band);
    }
    found.push({ id: body.readUInt32BE(at), dropped });
    at += length;
  }
  return found;
}
