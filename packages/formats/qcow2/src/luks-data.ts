import type { ImageFile } from "./file-layer.ts";
import { LUKS_SECTOR_BYTES, type LuksCipher } from "./luks-cipher.ts";

/** How much is encrypted before it is written. */
const STEP_BYTES: number = 256 * 1024;
const scratch: Buffer = Buffer.alloc(STEP_BYTES);

/** An image's file, and what its guest data is encrypted with: a sector's tweak is its number in the file, not on the guest's disk. */
export interface EncryptedFile {
  readonly file: ImageFile;
  readonly cipher: LuksCipher;
}

/** Fills `buffer` with what is encrypted from `offset` on. Returns fewer bytes than asked only at the end of the file. */
export function readEncrypted({ file, cipher }: EncryptedFile, buffer: Uint8Array, offset: number): number {
  if (offset % LUKS_SECTOR_BYTES === 0 && buffer.length % LUKS_SECTOR_BYTES === 0) {
    const whole = wholeSectors(file.readSync(buffer, offset));
    const sectors = buffer.subarray(0, whole);
    cipher.decrypt(sectors, sectors, offset / LUKS_SECTOR_BYTES);
    return whole;
  }
  for (let done = 0; done < buffer.length; ) {
    const at = offset + done;
    const head = at % LUKS_SECTOR_BYTES;
    const size = Math.min(buffer.length - done, STEP_BYTES - head);
    const sectors = scratch.subarray(0, Math.ceil((head + size) / LUKS_SECTOR_BYTES) * LUKS_SECTOR_BYTES);
    const whole = wholeSectors(file.readSync(sectors, at - head));
    cipher.decrypt(sectors.subarray(0, whole), sectors.subarray(0, whole), (at - head) / LUKS_SECTOR_BYTES);
    const count = Math.max(0, Math.min(size, whole - head));
    buffer.set(sectors.subarray(head, head + count), done);
    sectors.fill(0);
    done += count;
    if (count < size) return done;
  }
  return buffer.length;
}

/** Writes `data`, encrypted. The rest of a sector that is written in part keeps its content. `data` itself is not changed. */
export function writeEncrypted(target: EncryptedFile, data: Uint8Array, offset: number): void {
  const { file, cipher } = target;
  for (let done = 0; done < data.length; ) {
    const at = offset + done;
    const head = at % LUKS_SECTOR_BYTES;
    const size = Math.min(data.length - done, STEP_BYTES - head);
    const end = head + size;
    const first = (at - head) / LUKS_SECTOR_BYTES;
    const sectors = scratch.subarray(0, Math.ceil(end / LUKS_SECTOR_BYTES) * LUKS_SECTOR_BYTES);
    const last = sectors.length - LUKS_SECTOR_BYTES;
    if (head > 0) readSector(target, sectors.subarray(0, LUKS_SECTOR_BYTES), first);
    if (end < sectors.length && (head === 0 || last > 0)) {
      readSector(target, sectors.subarray(last), first + last / LUKS_SECTOR_BYTES);
    }
    sectors.set(data.subarray(done, done + size), head);
    cipher.encrypt(sectors, sectors, first);
    file.writeSync(sectors, at - head);
    done += size;
  }
}

function readSector({ file, cipher }: EncryptedFile, sector: Buffer, number: number): void {
  const count = wholeSectors(file.readSync(sector, number * LUKS_SECTOR_BYTES));
  if (count === 0) sector.fill(0);
  else cipher.decrypt(sector, sector, number);
}

function wholeSectors(bytes: number): number {
  return bytes - (bytes % LUKS_SECTOR_BYTES);
}
