import { isIP } from "node:net";

/** An IPv4 or IPv6 prefix as words to compare. */
export interface IpPrefix {
  readonly version: 4 | 6;
  readonly words: readonly number[];
  readonly masks: readonly number[];
}

/** Reads CIDR notation, `10.0.0.0/8` or `2001:db8::/32`; a bare address is a prefix of itself. Undefined when `text` is neither. */
export function parsePrefix(text: string): IpPrefix | undefined {
  const [address = "", length, ...more] = text.split("/");
  const version = isIP(address);
  if (version === 0 || more.length > 0 || address.includes("%")) return undefined;
  const bits = version === 4 ? 32 : 128;
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return undefined;
  const wanted = length === undefined ? bits : Number(length);
  if (wanted > bits) return undefined;
  const words = version === 4 ? [ipv4Word(address)] : ipv6Words(address);
  const masks = words.map((_, index) => maskOf(Math.min(32, Math.max(0, wanted - index * 32))));
  return { version: version === 4 ? 4 : 6, words: words.map((word, index) => word & (masks[index] ?? 0)), masks };
}

/** Whether an address, read into words, lies in the prefix. The caller has compared the versions. */
export function inPrefix(prefix: IpPrefix, address: Int32Array): boolean {
  const { words, masks } = prefix;
  for (let index = 0; index < words.length; index += 1) {
    if (((address[index] as number) & (masks[index] as number)) !== words[index]) return false;
  }
  return true;
}

function maskOf(bits: number): number {
  return bits === 0 ? 0 : (-1 << (32 - bits)) | 0;
}

function ipv4Word(address: string): number {
  return address.split(".").reduce((word, octet) => (word << 8) | Number(octet), 0) | 0;
}

function ipv6Words(address: string): number[] {
  // An IPv4 tail stands for the last two groups.
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  let text = address;
  if (tail !== null) {
    const word = ipv4Word(tail[2] ?? "") >>> 0;
    text = `${tail[1]}${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`;
  }
  const [left = "", right] = text.split("::");
  const groups = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const before = groups(left);
  const after = right === undefined ? [] : groups(right);
  const all = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
  return [0, 2, 4, 6].map((index) => ((all[index] ?? 0) << 16) | (all[index + 1] ?? 0) | 0);
}
