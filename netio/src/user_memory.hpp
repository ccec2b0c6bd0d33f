// user_memory: arguments behind pointers that may be bad. The kernel answers a bad pointer with EFAULT; where we have to look
// before the kernel does, so do we.
#pragma once

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace weft::detail {

// Copies `size` bytes; false, with EFAULT, where they can't be read. A system call: for calls that are slow anyway.
inline bool copy_in(void* to, void const* from, std::size_t size) noexcept {
    iovec const local{.iov_base = to, .iov_len = size};
    iovec const remote{.iov_base = const_cast<void*>(from), .iov_len = size};
    int const error = errno;
    // By this name the kernel knows the calling process, also right after a fork.
    long const copied = ::syscall(SYS_process_vm_readv, ::getpid(), &local, 1, &remote, 1, 0);
    bool const forbidden = copied < 0 && errno != EFAULT; // in some containers: then a bad pointer is a crash
    if (forbidden)
        std::memcpy(to, from, size);
    bool const whole = forbidden || copied == static_cast<long>(size);
    errno = whole ? error : EFAULT;
    return whole;
}

template <class Value> bool copy_in(Value& to, Value const* from) noexcept {
    return copy_in(&to, from, sizeof to);
}

} // namespace weft::detail
