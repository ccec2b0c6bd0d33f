// sys: every system call that netio makes for a fiber's I/O, in one place.
//
// Raw calls (system_call.hpp), not libc's functions: those are what gets patched, and this is the layer below. They return -1 and set
// errno as libc's do. It is also the seam at which tests may put faults.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <ctime>

#include <weft/detail/system_call.hpp>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif

namespace weft::detail::sys {

inline ssize_t receive(int fd, void* buffer, std::size_t size, int flags, sockaddr* address,
                       socklen_t* length) noexcept {
    return system_call(SYS_recvfrom, fd, buffer, size, flags, address, length);
}

inline ssize_t receive(int fd, msghdr* message, int flags) noexcept {
    return system_call(SYS_recvmsg, fd, message, flags);
}

inline ssize_t send(int fd, void const* data, std::size_t size, int flags, sockaddr const* address,
                    socklen_t length) noexcept {
    return system_call(SYS_sendto, fd, data, size, flags, address, length);
}

inline ssize_t send(int fd, msghdr const* message, int flags) noexcept {
    return system_call(SYS_sendmsg, fd, message, flags);
}

inline int receive(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) noexcept {
    return static_cast<int>(system_call(SYS_recvmmsg, fd, messages, count, flags, timeout));
}

inline int send(int fd, mmsghdr* messages, unsigned count, int flags) noexcept {
    return static_cast<int>(system_call(SYS_sendmmsg, fd, messages, count, flags));
}

inline ssize_t read(int fd, void* buffer, std::size_t size) noexcept {
    return system_call(SYS_read, fd, buffer, size);
}

inline ssize_t read(int fd, iovec const* parts, int count) noexcept {
    return system_call(SYS_readv, fd, parts, count);
}

inline ssize_t write(int fd, void const* data, std::size_t size) noexcept {
    return system_call(SYS_write, fd, data, size);
}

inline ssize_t write(int fd, iovec const* parts, int count) noexcept {
    return system_call(SYS_writev, fd, parts, count);
}

// `flags`: RWF_... Offset -1 is the file's own position.
inline ssize_t read_at(int fd, iovec const* parts, int count, long offset, int flags) noexcept {
    return system_call(SYS_preadv2, fd, parts, count, offset, 0L, flags);
}

inline ssize_t write_at(int fd, iovec const* parts, int count, long offset, int flags) noexcept {
    return system_call(SYS_pwritev2, fd, parts, count, offset, 0L, flags);
}

// At the file's own position; EAGAIN instead of waiting, EOPNOTSUPP where the kind of file can't promise that.
inline ssize_t read_now(int fd, iovec const* parts, int count) noexcept {
    return read_at(fd, parts, count, -1, RWF_NOWAIT);
}

inline ssize_t write_now(int fd, iovec const* parts, int count) noexcept {
    return write_at(fd, parts, count, -1, RWF_NOWAIT);
}

inline ssize_t send_file(int to, int from, long* offset, std::size_t size) noexcept {
    return system_call(SYS_sendfile, to, from, offset, size);
}

inline ssize_t splice(int from, long* from_offset, int to, long* to_offset, std::size_t size,
                      unsigned flags) noexcept {
    return system_call(SYS_splice, from, from_offset, to, to_offset, size, flags);
}

inline ssize_t tee(int from, int to, std::size_t size, unsigned flags) noexcept {
    return system_call(SYS_tee, from, to, size, flags);
}

inline ssize_t splice_memory(int fd, iovec const* parts, std::size_t count, unsigned flags) noexcept {
    return system_call(SYS_vmsplice, fd, parts, count, flags);
}

inline int accept(int fd, sockaddr* address, socklen_t* length, int flags) noexcept {
    return static_cast<int>(system_call(SYS_accept4, fd, address, length, flags));
}

inline int connect(int fd, sockaddr const* address, socklen_t length) noexcept {
    return static_cast<int>(system_call(SYS_connect, fd, address, length));
}

inline int close(int fd) noexcept { return static_cast<int>(system_call(SYS_close, fd)); }

inline int control(int fd, int command, long argument) noexcept {
    return static_cast<int>(system_call(SYS_fcntl, fd, command, argument));
}

inline int get_option(int fd, int level, int name, void* value, socklen_t* length) noexcept {
    return static_cast<int>(system_call(SYS_getsockopt, fd, level, name, value, length));
}

// Doesn't wait.
inline int poll_now(pollfd* fds, std::size_t count) noexcept {
    timespec const no_time{};
    return static_cast<int>(system_call(SYS_ppoll, fds, count, &no_time, nullptr, 0));
}

// Doesn't wait.
inline int select_now(int count, fd_set* read, fd_set* write, fd_set* except) noexcept {
    timespec no_time{};
    return static_cast<int>(system_call(SYS_pselect6, count, read, write, except, &no_time, nullptr));
}

// Doesn't wait.
inline int epoll_now(int epoll, epoll_event* events, int most) noexcept {
    return static_cast<int>(system_call(SYS_epoll_pwait, epoll, events, most, 0, nullptr, NSIG / 8));
}

inline pid_t wait_process(pid_t which, int* status, int options, rusage* usage) noexcept {
    return static_cast<pid_t>(system_call(SYS_wait4, which, status, options, usage));
}

inline int wait_id(int type, unsigned id, siginfo_t* info, int options, rusage* usage) noexcept {
    return static_cast<int>(system_call(SYS_waitid, type, id, info, options, usage));
}

// A descriptor that is readable once the process has ended.
inline int open_process(unsigned process) noexcept {
    return static_cast<int>(system_call(SYS_pidfd_open, process, 0));
}

// Takes a pending signal of `set`, which is blocked; EAGAIN if none is.
inline int take_signal(sigset_t const* set, siginfo_t* info) noexcept {
    timespec const no_time{};
    return static_cast<int>(system_call(SYS_rt_sigtimedwait, set, info, &no_time, NSIG / 8));
}

// The events of `wanted` (POLLIN, ...) and errors that `fd` shows right now; 0 if none.
inline short events_now(int fd, short wanted) noexcept {
    pollfd one{.fd = fd, .events = wanted, .revents = 0};
    return poll_now(&one, 1) > 0 ? one.revents : short{0};
}

} // namespace weft::detail::sys
