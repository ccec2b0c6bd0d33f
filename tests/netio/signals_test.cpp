// Signal handlers and fibers: which calls they end, what handlers may do, and the calls that wait for signals.
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <functional>

#include <boost/test/unit_test.hpp>

#include <weft/clock.hpp>
#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;

int volatile handled = 0;

class handler {
public:
    explicit handler(
        int signal, int flags = 0, void (*function)(int) = [](int) { handled = handled + 1; })
        : signal_(signal) {
        struct sigaction action {};
        action.sa_handler = function;
        action.sa_flags = flags;
        BOOST_TEST(::sigaction(signal, &action, &previous_) == 0);
        handled = 0;
    }
    handler(handler const&) = delete;
    handler& operator=(handler const&) = delete;
    ~handler() { ::sigaction(signal_, &previous_, nullptr); }

private:
    int signal_;
    struct sigaction previous_ {};
};

// SIGALRM comes every 5 ms, as long as this lives: the first after the call has begun to wait, or one of the next.
class alarms {
public:
    alarms() {
        itimerval const often{.it_interval = {0, 5000}, .it_value = {0, 5000}};
        ::setitimer(ITIMER_REAL, &often, nullptr);
    }
    alarms(alarms const&) = delete;
    alarms& operator=(alarms const&) = delete;
    ~alarms() {
        itimerval const never{};
        ::setitimer(ITIMER_REAL, &never, nullptr);
    }
};

// `call` returns -1; errno after it.
int error_of(std::function<long()> const& call) {
    alarms const ringing;
    errno = 0;
    return call() == -1 ? errno : 0;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_handler_without_restart_ends_what_main_waits_in) {
    handler const on_alarm(SIGALRM);
    weft::run([] {
        auto const sockets = support::tcp_pair();
        auto const pipes = support::pipe_pair();
        support::listener const listener;
        std::array<char, 16> buffer{};
        BOOST_TEST(error_of([&] { return ::recv(sockets[0].get(), buffer.data(), 16, 0); }) == EINTR);
        BOOST_TEST(error_of([&] { return ::read(pipes[0].get(), buffer.data(), 16); }) == EINTR);
        BOOST_TEST(error_of([&] { return ::accept(listener.fd.get(), nullptr, nullptr); }) == EINTR);
        pollfd one{.fd = sockets[0].get(), .events = POLLIN, .revents = 0};
        BOOST_TEST(error_of([&] { return ::poll(&one, 1, -1); }) == EINTR);
        fd_set set;
        FD_ZERO(&set);
        FD_SET(sockets[0].get(), &set);
        BOOST_TEST(error_of([&] {
                       return ::select(sockets[0].get() + 1, &set, nullptr, nullptr, nullptr);
                   }) == EINTR);
        BOOST_TEST(FD_ISSET(sockets[0].get(), &set)); // as it was
        support::unique_fd const epoll(::epoll_create1(0));
        epoll_event event{};
        BOOST_TEST(error_of([&] { return ::epoll_wait(epoll.get(), &event, 1, -1); }) == EINTR);
        BOOST_TEST(error_of([] { return ::pause(); }) == EINTR);
        timespec const time{.tv_sec = 100, .tv_nsec = 0};
        timespec left{};
        BOOST_TEST(error_of([&] { return ::nanosleep(&time, &left); }) == EINTR);
        BOOST_TEST((left.tv_sec == 99 && left.tv_nsec > 0));
        alarms const ringing;
        BOOST_TEST(::clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &left) == EINTR);
        BOOST_TEST(::sleep(100) == 99U);
    });
}

