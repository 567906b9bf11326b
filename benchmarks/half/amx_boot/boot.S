# A boot sector: reads what is behind it on the floppy to 0x10000, enters long mode with AVX-512 and AMX, and calls it.
.code16
.globl _start
_start:
  cli
  xor %ax,%ax
  mov %ax,%ds
  mov %ax,%es
  mov %ax,%ss
  mov $0x7c00,%sp
  in $0x92,%al
  or $2,%al
  out %al,$0x92
  mov $0x1000,%ax
  mov %ax,%es
  xor %bx,%bx
  mov $1,%si            # lba
next:
  mov %si,%ax
  xor %dx,%dx
  mov $18,%cx
  div %cx               # ax = track, dx = sector
  mov %dl,%cl
  inc %cl
  xor %dx,%dx
  mov $2,%di
  div %di               # ax = cylinder, dx = head
  mov %al,%ch
  mov %dl,%dh
  mov $0,%dl
  mov $0x0201,%ax       # one sector
  int $0x13
  jc fail
  mov %es,%ax
  add $0x20,%ax
  mov %ax,%es
  inc %si
  cmp $SECTORS,%si
  jbe next
  cli                   # the BIOS has let interrupts in
  mov $0x1000,%edi      # page tables: two megabytes a page, one to one
  xor %ax,%ax
  mov %ax,%es
  xor %eax,%eax
  mov $0x1000,%cx
  cld
  rep stosl
  movl $0x2003,0x1000
  movl $0x3003,0x2000
  mov $0x3000,%edi
  mov $0x83,%eax
  mov $512,%cx
1: mov %eax,(%di)
  add $8,%di
  add $0x200000,%eax
  loop 1b
  mov %cr4,%eax
  or $0x40620,%eax      # PAE OSFXSR OSXMMEXCPT OSXSAVE
  mov %eax,%cr4
  mov $0x1000,%eax
  mov %eax,%cr3
  mov $0xc0000080,%ecx
  rdmsr
  or $0x100,%eax
  wrmsr
  lgdt gdtr
  mov %cr0,%eax
  and $~0x4,%eax
  or $0x80000003,%eax
  mov %eax,%cr0
  ljmp $8,$long
fail:
  mov $'F',%al
  out %al,$0xe9
  hlt
.code64
long:
  mov $16,%ax
  mov %ax,%ds
  mov %ax,%es
  mov %ax,%ss
  mov %ax,%fs
  mov %ax,%gs
  xor %ecx,%ecx
  mov $0x600e7,%eax      # x87, SSE, AVX, AVX-512, tile configuration and data
  xor %edx,%edx
  xsetbv
  mov $0x800000,%rsp
  mov $0x10000,%eax
  jmp *%rax
.align 8
gdt: .quad 0
  .quad 0x00209a0000000000
  .quad 0x0000920000000000
gdtr: .word 23
  .long gdt
.org 510
.word 0xaa55
