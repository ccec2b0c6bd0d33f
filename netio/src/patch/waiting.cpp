// The patched calls that wait for several descriptors at once.
#include <poll.h>
#include <sys/select.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include <weft/detail/fiber_core.hpp>

#include "../io.hpp"
#include "libc_function.hpp"

using weft::detail::current_fiber;
using weft::detail::libc_function;
namespace io = weft::detail::io;

namespace {

constexpr libc_function<"poll", int(pollfd*, nfds_t, int)> libc_poll;
constexpr libc_function<"__poll_chk", int(pollfd*, nfds_t, int, size_t)> libc_poll_chk;
constexpr libc_function<"select", int(int, fd_set*, fd_set*, fd_set*, timeval*)> libc_select;

weft::time_point deadline_of(int milliseconds) noexcept {
    return milliseconds < 0 ? weft::never : weft::deadline_after(std::chrono::milliseconds(milliseconds));
}

// Linux tells through the timeout how much of it was left.
void tell_what_is_left(timeval& timeout, weft::time_point deadline) noexcept {
    auto const left = std::max(deadline - weft::clock::now(), weft::clock::duration::zero());
    auto const seconds = std::chrono::floor<std::chrono::seconds>(left);
    timeout.tv_sec = seconds.count();
    timeout.tv_usec = std::chrono::floor<std::chrono::microseconds>(left - seconds).count();
}

} // namespace

extern "C" {

int poll(pollfd* fds, nfds_t count, int timeout) {
    if (current_fiber == nullptr)
        return libc_poll(fds, count, timeout);
    return io::poll(fds, count, deadline_of(timeout));
}

int select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
    if (current_fiber == nullptr)
        return libc_select(count, read, write, except, timeout);
    if (timeout == nullptr)
        return io::select(count, read, write, except, weft::never);
    if (timeout->tv_sec < 0 || timeout->tv_usec < 0) {
        errno = EINVAL;
        return -1;
    }
    weft::time_point const deadline = weft::deadline_after(std::chrono::seconds(timeout->tv_sec) +
                                                           std::chrono::microseconds(timeout->tv_usec));
    int const result = io::select(count, read, write, except, deadline);
    tell_what_is_left(*timeout, deadline);
    return result;
}

int __poll_chk(pollfd* fds, nfds_t count, int timeout, size_t room) {
    if (current_fiber == nullptr || count > room / sizeof *fds)
        return libc_poll_chk(fds, count, timeout, room);
    return io::poll(fds, count, deadline_of(timeout));
}

// libc's own older names, which old binaries call.
int __poll(pollfd* fds, nfds_t count, int timeout) { return poll(fds, count, timeout); }
int __select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
    return select(count, read, write, except, timeout);
}

} // extern "C"
