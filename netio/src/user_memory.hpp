// user_memory: arguments behind pointers that may be bad. The kernel answers a bad pointer with EFAULT; where we have to look
// before the kernel does, so do we.
#pragma once

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <weft/detail/system_call.hpp>

namespace weft::detail {

enum class user_copy : int { in = SYS_process_vm_readv, out = SYS_process_vm_writev };

// Copies `size` bytes between ours and the program's memory; false, with EFAULT, where that can't be accessed. A system call: for
// calls that are slow anyway.
inline bool copy_user(user_copy direction, void* ours, void* theirs, std::size_t size) noexcept {
    iovec const local{.iov_base = ours, .iov_len = size};
    iovec const remote{.iov_base = theirs, .iov_len = size};
    int const error = errno;
    // By this name the kernel knows the calling process, also right after a fork.
    long const copied = system_call(static_cast<long>(direction), ::getpid(), &local, 1, &remote, 1, 0);
    bool const forbidden = copied < 0 && errno != EFAULT; // in some containers: then a bad pointer is a crash
    if (forbidden && direction == user_copy::in)
        std::memcpy(ours, theirs, size);
    else if (forbidden)
        std::memcpy(theirs, ours, size);
    bool const whole = forbidden || copied == static_cast<long>(size);
    errno = whole ? error : EFAULT;
    return whole;
}

inline bool copy_in(void* to, void const* from, std::size_t size) noexcept {
    return copy_user(user_copy::in, to, const_cast<void*>(from), size);
}

template <class Value> bool copy_in(Value& to, Value const* from) noexcept {
    return copy_in(&to, from, sizeof to);
}

template <class Value> bool copy_out(Value* to, Value const& from) noexcept {
    return copy_user(user_copy::out, const_cast<Value*>(&from), to, sizeof from);
}

// Whether they can be read; false with EFAULT.
inline bool readable(void const* from, std::size_t size) noexcept {
    std::array<char, 1024> scrap;
    for (std::size_t done = 0; done < size; done += scrap.size())
        if (!copy_in(scrap.data(), static_cast<char const*>(from) + done,
                     std::min(scrap.size(), size - done)))
            return false;
    return true;
}

// Whether the kernel refuses a buffer for read(2) and the like, seeing that it ends where no program has memory; as one of several
// parts it would be cut to what fits.
inline bool beyond_memory(void const* buffer, std::size_t size) noexcept {
    constexpr std::size_t most_at_once = 0x7fff'f000;
    constexpr std::uintptr_t end_of_memory = std::uintptr_t{1} << 47;
    std::uintptr_t end = 0;
    return size > most_at_once &&
           (__builtin_add_overflow(reinterpret_cast<std::uintptr_t>(buffer), size, &end) ||
            end >= end_of_memory);
}

} // namespace weft::detail
