/**
 * The boot sector of the probe, made from this source (GNU as, AT&T syntax, linked at 0). It does what stock kernels do and some
 * hypervisors can't: it enters 64-bit mode, swaps 16 bytes atomically, saves and restores the extended state, counts long enough for
 * an interpreter to be told from a processor, takes an exception, and only then greets on the first serial port.
 *
 * ```asm
 * .code16
 * .org 0
 * _start:
 *   cli
 *   xor %ax,%ax
 *   mov %ax,%ds
 *   mov %ax,%es
 *   mov %ax,%ss
 *   mov $0x7c00,%sp
 *   # zero the page tables 0x1000..0x3fff and the IDT at 0x4000
 *   mov $0x1000,%di
 *   mov $0x3000,%cx
 *   rep stosw
 *   movl $0x2003,0x1000      # PML4[0] -> PDPT
 *   movl $0x3003,0x2000      # PDPT[0] -> PD
 *   movl $0x83,0x3000        # PD[0]: 2 MiB page
 *   # IDT vector 3 at 0x4000 + 48: 64-bit interrupt gate to handler
 *   movw $(0x7c00+handler-_start),0x4030
 *   movw $8,0x4032
 *   movw $0x8e00,0x4034
 *   lgdtl 0x7c00+gdtr-_start
 *   mov $0x40620,%eax        # PAE | OSFXSR | OSXMMEXCPT | OSXSAVE
 *   mov %eax,%cr4
 *   mov $0x1000,%eax
 *   mov %eax,%cr3
 *   mov $0xc0000080,%ecx
 *   rdmsr
 *   or $0x100,%ax            # EFER.LME
 *   wrmsr
 *   mov %cr0,%eax
 *   and $0xfffffff3,%eax     # clear MP? EM TS
 *   or $0x80000003,%eax      # PG | MP | PE
 *   mov %eax,%cr0
 *   ljmp $8,$(0x7c00+long-_start)
 * .code64
 * long:
 *   mov $0x7c00,%esp
 *   lidt 0x7c00+idtr-_start
 *   # cmpxchg16b
 *   mov $0x5000,%edi
 *   xor %eax,%eax
 *   xor %edx,%edx
 *   mov $1,%ebx
 *   xor %ecx,%ecx
 *   lock cmpxchg16b (%rdi)
 *   jnz fail
 *   # xsetbv x87|SSE, xsave, xrstor
 *   xor %ecx,%ecx
 *   xor %edx,%edx
 *   mov $3,%eax
 *   xsetbv
 *   mov $0x5040,%edi
 *   xsave (%rdi)
 *   xrstor (%rdi)
 *   mov $20000000,%ecx
 * 1: dec %ecx
 *   jnz 1b
 *   int3
 * fail:
 *   hlt
 *   jmp fail
 * handler:
 *   mov $(0x7c00+text-_start),%esi
 *   mov $0x3f8,%edx
 * 2: lodsb
 *   test %al,%al
 *   jz fail
 *   outb %al,%dx
 *   jmp 2b
 * text: .asciz "VDC-PROBE-OK\n"
 * .align 8
 * gdt: .quad 0
 *   .quad 0x00209a0000000000
 * gdtr: .word 15
 *   .long 0x7c00+gdt-_start
 * idtr: .word 0x3f
 *   .quad 0x4000
 * .org 510
 * .word 0xaa55
 * ```
 */
const code: string = [
  "+jHAjtiOwI7QvAB8vwAQuQAw86tmxwYAEAMgAABmxwYAIAMwAABmxwYAMIMAAADHBjBAw3zHBjJACADHBjRAAI5mDwEW+HxmuCAG",
  "BAAPIuBmuAAQAAAPIthmuYAAAMAPMg0AAQ8wDyDAZoPg82YNAwAAgA8iwOp7fAgAvAB8AAAPARwl/nwAAL8AUAAAMcAx0rsBAAAA",
  "McnwSA/HD3UhMckx0rgDAAAADwHRv0BQAAAPricPri+5AC0xAf/JdfzM9Ov9vtV8AAC6+AMAAKyEwHTu7uv4VkRDLVBST0JFLU9L",
  "CgAPH0QAAAAAAAAAAAAAAAAAAACaIAAPAOh8AAA/AABA",
].join("");

/** What the boot sector writes on the serial port when all went well. */
export const bootSectorGreeting = "VDC-PROBE-OK";

/** A disk of 1 MiB that begins with the boot sector: a smaller one is not read by the BIOS. */
export function makeBootDisk(): Uint8Array {
  const disk = Buffer.alloc(1 << 20);
  Buffer.from(code, "base64").copy(disk);
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}
