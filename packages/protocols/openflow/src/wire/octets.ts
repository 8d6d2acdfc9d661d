/** Numbers of 16 bits, one after the other. */
export function numbers16(...values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 2);
  values.forEach((value, at) => {
    buffer.writeUInt16BE(value, at * 2);
  });
  return buffer;
}

/** Numbers of 32 bits, one after the other. */
export function numbers32(...values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 4);
  values.forEach((value, at) => {
    buffer.writeUInt32BE(value, at * 4);
  });
  return buffer;
}

/** How many octets are missing to a multiple of 8: most of what OpenFlow sends is aligned so. */
export function padding(length: number): number {
  return (8 - (length % 8)) % 8;
}
