// faults: the system calls of sys.hpp, with what a weft::testing::fault_injector does to them. sys.hpp comes here while one is active.
//
// Each is one attempt of a call that waits: it doesn't block, and its caller waits after EAGAIN, or after a write that got short. How an
// attempt meets its faults:
//   1. It is left alone if it is not a fiber's, or if the descriptor's readiness is not ours to pretend (watched_by_us()).
//   2. One verdict is drawn, of always the same number of random numbers. So what a worker's calls meet depends on their order alone.
//   3. Delay: other fibers run. If the descriptor was closed meanwhile: EBADF, as if the call had been waiting.
//   4. Reset: the connection is ended so that the kernel knows it, and EAGAIN, as if it came during a wait: a call that has moved bytes leaves
//      the error to the next one. What becomes of this call, and later ones, is the kernel's.
//   5. Interruption: EINTR, and the kernel isn't asked.
//   6. Would block: if the kernel shows that it would not, EAGAIN.
//   7. Short: the kernel is asked for fewer bytes.
//
// The engine is edge-triggered, and its edges may be behind us. So after 4 and 6, and after a write by 7, epoll is told to report once more what is
// ready (epoll_engine::repeat_edge()). Between that and the caller's park nothing is polled, as nothing switches: no edge is lost. That is
// why only 3, which comes first, gives way to other fibers. After a read by 7, the short-read rule must not take what we left for nothing:
// watch::withheld.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>

namespace weft::detail::faults {

extern std::atomic<bool> active;

// What every attempt asks.
inline bool are_injected() noexcept {
    return __builtin_expect(active.load(std::memory_order_relaxed), 0) != 0;
}

ssize_t receive(int fd, void* buffer, std::size_t size, int flags, sockaddr* address,
                socklen_t* length) noexcept;
ssize_t receive(int fd, msghdr* message, int flags) noexcept;
int receive(int fd, mmsghdr* messages, unsigned count, int flags) noexcept;

ssize_t send(int fd, void const* data, std::size_t size, int flags, sockaddr const* address,
             socklen_t length) noexcept;
ssize_t send(int fd, msghdr const* message, int flags) noexcept;
int send(int fd, mmsghdr* messages, unsigned count, int flags) noexcept;
ssize_t send_file(int to, int from, long* offset, std::size_t size) noexcept;

ssize_t read(int fd, iovec const* parts, int count) noexcept;
ssize_t write(int fd, iovec const* parts, int count) noexcept;

int accept(int fd, sockaddr* address, socklen_t* length, int flags) noexcept;
int connect(int fd, sockaddr const* address, socklen_t length) noexcept;

short events(int fd, short wanted) noexcept;
int poll(pollfd* fds, std::size_t count) noexcept;
int select(int count, fd_set* read, fd_set* write, fd_set* except) noexcept;
int epoll(int epoll, epoll_event* events, int most) noexcept;

} // namespace weft::detail::faults
