// sys: every system call that netio makes for a fiber's I/O, in one place.
//
// Raw calls (system_call.hpp), not libc's functions: those are what gets patched, and this is the layer below. They return -1 and set
// errno as libc's do.
//
// It is also the seam at which tests put faults (weft::testing::fault_injector): into the attempts of calls that wait, whose names say `now`. What
// the program itself doesn't wait for goes by the other names. Where nothing is injected, an attempt costs one branch more.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
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

#include "faults.hpp"

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

// The attempts: with MSG_DONTWAIT.
inline ssize_t receive_now(int fd, void* buffer, std::size_t size, int flags, sockaddr* address,
                           socklen_t* length) noexcept {
    if (faults::are_injected())
        return faults::receive(fd, buffer, size, flags, address, length);
    return sys::receive(fd, buffer, size, flags | MSG_DONTWAIT, address, length);
}

inline ssize_t receive_now(int fd, msghdr* message, int flags) noexcept {
    if (faults::are_injected())
        return faults::receive(fd, message, flags);
    return sys::receive(fd, message, flags | MSG_DONTWAIT);
}

inline int receive_now(int fd, mmsghdr* messages, unsigned count, int flags) noexcept {
    if (faults::are_injected())
        return faults::receive(fd, messages, count, flags);
    return sys::receive(fd, messages, count, flags | MSG_DONTWAIT, nullptr);
}

// `flags`: MSG_DONTWAIT only if the program has said so.
inline ssize_t send_now(int fd, void const* data, std::size_t size, int flags, sockaddr const* address,
                        socklen_t length) noexcept {
    if (faults::are_injected())
        return faults::send(fd, data, size, flags, address, length);
    return sys::send(fd, data, size, flags | MSG_DONTWAIT, address, length);
}

inline ssize_t send_now(int fd, msghdr const* message, int flags) noexcept {
    if (faults::are_injected())
        return faults::send(fd, message, flags);
    return sys::send(fd, message, flags | MSG_DONTWAIT);
}

inline int send_now(int fd, mmsghdr* messages, unsigned count, int flags) noexcept {
    if (faults::are_injected())
        return faults::send(fd, messages, count, flags);
    return sys::send(fd, messages, count, flags | MSG_DONTWAIT);
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
    if (faults::are_injected())
        return faults::read(fd, parts, count);
    return read_at(fd, parts, count, -1, RWF_NOWAIT);
}

inline ssize_t write_now(int fd, iovec const* parts, int count) noexcept {
    if (faults::are_injected())
        return faults::write(fd, parts, count);
    return write_at(fd, parts, count, -1, RWF_NOWAIT);
}

inline ssize_t send_file(int to, int from, long* offset, std::size_t size) noexcept {
    return system_call(SYS_sendfile, to, from, offset, size);
}

// To a socket that doesn't block.
inline ssize_t send_file_now(int to, int from, long* offset, std::size_t size) noexcept {
    if (faults::are_injected())
        return faults::send_file(to, from, offset, size);
    return sys::send_file(to, from, offset, size);
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

// Of a listener that shows a connection.
inline int accept_now(int fd, sockaddr* address, socklen_t* length, int flags) noexcept {
    if (faults::are_injected())
        return faults::accept(fd, address, length, flags);
    return sys::accept(fd, address, length, flags);
}

// Of a socket that doesn't block: begins to connect.
inline int connect_now(int fd, sockaddr const* address, socklen_t length) noexcept {
    if (faults::are_injected())
        return faults::connect(fd, address, length);
    return sys::connect(fd, address, length);
}

inline int close(int fd) noexcept { return static_cast<int>(system_call(SYS_close, fd)); }

inline int control(int fd, int command, long argument) noexcept {
    return static_cast<int>(system_call(SYS_fcntl, fd, command, argument));
}

inline int get_option(int fd, int level, int name, void* value, socklen_t* length) noexcept {
    return static_cast<int>(system_call(SYS_getsockopt, fd, level, name, value, length));
}

// The next three don't wait. `waits_after`: finding nothing, the caller waits and looks again, so that faults have a place here.
inline int poll_now(pollfd* fds, std::size_t count, bool waits_after = false) noexcept {
    if (waits_after && faults::are_injected())
        return faults::poll(fds, count);
    timespec const no_time{};
    return static_cast<int>(system_call(SYS_ppoll, fds, count, &no_time, nullptr, 0));
}

inline int select_now(int count, fd_set* read, fd_set* write, fd_set* except,
                      bool waits_after = false) noexcept {
    if (waits_after && faults::are_injected())
        return faults::select(count, read, write, except);
    timespec no_time{};
    return static_cast<int>(system_call(SYS_pselect6, count, read, write, except, &no_time, nullptr));
}

inline int epoll_now(int epoll, epoll_event* events, int most, bool waits_after = false) noexcept {
    if (waits_after && faults::are_injected())
        return faults::epoll(epoll, events, most);
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

// As events_now(), and nothing else.
inline short look(int fd, short wanted) noexcept {
    pollfd one{.fd = fd, .events = wanted, .revents = 0};
    return poll_now(&one, 1) > 0 ? one.revents : short{0};
}

// The events of `wanted` (POLLIN, ...) and errors that `fd` shows right now; 0 if none.
inline short events_now(int fd, short wanted) noexcept {
    if (faults::are_injected())
        return faults::events(fd, wanted);
    return look(fd, wanted);
}

// How many bytes a TCP socket has received that nobody has read yet. Waits until what has just come is taken in.
inline int unread_bytes(int fd) noexcept {
    int count = 0;
    return system_call(SYS_ioctl, fd, FIONREAD, &count) == 0 ? count : 0;
}

// Whether nothing more can be sent, nor come. An error that is to be reported stays where it is.
inline bool hung_up(int fd) noexcept {
    short shown = look(fd, 0);
    if ((shown & (POLLERR | POLLHUP)) == POLLERR) { // a reset that is being taken in shows its error first
        unread_bytes(fd);
        shown = look(fd, 0);
    }
    return (shown & POLLHUP) != 0;
}

} // namespace weft::detail::sys
