import { type ExpandOptions, expand, isElf } from "./expand.ts";
import { GuestImageError } from "./guest-image-error.ts";

/**
 * Takes the ELF kernel out of a bzImage.
 *
 * A virtual machine that is started with it enters the kernel directly (PVH), without the real-mode setup code and
 * the self-decompression, which take seconds where the processor is emulated.
 * Source: Linux `Documentation/arch/x86/boot.rst`, fields setup_sects, payload_offset and payload_length.
 */
export async function extractKernel(bzImage: Buffer, { expandXz }: Pick<ExpandOptions, "expandXz">): Promise<Buffer> {
  if (bzImage.length < 0x260 || bzImage.toString("latin1", 0x202, 0x206) !== "HdrS") {
    throw new GuestImageError("BAD_ARCHIVE", "The kernel image has no Linux boot header.");
  }
  const setupSectors = bzImage[0x1f1] || 4;
  const start = (setupSectors + 1) * 512 + bzImage.readUInt32LE(0x248);
  const length = bzImage.readUInt32LE(0x24c);
  if (length === 0 || start + length > bzImage.length) {
    throw new GuestImageError("BAD_ARCHIVE", "The kernel image names a payload that lies outside of it.");
  }
  const payload = bzImage.subarray(start, start + length);
  const kernel = await expand(payload, { what: "The kernel", hasLength: true, expandXz });
  if (!isElf(kernel)) throw new GuestImageError("BAD_ARCHIVE", "The kernel image does not hold an ELF kernel.");
  return kernel;
}

/** The ELF note with the 32-bit entry point (Xen public `elfnote.h`: XEN_ELFNOTE_PHYS32_ENTRY). */
const physicalEntryNote = 18;
const programHeaderNote = 4;

/** Whether a 64-bit ELF kernel states the entry point that QEMU needs to start it without a boot loader. */
export function hasDirectEntry(kernel: Buffer): boolean {
  if (!isElf(kernel)) return false;
  const tableOffset = Number(kernel.readBigUInt64LE(32));
  const entrySize = kernel.readUInt16LE(54);
  const count = kernel.readUInt16LE(56);
  for (let index = 0; index < count; index += 1) {
    const at = tableOffset + index * entrySize;
    if (at + 56 > kernel.length) return false;
    if (kernel.readUInt32LE(at) !== programHeaderNote) continue;
    const offset = Number(kernel.readBigUInt64LE(at + 8));
    const size = Number(kernel.readBigUInt64LE(at + 32));
    if (offset + size <= kernel.length && notesHaveEntry(kernel.subarray(offset, offset + size))) return true;
  }
  return false;
}

function notesHaveEntry(notes: Buffer): boolean {
  let at = 0;
  while (at + 12 <= notes.length) {
    const nameSize = notes.readUInt32LE(at);
    const dataSize = notes.readUInt32LE(at + 4);
    const type = notes.readUInt32LE(at + 8);
    if (type === physicalEntryNote && notes.toString("latin1", at + 12, at + 15) === "Xen") return true;
    at += 12 + roundUp(nameSize) + roundUp(dataSize);
  }
  return false;
}

function roundUp(size: number): number {
  return Math.ceil(size / 4) * 4;
}
