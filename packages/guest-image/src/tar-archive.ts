/** One file of a tar archive. The path is relative and at most 100 bytes long. */
export interface TarFile {
  readonly path: string;
  readonly content: Uint8Array;
}

const blockSize = 512;

/**
 * Writes plain files as a POSIX ustar archive, ended by two zero blocks. Owner and times are zero, so equal files give
 * equal bytes.
 */
export function writeTarArchive(files: Iterable<TarFile>): Buffer {
  const chunks: Buffer[] = [];
  for (const { path, content } of files) {
    if (Buffer.byteLength(path) > 100) throw new RangeError(`The path '${path}' is longer than 100 bytes.`);
    const header = Buffer.alloc(blockSize);
    header.write(path, 0);
    header.write("0000644\0", 100);
    header.write("0000000\0", 108);
    header.write("0000000\0", 116);
    header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("00000000000\0", 136);
    header.write("        ", 148);
    header.write("0", 156);
    header.write("ustar\x0000", 257);
    let sum = 0;
    for (const byte of header) sum += byte;
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    chunks.push(header, Buffer.from(content), Buffer.alloc((blockSize - (content.length % blockSize)) % blockSize));
  }
  chunks.push(Buffer.alloc(2 * blockSize));
  return Buffer.concat(chunks);
}
