/** Where the marker lies in a disk, in bytes. */
export const markerOffset = 65_536;

/**
 * The guest of the tests, as a boot sector: about nine times a second it writes the next letter on the first serial port, and sleeps in between. It needs no
 * kernel, and next to no processor time.
 *
 * ```asm
 *   sti
 *   mov  $0x3f8, %dx
 *   mov  $'a', %al
 * 1: out %al, %dx
 *   inc  %al
 *   cmp  $('z' + 1), %al
 *   jne  2f
 *   mov  $'a', %al
 * 2: mov $6, %cx          # ticks of the timer, at 18.2 Hz
 * 3: hlt
 *   loop 3b
 *   jmp  1b
 * ```
 */
const code: readonly number[] = [
  0xfb, 0xba, 0xf8, 0x03, 0xb0, 0x61, 0xee, 0xfe, 0xc0, 0x3c, 0x7b, 0x75, 0x02, 0xb0, 0x61, 0xb9, 0x02, 0x00, 0xf4,
  0xe2, 0xfd, 0xeb, 0xef,
];

/** A raw disk of 1 MiB that boots the guest of the tests, and holds a marker by which it is known again. */
export function makeBootDisk(marker: string): Uint8Array {
  const disk = Buffer.alloc(1 << 20);
  Buffer.from(code).copy(disk);
  disk.writeUInt16LE(0xaa55, 510);
  disk.write(marker, markerOffset, "latin1");
  return disk;
}
