/**
 * The sum of 16-bit words of `bytes[start, end)`, added to `sum` (RFC 1071). Not folded yet, so that parts can be added up; an odd last
 * octet counts as the upper half of a word, so only the last part may be odd.
 */
export function addToChecksum(sum: number, bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  let total = sum;
  let at = start;
  for (; at + 1 < end; at += 2) total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  if (at < end) total += (bytes[at] ?? 0) << 8;
  return total;
}

/** Folds a sum and complements it: the value for a checksum field. Over data that holds a right checksum it is 0. */
export function foldChecksum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x1_0000);
  return ~folded & 0xffff;
}

/** The internet checksum of `bytes[start, end)` (RFC 1071). */
export function internetChecksum(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  return foldChecksum(addToChecksum(0, bytes, start, end));
}

/**
 * The checksum of an upper-layer packet with its pseudo-header (RFC 768, RFC 9293, RFC 8200 8.1). `source` and `destination` have 4 or
 * 16 octets; the checksum field within `payload` must be 0 to make one, or as received to check one (the result is then 0).
 */
export function transportChecksum(
  payload: Uint8Array,
  header: { readonly source: Uint8Array; readonly destination: Uint8Array; readonly protocol: number },
): number {
  const length = payload.length;
  const sum = addToChecksum(addToChecksum(0, header.source), header.destination);
  return foldChecksum(addToChecksum(sum + (length >>> 16) + (length & 0xffff) + header.protocol, payload));
}
