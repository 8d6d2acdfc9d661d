const LENGTH_PREFIX_BYTES = 4;

/** The `index`-th address of a locally administered range of 2^24: `52:54:<group>:...`. */
export function macText(index: number, group: number = 0): string {
  const octets = [0x52, 0x54, group, (index >> 16) & 0xff, (index >> 8) & 0xff, index & 0xff];
  return octets.map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}

/** An Ethernet frame of `octets` octets after its length, as it goes over a NIC's stream socket. */
export function frameRecord(destination: string, source: string, octets: number): Buffer {
  const record = Buffer.alloc(LENGTH_PREFIX_BYTES + octets);
  record.writeUInt32BE(octets, 0);
  Buffer.from(destination.replaceAll(":", ""), "hex").copy(record, 4);
  Buffer.from(source.replaceAll(":", ""), "hex").copy(record, 10);
  record.writeUInt16BE(0x88b5, 16); // IEEE 802, local experimental
  return record;
}
