import { isIP } from "node:net";
import { WireError } from "../wire-error.ts";

/**
 * The 4 or 16 octets of a literal address; a zone (`%eth0`) is refused. Throws `INVALID_ARGUMENT` for anything else.
 */
export function ipAddressBytes(text: string): Buffer {
  const family = text.includes("%") ? 0 : isIP(text);
  if (family === 4) return Buffer.from(text.split(".").map(Number));
  if (family === 6) return ipv6Bytes(text);
  throw new WireError("INVALID_ARGUMENT", `'${text}' is not an IPv4 or IPv6 address`);
}

function ipv6Bytes(text: string): Buffer {
  const [head = "", tail] = text.split("::");
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const bytes = Buffer.alloc(16);
  front.forEach((group, index) => {
    bytes.writeUInt16BE(group, index * 2);
  });
  back.forEach((group, index) => {
    bytes.writeUInt16BE(group, (8 - back.length + index) * 2);
  });
  return bytes;
}

function groups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((part) => {
    if (!part.includes(".")) return [Number.parseInt(part, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = part.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

/** The text of an address: dotted for 4 octets, RFC 5952's canonical form for 16. Throws `INVALID_ARGUMENT` for other lengths. */
export function formatIpAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw new WireError("INVALID_ARGUMENT", `an address of ${bytes.length} octets`);
  const words = Array.from({ length: 8 }, (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0));
  const { from, length } = longestZeroRun(words);
  const text = (part: readonly number[]): string => part.map((word) => word.toString(16)).join(":");
  return length < 2 ? text(words) : `${text(words.slice(0, from))}::${text(words.slice(from + length))}`;
}

function longestZeroRun(words: readonly number[]): { readonly from: number; readonly length: number } {
  let best = { from: 0, length: 0 };
  let length = 0;
  words.forEach((word, index) => {
    length = word === 0 ? length + 1 : 0;
    if (length > best.length) best = { from: index - length + 1, length };
  });
  return best;
}
