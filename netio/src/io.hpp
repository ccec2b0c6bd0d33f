// io: libc's blocking calls for a fiber: the same arguments, results and errno, but the fiber waits instead of the
// thread. What the patched names and weft's streams are made of.
//
// To be called on a fiber. `limit` bounds the wait beside the descriptor's own time limits (EAGAIN).
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include <weft/clock.hpp>
#include <weft/detail/interrupt.hpp>

namespace weft::detail::io {

// recv(2), recvfrom(2), recvmsg(2)
ssize_t receive(int fd, void* buffer, std::size_t size, int flags, sockaddr* address = nullptr,
                socklen_t* length = nullptr, time_point limit = never) noexcept;
ssize_t receive(int fd, msghdr* message, int flags, time_point limit = never) noexcept;

// send(2), sendto(2), sendmsg(2)
ssize_t send(int fd, void const* data, std::size_t size, int flags, sockaddr const* address = nullptr,
             socklen_t length = 0, time_point limit = never) noexcept;
ssize_t send(int fd, msghdr const* message, int flags, time_point limit = never) noexcept;

// What is left of a call that has sent something already: errors are the next call's, and so is SIGPIPE.
ssize_t send_rest(int fd, msghdr const* rest) noexcept;

// recvmmsg(2), sendmmsg(2)
int receive(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) noexcept;
int send(int fd, mmsghdr* messages, unsigned count, int flags) noexcept;

// read(2), readv(2), write(2), writev(2)
ssize_t read(int fd, void* buffer, std::size_t size) noexcept;
ssize_t read(int fd, iovec const* parts, int count) noexcept;
ssize_t write(int fd, void const* data, std::size_t size) noexcept;
ssize_t write(int fd, iovec const* parts, int count) noexcept;

// preadv2(2), pwritev2(2): at a position of the caller's, or with offset -1 at the file's own
ssize_t read_at(int fd, iovec const* parts, int count, off_t offset, int flags) noexcept;
ssize_t write_at(int fd, iovec const* parts, int count, off_t offset, int flags) noexcept;

// sendfile(2), splice(2), tee(2), vmsplice(2)
ssize_t send_file(int to, int from, off_t* offset, std::size_t size) noexcept;
ssize_t splice(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t size,
               unsigned flags) noexcept;
ssize_t tee(int from, int to, std::size_t size, unsigned flags) noexcept;
ssize_t splice_memory(int fd, iovec const* parts, std::size_t count, unsigned flags) noexcept;

// accept4(2), connect(2)
int accept(int fd, sockaddr* address, socklen_t* length, int flags) noexcept;
int connect(int fd, sockaddr const* address, socklen_t length, time_point limit = never) noexcept;

// What ends a wait for several descriptors, beside them: `deadline`, and a signal's handler that ran since handled_signals was
// `signals`.
struct wait_limit {
    // NOLINTNEXTLINE(google-explicit-constructor): a deadline is mostly all that there is to say
    wait_limit(time_point deadline_) noexcept : deadline(deadline_) {}

    time_point deadline;
    std::uint32_t signals = handled_signals;
    // If not null, called once, when a first look has found nothing: lets signals through.
    void (*begin)(void* argument) = nullptr;
    void* argument = nullptr;
};

// poll(2), select(2), epoll_wait(2); select doesn't touch a timeval
int poll(pollfd* fds, nfds_t count, wait_limit const& limit) noexcept;
int select(int count, fd_set* read, fd_set* write, fd_set* except, wait_limit const& limit) noexcept;
int epoll_wait(int epoll, epoll_event* events, int most, wait_limit const& limit) noexcept;

// Waits until `fd` shows EPOLLIN, once more after every look at it. False with EINTR, if a handler without SA_RESTART has run, or
// another errno.
bool wait_until_readable(int fd, char const* operation) noexcept;

// close(2), for whoever doesn't go through the patched name; any thread
int close(int fd) noexcept;

// A socket of weft's own, close-on-exec. O_NONBLOCK is set on it, which saves asking poll first; the calls above wait on
// it all the same. Any thread.
int open_own_socket(int domain, int type) noexcept;

// Tells the descriptor table of what is neither a file nor a socket; `flags`: pipe2(2)'s. Any thread.
void opened_pipe(int fd, int flags) noexcept;

// Tells the descriptor table of a socket just opened, of socket(2)'s domain and type (with SOCK_NONBLOCK); any thread.
void opened_socket(int fd, int domain, int type, int protocol) noexcept;

} // namespace weft::detail::io
