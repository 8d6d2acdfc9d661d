/**
 * A 48-bit MAC address as a number: exact in a double, cheap as a map key, and never a string on the forwarding path.
 * The first octet on the wire is the most significant.
 */
export type MacAddress = number;

/** ff:ff:ff:ff:ff:ff. */
export const BROADCAST_MAC: MacAddress = 0xffff_ffff_ffff;

const MAC_TEXT = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

/** Reads `52:54:00:12:34:56` (either case). Undefined when `text` isn't six colon-separated octets. */
export function parseMac(text: string): MacAddress | undefined {
  return MAC_TEXT.test(text) ? Number.parseInt(text.replaceAll(":", ""), 16) : undefined;
}

/** The lower-case, colon-separated form. */
export function formatMac(mac: MacAddress): string {
  return mac
    .toString(16)
    .padStart(12, "0")
    .replace(/(..)(?=.)/g, "$1:");
}

/** The address whose first octet is at `offset`; the caller has checked that six bytes are there. */
export function readMac(buffer: Buffer, offset: number): MacAddress {
  return buffer.readUInt16BE(offset) * 0x1_0000_0000 + buffer.readUInt32BE(offset + 2);
}

/** True for multicast and broadcast: the I/G bit of the first octet (IEEE 802-2014, 8.2.2). */
export function isGroupMac(mac: MacAddress): boolean {
  return (Math.floor(mac / 0x100_0000_0000) & 1) === 1;
}

/** True for 01:80:C2:00:00:00 to 0F, which a bridge never forwards (IEEE 802.1Q-2018, 8.6.3): STP, pause, LLDP. */
export function isLinkLocalMac(mac: MacAddress): boolean {
  return mac >= 0x0180_c200_0000 && mac <= 0x0180_c200_000f;
}

/** The first two octets of an address. The forwarding path works with the two halves: small integers make no garbage. */
export function macHigh(mac: MacAddress): number {
  return Math.floor(mac / 0x1_0000_0000);
}

/** The last four octets of an address, as a signed 32-bit integer. */
export function macLow(mac: MacAddress): number {
  return mac | 0;
}

/** An address from its halves. */
export function macOf(high: number, low: number): MacAddress {
  return high * 0x1_0000_0000 + (low >>> 0);
}

/** Reads the first half of the address at `offset`; the caller has checked that six bytes are there. */
export function readMacHigh(buffer: Buffer, offset: number): number {
  return ((buffer[offset] as number) << 8) | (buffer[offset + 1] as number);
}

/** Reads the second half of the address at `offset`. */
export function readMacLow(buffer: Buffer, offset: number): number {
  return (
    ((buffer[offset + 2] as number) << 24) |
    ((buffer[offset + 3] as number) << 16) |
    ((buffer[offset + 4] as number) << 8) |
    (buffer[offset + 5] as number)
  );
}
