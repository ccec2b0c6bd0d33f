#include "vfork.hpp"

#include <cerrno>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

__thread bool in_vfork_child = false;

} // namespace weft::detail

extern "C" [[gnu::visibility("hidden")]] int weft_vfork_failed(long result) noexcept {
    errno = static_cast<int>(-result);
    return -1;
}

// The child returns from here first and overwrites the caller's stack frame, return address included, which must therefore be
// kept in a register: no compiler writes such a function.
//
// Before: save current_fiber and in_vfork_child in registers, which the two processes do not share; set them to null and true.
// After, in the parent: put both back.
#if defined(__x86_64__)
__asm__(R"(
    .text
    .globl vfork
    .type vfork, @function
    .globl __vfork
    .type __vfork, @function
vfork:
__vfork:
    .cfi_startproc
    popq %rdi
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rdi
    movq _ZN4weft6detail13current_fiberE@gottpoff(%rip), %rdx
    movq %fs:(%rdx), %rsi
    movq $0, %fs:(%rdx)
    movq _ZN4weft6detail14in_vfork_childE@gottpoff(%rip), %r8
    movzbl %fs:(%r8), %r9d
    movb $1, %fs:(%r8)
    movl $58, %eax
    syscall
    pushq %rdi
    .cfi_adjust_cfa_offset 8
    .cfi_offset %rip, -8
    testq %rax, %rax
    jz 1f
    movq %rsi, %fs:(%rdx)
    movb %r9b, %fs:(%r8)
    cmpq $-4095, %rax
    jae 2f
1:  ret
2:  movq %rax, %rdi
    jmp weft_vfork_failed
    .cfi_endproc
    .size vfork, . - vfork
    .size __vfork, . - __vfork
)");
#elif defined(__aarch64__)
__asm__(R"(
    .text
    .globl vfork
    .type vfork, %function
    .globl __vfork
    .type __vfork, %function
vfork:
__vfork:
    .cfi_startproc
    mrs x10, tpidr_el0
    adrp x9, :gottprel:_ZN4weft6detail13current_fiberE
    ldr x9, [x9, :gottprel_lo12:_ZN4weft6detail13current_fiberE]
    add x9, x9, x10
    ldr x11, [x9]
    str xzr, [x9]
    adrp x12, :gottprel:_ZN4weft6detail14in_vfork_childE
    ldr x12, [x12, :gottprel_lo12:_ZN4weft6detail14in_vfork_childE]
    add x12, x12, x10
    ldrb w13, [x12]
    mov w14, #1
    strb w14, [x12]
    mov x0, #0x4111
    mov x1, #0
    mov x8, #220
    svc #0
    cbz x0, 1f
    str x11, [x9]
    strb w13, [x12]
    cmn x0, #4095
    b.cs weft_vfork_failed
1:  ret
    .cfi_endproc
    .size vfork, . - vfork
    .size __vfork, . - __vfork
)");
#else
#error "weft: vfork is not written for this processor"
#endif
