#include <cerrno>

#include <weft/detail/system_call.hpp>

namespace weft::detail {

long make_system_call(long number, long first, long second, long third, long fourth, long fifth, long sixth) {
#if defined(__x86_64__)
    register long const r10 __asm__("r10") = fourth;
    register long const r8 __asm__("r8") = fifth;
    register long const r9 __asm__("r9") = sixth;
    long result = number;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(first), "S"(second), "d"(third), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long const x8 __asm__("x8") = number;
    register long result __asm__("x0") = first;
    register long const x1 __asm__("x1") = second;
    register long const x2 __asm__("x2") = third;
    register long const x3 __asm__("x3") = fourth;
    register long const x4 __asm__("x4") = fifth;
    register long const x5 __asm__("x5") = sixth;
    __asm__ volatile("svc #0"
                     : "+r"(result)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
#else
#error "weft: system calls are not written for this processor"
#endif
    constexpr long lowest_error = -4095;
    if (result >= 0 || result < lowest_error)
        return result;
    errno = static_cast<int>(-result);
    return -1;
}

} // namespace weft::detail