// signal(7): these go on where they were; those of time and of several descriptors don't.
BOOST_AUTO_TEST_CASE(a_handler_with_restart_ends_only_what_is_never_restarted) {
    handler const on_alarm(SIGALRM, SA_RESTART);
    weft::run([] {
        auto const sockets = support::tcp_pair();
        std::array<char, 16> buffer{};
        auto sender = weft::spawn([&] {
            while (handled < 3)
                weft::this_fiber::sleep_for(1ms);
            ::send(sockets[1].get(), "hello", 5, 0);
        });
        {
            alarms const ringing;
            BOOST_TEST(::recv(sockets[0].get(), buffer.data(), 16, 0) == 5);
        }
        pollfd one{.fd = sockets[0].get(), .events = POLLIN, .revents = 0};
        BOOST_TEST(error_of([&] { return ::poll(&one, 1, -1); }) == EINTR);
        // With a time limit, neither is this: signal(7).
        timeval const limit{.tv_sec = 100, .tv_usec = 0};
        ::setsockopt(sockets[0].get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        BOOST_TEST(error_of([&] { return ::recv(sockets[0].get(), buffer.data(), 16, 0); }) == EINTR);
        handler const ends_calls(SIGALRM);
        timeval const none{};
        ::setsockopt(sockets[0].get(), SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
        BOOST_TEST(error_of([&] { return ::recv(sockets[0].get(), buffer.data(), 16, 0); }) == EINTR);
    });
}

// main waits in a call that no handler ends: then it is the oldest fiber's that can.
BOOST_AUTO_TEST_CASE(without_main_the_oldest_fiber_is_interrupted) {
    handler const on_alarm(SIGALRM);
    weft::run([] {
        auto const sockets = support::unix_pair();
        std::array<char, 16> buffer{};
        auto oldest = weft::spawn([&] {
            alarms const ringing;
            BOOST_TEST(::recv(sockets[0].get(), buffer.data(), 16, 0) == -1);
            BOOST_TEST(errno == EINTR);
        });
        auto younger = weft::spawn([&] { BOOST_TEST(::recv(sockets[1].get(), buffer.data(), 16, 0) == 2); });
        oldest.join();
        ::send(sockets[0].get(), "ok", 2, 0);
    });
}

BOOST_AUTO_TEST_CASE(a_signal_before_a_call_does_not_end_it) {
    handler const on_signal(SIGUSR1);
    weft::run([] {
        auto const sockets = support::unix_pair();
        std::array<char, 16> buffer{};
        auto sender = weft::spawn([&] { ::send(sockets[1].get(), "x", 1, 0); });
        ::raise(SIGUSR1);
        BOOST_TEST(handled == 1);
        BOOST_TEST(::recv(sockets[0].get(), buffer.data(), 16, 0) == 1);
    });
}

BOOST_AUTO_TEST_CASE(a_program_finds_its_own_handlers) {
    auto const mine = [](int) {};
    struct sigaction action {};
    struct sigaction seen {};
    action.sa_handler = mine;
    action.sa_flags = SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    ::sigaction(SIGUSR1, &action, nullptr);
    ::sigaction(SIGUSR1, nullptr, &seen);
    BOOST_TEST((seen.sa_handler == action.sa_handler));
    BOOST_TEST((seen.sa_flags & (SA_SIGINFO | SA_NODEFER)) == SA_NODEFER);
    BOOST_TEST(::sigismember(&seen.sa_mask, SIGUSR2) == 1);
    BOOST_TEST((::signal(SIGUSR1, SIG_IGN) == action.sa_handler));
    BOOST_TEST((::signal(SIGUSR1, SIG_DFL) == SIG_IGN));
    BOOST_TEST((::signal(-1, SIG_DFL) == SIG_ERR));
    BOOST_TEST(errno == EINVAL);

    static siginfo_t received;
    action.sa_flags = SA_SIGINFO | static_cast<int>(SA_RESETHAND);
    action.sa_sigaction = [](int, siginfo_t* info, void*) { received = *info; };
    ::sigaction(SIGUSR1, &action, nullptr);
    ::sigqueue(::getpid(), SIGUSR1, {.sival_int = 42});
    BOOST_TEST(received.si_value.sival_int == 42);
    ::sigaction(SIGUSR1, nullptr, &seen);
    BOOST_TEST((seen.sa_handler == SIG_DFL));
}

namespace {

sigjmp_buf back;

} // namespace

BOOST_AUTO_TEST_CASE(a_handler_may_be_left_by_siglongjmp) {
    handler const on_signal(SIGUSR1, 0, [](int) { siglongjmp(back, 1); });
    weft::run([] {
        auto const sockets = support::unix_pair();
        std::array<char, 16> buffer{};
        if (sigsetjmp(back, 1) == 0)
            ::raise(SIGUSR1);
        // Still a fiber, which waits without blocking its thread.
        auto sender = weft::spawn([&] { ::send(sockets[1].get(), "x", 1, 0); });
        BOOST_TEST(::recv(sockets[0].get(), buffer.data(), 16, 0) == 1);
    });
}

// What a handler calls is libc's own: it may not switch fibers.
BOOST_AUTO_TEST_CASE(a_handlers_calls_are_libcs) {
    static std::array<support::unique_fd, 2> pipes;
    pipes = support::pipe_pair();
    handler const on_signal(SIGUSR1, SA_RESTART, [](int) {
        std::array<char, 4> byte{};
        handled =
            handled +
            (::write(pipes[1].get(), "y", 1) == 1 && ::read(pipes[0].get(), byte.data(), 1) == 1 ? 1 : 0);
    });
    weft::run([] {
        bool other = false;
        auto fiber = weft::spawn([&] { other = true; });
        ::raise(SIGUSR1);
        BOOST_TEST(handled == 1);
        BOOST_TEST(!other);
    });
    pipes = {};
}

BOOST_AUTO_TEST_CASE(masks_of_a_wait_let_pending_signals_in) {
    handler const on_signal(SIGUSR1);
    sigset_t blocked;
    sigset_t none;
    sigset_t before;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    weft::run([&] {
        ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
        for (int i = 0; i < 4; ++i) {
            ::raise(SIGUSR1);
            BOOST_TEST(handled == i);
            epoll_event event{};
            support::unique_fd const epoll(::epoll_create1(0));
            int result = 0;
            switch (i) {
            case 0: result = ::ppoll(nullptr, 0, nullptr, &none); break;
            case 1: result = ::pselect(0, nullptr, nullptr, nullptr, nullptr, &none); break;
            case 2: result = ::epoll_pwait(epoll.get(), &event, 1, -1, &none); break;
            default: result = ::sigsuspend(&none); break;
            }
            BOOST_TEST(result == -1);
            BOOST_TEST(errno == EINTR);
            BOOST_TEST(handled == i + 1);
        }
        sigset_t now;
        ::pthread_sigmask(SIG_SETMASK, &before, &now);
        BOOST_TEST(::sigismember(&now, SIGUSR1) == 1);
    });
}

// Two waits with masks of their own, of which the first one ends first.
BOOST_AUTO_TEST_CASE(overlapping_masks_leave_the_programs_own) {
    weft::run([] {
        sigset_t before;
        sigset_t after;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
        auto const wait_with = [](int blocked, int fd) {
            sigset_t mask;
            sigemptyset(&mask);
            sigaddset(&mask, blocked);
            pollfd look{.fd = fd, .events = POLLIN, .revents = 0};
            BOOST_TEST(::ppoll(&look, 1, nullptr, &mask) == 1);
        };
        auto const one = support::pipe_pair();
        auto const two = support::pipe_pair();
        auto first = weft::spawn([&] { wait_with(SIGUSR1, one[0].get()); });
        auto second = weft::spawn([&] { wait_with(SIGUSR2, two[0].get()); });
        auto both = weft::spawn([&] {
            ::write(one[1].get(), "x", 1);
            first.join();
            ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
            BOOST_TEST(sigismember(&after, SIGUSR2) == 1);
            BOOST_TEST(sigismember(&after, SIGUSR1) == 0);
            ::write(two[1].get(), "x", 1);
        });
        both.join();
        second.join();
        ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
        for (int signal = 1; signal < 32; ++signal)
            BOOST_TEST(sigismember(&after, signal) == sigismember(&before, signal));
    });
}

BOOST_AUTO_TEST_CASE(blocked_signals_are_waited_for) {
    sigset_t set;
    sigset_t before;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    weft::run([&] {
        ::pthread_sigmask(SIG_BLOCK, &set, &before);
        auto sender = weft::spawn([] {
            weft::this_fiber::yield();
            ::sigqueue(::getpid(), SIGUSR2, {.sival_int = 7});
        });
        siginfo_t info{};
        BOOST_TEST(::sigwaitinfo(&set, &info) == SIGUSR2);
        BOOST_TEST(info.si_value.sival_int == 7);
        auto second = weft::spawn([] {
            weft::this_fiber::yield();
            ::kill(::getpid(), SIGUSR1);
        });
        int taken = 0;
        BOOST_TEST(::sigwait(&set, &taken) == 0);
        BOOST_TEST(taken == SIGUSR1);
        timespec const soon{.tv_sec = 0, .tv_nsec = 5'000'000};
        BOOST_TEST(::sigtimedwait(&set, &info, &soon) == -1);
        BOOST_TEST(errno == EAGAIN);
        {
            handler const on_alarm(SIGALRM, SA_RESTART);
            BOOST_TEST(error_of([&] { return ::sigwaitinfo(&set, nullptr); }) == EINTR);
        }
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    });
}
