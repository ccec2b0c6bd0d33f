// system_call: a system call of weft's own, by the instruction itself: libc's syscall() is patched, and this is the layer below.
//
// Threads: any. Async-signal-safe. As libc's syscall(2), it returns -1 and sets errno where the kernel reports an error.
#pragma once

#include <sys/syscall.h>

#include <cstdint>
#include <type_traits>

namespace weft::detail {

// Not noexcept: a thread that allows it may be cancelled in here.
long make_system_call(long number, long first, long second, long third, long fourth, long fifth, long sixth);

template <class Argument> long system_call_argument(Argument argument) noexcept {
    if constexpr (std::is_pointer_v<Argument>)
        return reinterpret_cast<long>(argument);
    else if constexpr (std::is_null_pointer_v<Argument>)
        return 0;
    else
        return static_cast<long>(argument);
}

template <class... Arguments> long system_call(long number, Arguments... arguments) {
    static_assert(sizeof...(Arguments) <= 6);
    long const all[6] = {system_call_argument(arguments)...};
    return make_system_call(number, all[0], all[1], all[2], all[3], all[4], all[5]);
}

} // namespace weft::detail
