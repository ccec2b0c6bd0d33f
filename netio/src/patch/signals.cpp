// The patched calls that install signal handlers, and those that wait for signals.
//
// A handler is installed as one of ours, which tells the scheduler that a handler runs (interrupt.hpp), and calls the program's
// with the same arguments. What a program asks about its handlers is answered with its own.
//
// While the program's handler runs, the thread counts as one that runs no fiber: what the handler calls is libc's own, as
// only such calls are safe there.
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <weft/clock.hpp>
#include <weft/detail/interrupt.hpp>
#include <weft/detail/park.hpp>

#include "../ended_wait.hpp"
#include "../io.hpp"
#include "../sys.hpp"
#include "../user_memory.hpp"
#include "libc_function.hpp"
#include "on_fiber.hpp"
#include "signal_mask.hpp"
#include "vfork.hpp"

using weft::detail::copy_in;
using weft::detail::current_fiber;
using weft::detail::fiber_core;
using weft::detail::handled_signals;
using weft::detail::in_signal_handler;
using weft::detail::interruption;
using weft::detail::libc_function;
using weft::detail::on_fiber;
using weft::detail::scoped_signal_mask;
namespace io = weft::detail::io;
namespace sys = weft::detail::sys;

namespace {

constexpr libc_function<"sigaction", int(int, struct sigaction const*, struct sigaction*)> libc_sigaction;
constexpr libc_function<"siglongjmp", void(sigjmp_buf, int)> libc_siglongjmp;
constexpr libc_function<"__longjmp_chk", void(sigjmp_buf, int)> libc_longjmp_chk;
constexpr libc_function<"pause", int()> libc_pause;
constexpr libc_function<"sigsuspend", int(sigset_t const*)> libc_sigsuspend;
constexpr libc_function<"sigwait", int(sigset_t const*, int*)> libc_sigwait;
constexpr libc_function<"sigwaitinfo", int(sigset_t const*, siginfo_t*)> libc_sigwaitinfo;
constexpr libc_function<"sigtimedwait", int(sigset_t const*, siginfo_t*, timespec const*)> libc_sigtimedwait;

// What the program asked for. Two places for each signal, used in turn, so that a handler that is being delivered still finds
// its own while the next is installed.
struct handler {
    std::atomic<void (*)(int, siginfo_t*, void*)> function{nullptr};
    std::atomic<int> flags{0};
};
std::array<std::array<handler, 2>, NSIG> handlers;
// The place that was used last; SA_RESETHAND takes our handler away, but leaves our flags.
std::array<std::atomic<std::size_t>, NSIG> latest_place;

// The fiber that the program's innermost handler interrupted; null if no handler runs on this thread.
__thread fiber_core* interrupted_fiber __attribute__((tls_model("initial-exec"))) = nullptr;

class handler_scope {
public:
    handler_scope() noexcept
        : fiber_(std::exchange(current_fiber, nullptr)),
          outer_(interrupted_fiber),
          in_handler_(std::exchange(in_signal_handler, true)) {
        if (fiber_ != nullptr)
            interrupted_fiber = fiber_;
    }
    handler_scope(handler_scope const&) = delete;
    handler_scope& operator=(handler_scope const&) = delete;
    ~handler_scope() {
        current_fiber = fiber_;
        interrupted_fiber = outer_;
        in_signal_handler = in_handler_;
    }

private:
    fiber_core* fiber_;
    fiber_core* outer_;
    bool in_handler_;
};

// A handler that is left by longjmp ends there.
void leave_handlers() noexcept {
    if (interrupted_fiber != nullptr)
        current_fiber = std::exchange(interrupted_fiber, nullptr);
    in_signal_handler = false;
}

template <std::size_t Place> void handle(int signal, siginfo_t* info, void* context) {
    handler const& chosen = handlers[static_cast<std::size_t>(signal)][Place];
    weft::detail::signal_handled((chosen.flags.load(std::memory_order_relaxed) & SA_RESTART) != 0);
    handler_scope const scope;
    // The calling conventions let a function take fewer arguments than it is given.
    chosen.function.load(std::memory_order_relaxed)(signal, info, context);
}

int place_of(struct sigaction const& action) noexcept {
    if ((action.sa_flags & SA_SIGINFO) == 0)
        return -1;
    return action.sa_sigaction == handle<0> ? 0 : action.sa_sigaction == handle<1> ? 1 : -1;
}

bool is_function(struct sigaction const& action) noexcept {
    return action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
}

void translate(int signal, struct sigaction& action) noexcept {
    auto& places = handlers[static_cast<std::size_t>(signal)];
    int const place = place_of(action);
    if (place < 0) {
        auto const latest = latest_place[static_cast<std::size_t>(signal)].load(std::memory_order_relaxed);
        if (!is_function(action) && (static_cast<unsigned>(action.sa_flags) & SA_RESETHAND) != 0 &&
            (places[latest].flags.load(std::memory_order_relaxed) & SA_SIGINFO) == 0)
            action.sa_flags &= ~SA_SIGINFO;
        return;
    }
    handler const& ours = places[static_cast<std::size_t>(place)];
    action.sa_sigaction = ours.function.load(std::memory_order_relaxed);
    if ((ours.flags.load(std::memory_order_relaxed) & SA_SIGINFO) == 0)
        action.sa_flags &= ~SA_SIGINFO;
}

int install(int signal, struct sigaction const* wanted, struct sigaction* previous) noexcept {
    struct sigaction present {};
    bool const wraps = wanted != nullptr && is_function(*wanted) && signal > 0 && signal < NSIG &&
                       !weft::detail::in_vfork_child;
    if (!wraps) {
        int const result = libc_sigaction(signal, wanted, previous);
        if (result == 0 && previous != nullptr)
            translate(signal, *previous);
        return result;
    }
    if (libc_sigaction(signal, nullptr, &present) != 0)
        return -1;
    std::size_t const place = place_of(present) == 0 ? 1 : 0;
    handler& chosen = handlers[static_cast<std::size_t>(signal)][place];
    struct sigaction ours = *wanted;
    chosen.function.store(wanted->sa_sigaction, std::memory_order_relaxed);
    chosen.flags.store(wanted->sa_flags, std::memory_order_relaxed);
    latest_place[static_cast<std::size_t>(signal)].store(place, std::memory_order_relaxed);
    ours.sa_sigaction = place == 0 ? handle<0> : handle<1>;
    ours.sa_flags |= SA_SIGINFO;
    int const result = libc_sigaction(signal, &ours, previous);
    if (result == 0 && previous != nullptr)
        translate(signal, *previous);
    return result;
}

// The signals for which siginterrupt() has asked that calls end.
std::array<std::atomic<bool>, NSIG> interrupting;

sighandler_t install_simple(int signal, sighandler_t function, int flags, bool masked) noexcept {
    struct sigaction action {};
    struct sigaction previous {};
    if (function == SIG_ERR || signal < 1 || signal >= NSIG) {
        errno = EINVAL;
        return SIG_ERR;
    }
    action.sa_handler = function;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    if (masked)
        sigaddset(&action.sa_mask, signal);
    return install(signal, &action, &previous) == 0 ? previous.sa_handler : SIG_ERR;
}

sighandler_t install_bsd(int signal, sighandler_t function) noexcept {
    bool const ends_calls = signal > 0 && signal < NSIG &&
                            interrupting[static_cast<std::size_t>(signal)].load(std::memory_order_relaxed);
    return install_simple(signal, function, ends_calls ? 0 : SA_RESTART, true);
}

// Until a handler has run; `mask` applies meanwhile.
int wait_for_handler(char const* operation, sigset_t const* mask) noexcept {
    std::uint32_t const seen = handled_signals;
    scoped_signal_mask const scope(mask);
    int error = 0;
    while (handled_signals == seen && error == 0)
        error =
            weft::detail::ended_by(weft::detail::sleep_until({operation}, weft::never, interruption::always));
    errno = error != 0 ? error : EINTR;
    return -1;
}

// A signal of `set` that is pending is taken; until there is one, a signalfd tells when to look again. Interrupted by handlers of
// other signals.
int wait_for_signal(sigset_t const* set, siginfo_t* info, weft::time_point deadline) noexcept {
    int notifier = -1;
    int result = -1;
    for (;;) {
        result = sys::take_signal(set, info);
        if (result >= 0 || errno != EAGAIN || deadline <= weft::clock::now())
            break;
        if (notifier < 0) {
            notifier = ::signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
            if (notifier < 0)
                break;
            continue; // one may have come before
        }
        pollfd look{.fd = notifier, .events = POLLIN, .revents = 0};
        if (io::poll(&look, 1, deadline) < 0)
            break;
    }
    if (notifier >= 0) {
        int const error = errno;
        io::close(notifier);
        errno = error;
    }
    if (result >= 0 && info != nullptr && info->si_code == SI_TKILL)
        info->si_code = SI_USER; // as libc has it
    return result;
}

} // namespace

