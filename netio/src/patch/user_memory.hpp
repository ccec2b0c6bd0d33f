// user_memory: arguments behind pointers that may be bad. The kernel answers a bad pointer with EFAULT; where we have to look
// before the kernel does, so do we.
#pragma once

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weft::detail {

// Copies *from to `to`; false, with EFAULT, where that can't be read. A system call: for calls that are slow anyway.
template <class Value> bool copy_in(Value& to, Value const* from) noexcept {
    iovec const local{.iov_base = &to, .iov_len = sizeof to};
    iovec const remote{.iov_base = const_cast<Value*>(from), .iov_len = sizeof to};
    int const error = errno;
    // By this name the kernel knows the calling process, also right after a fork.
    long const copied = ::syscall(SYS_process_vm_readv, ::getpid(), &local, 1, &remote, 1, 0);
    if (copied == sizeof to) {
        errno = error;
        return true;
    }
    if (copied < 0 && errno != EFAULT) { // forbidden in some containers: then a bad pointer is a crash
        std::memcpy(&to, from, sizeof to);
        errno = error;
        return true;
    }
    errno = EFAULT;
    return false;
}

} // namespace weft::detail
