// syscall(2), by which programs reach the kernel past libc's other functions. A system call that may wait, or of which
// weft must know, is made as the patched function of its name makes it. Not reached: system calls by the instruction
// itself.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <ctime>
#include <type_traits>
#include <utility>

#include <weft/detail/call_table.hpp>
#include <weft/detail/system_call.hpp>

#include "../user_memory.hpp"
#include "futexes.hpp"
#include "on_fiber.hpp"

namespace {

using arguments = std::array<long, 6>;

// An argument as the function takes it.
struct argument {
    long value;

    template <class Type>
    operator Type*() const noexcept { // NOLINT(google-explicit-constructor): that is its purpose
        return reinterpret_cast<Type*>(value);
    }
    template <class Type>
        requires std::is_integral_v<Type>
    operator Type() const noexcept { // NOLINT(google-explicit-constructor)
        return static_cast<Type>(value);
    }
};

long pass_on(long number, arguments const& a) {
    return weft::detail::make_system_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// Only the kernel's part of it is looked at, which is shorter than libc's.
sigset_t const* mask_at(long address) noexcept { return reinterpret_cast<sigset_t const*>(address); }

// Of another size than its own, the kernel refuses a mask.
bool is_refused(long mask, long size) noexcept { return mask != 0 && size != NSIG / 8; }

// pselect6's last argument.
struct mask_and_size {
    long mask;
    std::size_t size;
};

// Calls `function` with as many of the arguments as it takes.
template <class Result, class... Parameters, std::size_t... Index>
long spread(Result (*function)(Parameters...), arguments const& given, std::index_sequence<Index...>) {
    return static_cast<long>(function(static_cast<Parameters>(argument{given[Index]})...));
}
template <class Result, class... Parameters>
long pass(Result (*function)(Parameters...), arguments const& given) {
    return spread(function, given, std::index_sequence_for<Parameters...>());
}
template <class Result, class... Parameters>
long pass(Result (*function)(Parameters...) noexcept, arguments const& given) {
    return spread(static_cast<Result (*)(Parameters...)>(function), given,
                  std::index_sequence_for<Parameters...>());
}

using handler = long(arguments const&);

long sleep_by_clock(arguments const& a) {
    int const error =
        ::clock_nanosleep(static_cast<clockid_t>(a[0]), static_cast<int>(a[1]),
                          reinterpret_cast<timespec const*>(a[2]), reinterpret_cast<timespec*>(a[3]));
    if (error != 0)
        errno = error;
    return error == 0 ? 0 : -1;
}

long poll_with_mask(arguments const& a) {
    if (is_refused(a[3], a[4]))
        return pass_on(SYS_ppoll, a);
    return ::ppoll(reinterpret_cast<pollfd*>(a[0]), static_cast<nfds_t>(a[1]),
                   reinterpret_cast<timespec const*>(a[2]), mask_at(a[3]));
}

long select_with_mask(arguments const& a) {
    mask_and_size last{};
    if (a[5] != 0 && !weft::detail::copy_in(last, reinterpret_cast<mask_and_size const*>(a[5])))
        return -1;
    if (is_refused(last.mask, static_cast<long>(last.size)))
        return pass_on(SYS_pselect6, a);
    return ::pselect(static_cast<int>(a[0]), reinterpret_cast<fd_set*>(a[1]), reinterpret_cast<fd_set*>(a[2]),
                     reinterpret_cast<fd_set*>(a[3]), reinterpret_cast<timespec const*>(a[4]),
                     mask_at(last.mask));
}

long epoll_with_mask(arguments const& a) {
    if (is_refused(a[4], a[5]))
        return pass_on(SYS_epoll_pwait, a);
    return ::epoll_pwait(static_cast<int>(a[0]), reinterpret_cast<epoll_event*>(a[1]), static_cast<int>(a[2]),
                         static_cast<int>(a[3]), mask_at(a[4]));
}

long epoll_with_mask_and_time(arguments const& a) {
    if (is_refused(a[4], a[5]))
        return pass_on(SYS_epoll_pwait2, a);
    return ::epoll_pwait2(static_cast<int>(a[0]), reinterpret_cast<epoll_event*>(a[1]),
                          static_cast<int>(a[2]), reinterpret_cast<timespec const*>(a[3]), mask_at(a[4]));
}

long wait_by_id(arguments const& a) {
    if (a[4] != 0) // what the child has used, which no function of libc tells: blocks its worker
        return pass_on(SYS_waitid, a);
    return ::waitid(static_cast<idtype_t>(a[0]), static_cast<id_t>(a[1]), reinterpret_cast<siginfo_t*>(a[2]),
                    static_cast<int>(a[3]));
}

long control(arguments const& a) { return ::fcntl(static_cast<int>(a[0]), static_cast<int>(a[1]), a[2]); }
long control_device(arguments const& a) {
    return ::ioctl(static_cast<int>(a[0]), static_cast<unsigned long>(a[1]), a[2]);
}

struct entry {
    long number;
    handler* make;
};

// By the name of the function that does the same.
constexpr entry entries[] = {
    {SYS_read, [](arguments const& a) { return pass(::read, a); }},
    {SYS_readv, [](arguments const& a) { return pass(::readv, a); }},
    {SYS_write, [](arguments const& a) { return pass(::write, a); }},
    {SYS_writev, [](arguments const& a) { return pass(::writev, a); }},
    {SYS_recvfrom, [](arguments const& a) { return pass(::recvfrom, a); }},
    {SYS_recvmsg, [](arguments const& a) { return pass(::recvmsg, a); }},
    {SYS_recvmmsg, [](arguments const& a) { return pass(::recvmmsg, a); }},
    {SYS_sendto, [](arguments const& a) { return pass(::sendto, a); }},
    {SYS_sendmsg, [](arguments const& a) { return pass(::sendmsg, a); }},
    {SYS_sendmmsg, [](arguments const& a) { return pass(::sendmmsg, a); }},
    {SYS_accept, [](arguments const& a) { return pass(::accept, a); }},
    {SYS_accept4, [](arguments const& a) { return pass(::accept4, a); }},
    {SYS_connect, [](arguments const& a) { return pass(::connect, a); }},
    {SYS_splice, [](arguments const& a) { return pass(::splice, a); }},
    {SYS_tee, [](arguments const& a) { return pass(::tee, a); }},
    {SYS_vmsplice, [](arguments const& a) { return pass(::vmsplice, a); }},
    {SYS_ppoll, poll_with_mask},
    {SYS_pselect6, select_with_mask},
    {SYS_epoll_pwait, epoll_with_mask},
    {SYS_epoll_pwait2, epoll_with_mask_and_time},
    {SYS_nanosleep, [](arguments const& a) { return pass(::nanosleep, a); }},
    {SYS_clock_nanosleep, sleep_by_clock},
    {SYS_sched_yield, [](arguments const& a) { return pass(::sched_yield, a); }},
    {SYS_wait4, [](arguments const& a) { return pass(::wait4, a); }},
    {SYS_waitid, wait_by_id},
    {SYS_flock, [](arguments const& a) { return pass(::flock, a); }},
#if defined(SYS_poll) // not on arm64, where there are but the newer ones
    {SYS_poll, [](arguments const& a) { return pass(::poll, a); }},
    {SYS_select, [](arguments const& a) { return pass(::select, a); }},
    {SYS_epoll_wait, [](arguments const& a) { return pass(::epoll_wait, a); }},
    {SYS_pause, [](arguments const& a) { return pass(::pause, a); }},
#endif
};

// Of these weft must know, from whatever thread they come. A futex may wake fibers.
constexpr entry noted_entries[] = {
    {SYS_futex, weft::detail::call_futex},
    {SYS_close, [](arguments const& a) { return pass(::close, a); }},
    {SYS_close_range, [](arguments const& a) { return pass(::close_range, a); }},
    {SYS_dup, [](arguments const& a) { return pass(::dup, a); }},
    {SYS_dup3, [](arguments const& a) { return pass(::dup3, a); }},
    {SYS_setsockopt, [](arguments const& a) { return pass(::setsockopt, a); }},
    {SYS_fcntl, control},
    {SYS_ioctl, control_device},
#if defined(SYS_dup2)
    {SYS_dup2, [](arguments const& a) { return pass(::dup2, a); }},
#endif
};

template <std::size_t Count> handler* find_in(entry const (&all)[Count], long number) noexcept {
    for (entry const& each : all)
        if (each.number == number)
            return each.make;
    return nullptr;
}

handler* find(long number) noexcept {
    handler* const found = find_in(noted_entries, number);
    return found != nullptr || weft::detail::current_fiber == nullptr ? found : find_in(entries, number);
}

} // namespace

bool weft::detail::is_patched_system_call(long number) noexcept {
    return find_in(entries, number) != nullptr || find_in(noted_entries, number) != nullptr;
}

extern "C" long syscall(long number, ...) noexcept {
    arguments given{};
    va_list all;
    va_start(all, number);
    for (long& each : given)
        each = va_arg(all, long); // more than there may be: as libc's own, which passes on every register
    va_end(all);
    if (handler* const patched = find(number))
        return patched(given);
    return pass_on(number, given);
}
