import { crc32 } from "node:zlib";
import { isVolumeId } from "./pool-layout.ts";
import { parseRecord, type VolumeRecord } from "./volume-record.ts";

/**
 * What the pool's log says of a volume.
 *
 * - `made`: it is there, and its files are what its record tells and nothing else: those that are missing or torn are made again.
 * - `persisted`: its files are on disk, and the log has no say in it any more.
 * - `deleted`: it is gone. What is left of its files goes as well.
 */
export type LogEntry =
  | { readonly kind: "made"; readonly record: VolumeRecord }
  | { readonly kind: "persisted" | "deleted"; readonly volumeId: string };

/** What was read of a segment. */
export interface LogSegment {
  readonly entries: readonly LogEntry[];
  /** It begins with less than it was given its name with: something has damaged it, which no crash does. */
  readonly isDamaged: boolean;
}

/*
 * A segment is a file of zeroes that frames are written into, one after the other:
 *
 *   length of the text (4 bytes, little-endian), CRC-32 (4 bytes), text (JSON, UTF-8)
 *
 * The first frame is the segment's own: its number, and how many of the frames after it were there before it got its name. The check sum goes
 * over the place of the frame, its length and its text, and begins with that of the first frame, so that no frame counts anywhere but where it was written. What
 * was not acknowledged may be torn: the first frame that is not whole is the end.
 */

const frameBytes = 8;
const magic = "vdc-pool-log-1";

/** The start of a segment, with what it begins with. */
export function formatSegment(number: number, entries: readonly LogEntry[]): { bytes: Buffer; seed: number } {
  const head = Buffer.from(JSON.stringify([magic, number, entries.length]));
  const seed = crc32(head);
  const first = formatFrame(0, 0, head);
  return { bytes: Buffer.concat([first, formatEntries(first.length, seed, entries)]), seed };
}

/** The frames of entries, for the place in a segment where they will be. */
export function formatEntries(position: number, seed: number, entries: readonly LogEntry[]): Buffer {
  let at = position;
  const frames = entries.map((entry) => {
    const frame = formatFrame(at, seed, Buffer.from(JSON.stringify(payloadOf(entry))));
    at += frame.length;
    return frame;
  });
  return frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames);
}

/** Reads a segment, whatever is in it. */
export function readSegment(bytes: Buffer): LogSegment {
  const head = readFrame(bytes, 0, 0);
  const [name, , count] = head === undefined ? [] : (parseHead(head.text) ?? []);
  if (head === undefined || name !== magic || typeof count !== "number") return { entries: [], isDamaged: true };
  const seed = crc32(head.text);
  const entries: LogEntry[] = [];
  for (let at = head.end; ; ) {
    const frame = readFrame(bytes, at, seed);
    const entry = frame === undefined ? undefined : parseEntry(frame.text);
    if (frame === undefined || entry === undefined) break;
    entries.push(entry);
    at = frame.end;
  }
  return { entries, isDamaged: entries.length < count };
}

function payloadOf(entry: LogEntry): unknown {
  return entry.kind === "made" ? ["made", entry.record] : [entry.kind, entry.volumeId];
}

function formatFrame(position: number, seed: number, text: Buffer): Buffer {
  const frame = Buffer.alloc(frameBytes + text.length);
  frame.writeUInt32LE(text.length, 0);
  frame.writeUInt32LE(checksum(position, seed, text), 4);
  text.copy(frame, frameBytes);
  return frame;
}

function readFrame(bytes: Buffer, at: number, seed: number): { text: Buffer; end: number } | undefined {
  if (at + frameBytes > bytes.length) return undefined;
  const length = bytes.readUInt32LE(at);
  const end = at + frameBytes + length;
  if (length === 0 || end > bytes.length) return undefined;
  const text = bytes.subarray(at + frameBytes, end);
  return bytes.readUInt32LE(at + 4) === checksum(at, seed, text) ? { text, end } : undefined;
}

function checksum(position: number, seed: number, text: Buffer): number {
  const place = Buffer.alloc(12);
  place.writeDoubleLE(position, 0);
  place.writeUInt32LE(text.length, 8);
  return crc32(text, crc32(place, seed));
}

function parseHead(text: Buffer): readonly unknown[] | undefined {
  try {
    const head: unknown = JSON.parse(text.toString());
    return Array.isArray(head) ? head : undefined;
  } catch {
    return undefined;
  }
}

function parseEntry(text: Buffer): LogEntry | undefined {
  try {
    const payload: unknown = JSON.parse(text.toString());
    if (!Array.isArray(payload)) return undefined;
    const [kind, what] = payload as readonly unknown[];
    // What becomes a path is looked at first.
    if (kind === "made") {
      const record = parseRecord(what);
      return isVolumeId(record.volumeId) ? { kind, record } : undefined;
    }
    if (typeof what !== "string" || !isVolumeId(what)) return undefined;
    return kind === "persisted" || kind === "deleted" ? { kind, volumeId: what } : undefined;
  } catch {
    return undefined;
  }
}