extern "C" {

int sigaction(int signal, struct sigaction const* wanted, struct sigaction* previous) noexcept {
    return install(signal, wanted, previous);
}

sighandler_t signal(int signal, sighandler_t function) noexcept { return install_bsd(signal, function); }
sighandler_t bsd_signal(int signal, sighandler_t function) noexcept { return install_bsd(signal, function); }
sighandler_t ssignal(int signal, sighandler_t function) noexcept { return install_bsd(signal, function); }

sighandler_t sysv_signal(int signal, sighandler_t function) noexcept {
    return install_simple(signal, function, static_cast<int>(SA_RESETHAND | SA_NODEFER), false);
}

int siginterrupt(int signal, int ends_calls) noexcept {
    struct sigaction action {};
    if (install(signal, nullptr, &action) != 0)
        return -1;
    interrupting[static_cast<std::size_t>(signal)].store(ends_calls != 0, std::memory_order_relaxed);
    action.sa_flags = ends_calls != 0 ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
    return install(signal, &action, nullptr);
}

int pause() {
    if (!on_fiber())
        return libc_pause();
    return wait_for_handler("pause", nullptr);
}

int sigsuspend(sigset_t const* mask) {
    if (!on_fiber())
        return libc_sigsuspend(mask);
    constexpr std::size_t kernels_size = NSIG / 8;
    sigset_t copy{};
    return copy_in(&copy, mask, kernels_size) ? wait_for_handler("sigsuspend", &copy) : -1;
}

// X/Open's: waits with `signal` let through, beside what is already.
int __xpg_sigpause(int signal) {
    sigset_t mask = weft::detail::program_signal_mask();
    return sigdelset(&mask, signal) == 0 ? ::sigsuspend(&mask) : -1;
}
// BSD's: with a mask of the first signals.
int __sigpause(int signal_or_mask, int is_signal) {
    if (is_signal != 0)
        return __xpg_sigpause(signal_or_mask);
    sigset_t mask;
    sigemptyset(&mask);
    for (int signal = 1; signal <= 32; ++signal)
        if ((static_cast<unsigned>(signal_or_mask) >> (signal - 1) & 1U) != 0)
            sigaddset(&mask, signal);
    return ::sigsuspend(&mask);
}
// By this name signal.h calls X/Open's.
int weft_bsd_sigpause(int mask) __asm__("sigpause");
int weft_bsd_sigpause(int mask) { return __sigpause(mask, 0); }

// sigset(3): a handler for a signal that is then let through, or SIG_HOLD.
sighandler_t sigset(int signal, sighandler_t wanted) noexcept {
    sigset_t one;
    sigset_t before;
    if (sigemptyset(&one) != 0 || sigaddset(&one, signal) != 0)
        return SIG_ERR;
    if (wanted == SIG_HOLD) {
        struct sigaction present {};
        if (::pthread_sigmask(SIG_BLOCK, &one, &before) != 0 || install(signal, nullptr, &present) != 0)
            return SIG_ERR;
        return sigismember(&before, signal) == 1 ? SIG_HOLD : present.sa_handler;
    }
    sighandler_t const previous = install_simple(signal, wanted, 0, false);
    if (previous == SIG_ERR || ::pthread_sigmask(SIG_UNBLOCK, &one, &before) != 0)
        return SIG_ERR;
    return sigismember(&before, signal) == 1 ? SIG_HOLD : previous;
}

int sigwaitinfo(sigset_t const* set, siginfo_t* info) {
    if (!on_fiber())
        return libc_sigwaitinfo(set, info);
    return wait_for_signal(set, info, weft::never);
}

int sigtimedwait(sigset_t const* set, siginfo_t* info, timespec const* timeout) {
    constexpr long second = 1'000'000'000;
    timespec asked{};
    if (timeout == nullptr)
        return sigwaitinfo(set, info);
    if (!on_fiber())
        return libc_sigtimedwait(set, info, timeout);
    if (!copy_in(asked, timeout))
        return -1;
    if (asked.tv_nsec < 0 || asked.tv_nsec >= second || asked.tv_sec < 0) {
        errno = EINVAL;
        return -1;
    }
    using long_seconds =
        std::chrono::duration<long double>; // of which there may be more than nanoseconds can count
    return wait_for_signal(
        set, info,
        weft::deadline_after(long_seconds(asked.tv_sec) + std::chrono::nanoseconds(asked.tv_nsec)));
}

int sigwait(sigset_t const* set, int* signal) {
    if (!on_fiber())
        return libc_sigwait(set, signal);
    int taken = -1;
    while ((taken = wait_for_signal(set, nullptr, weft::never)) < 0)
        if (errno != EINTR)
            return errno;
    *signal = taken;
    return 0;
}

void siglongjmp(sigjmp_buf where, int value) noexcept {
    leave_handlers();
    libc_siglongjmp(where, value);
    __builtin_unreachable();
}
void longjmp(jmp_buf where, int value) noexcept {
    leave_handlers();
    libc_siglongjmp(where, value);
    __builtin_unreachable();
}
void _longjmp(jmp_buf where, int value) noexcept {
    leave_handlers();
    libc_siglongjmp(where, value);
    __builtin_unreachable();
}
[[noreturn]] void __longjmp_chk(sigjmp_buf where, int value) noexcept {
    leave_handlers();
    libc_longjmp_chk(where, value);
    __builtin_unreachable();
}

// libc's own other names.
int __sigaction(int signal, struct sigaction const* wanted, struct sigaction* previous) noexcept {
    return install(signal, wanted, previous);
}
int __sigsuspend(sigset_t const* mask) { return sigsuspend(mask); }
sighandler_t __sysv_signal(int signal, sighandler_t function) noexcept {
    return sysv_signal(signal, function);
}

} // extern "C"
