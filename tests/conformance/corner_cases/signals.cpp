// Installing handlers, waiting for signals, and what handlers find.
#include <poll.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <csetjmp>
#include <csignal>
#include <cstring>
#include <ctime>

#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;
using namespace std::chrono_literals;

namespace {

volatile std::sig_atomic_t handled = 0;
void count(int /*signal*/) { handled = handled + 1; }
void count_more(int /*signal*/, siginfo_t* /*info*/, void* /*context*/) { handled = handled + 10; }

sigset_t set_of(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (int const signal : signals)
        sigaddset(&set, signal);
    return set;
}

char const* name_of(sighandler_t handler) {
    return handler == SIG_DFL    ? "default"
           : handler == SIG_IGN  ? "ignore"
           : handler == SIG_ERR  ? "error"
           : handler == SIG_HOLD ? "hold"
           : handler == count    ? "count"
                                 : "other";
}

void tell_action(int signal) {
    struct sigaction action {};
    TELL(sigaction(signal, nullptr, &action));
    bool const more = (action.sa_flags & SA_SIGINFO) != 0;
    say("    handler %s, flags %#x, masks itself %d",
        more ? (action.sa_sigaction == count_more ? "count_more" : "other") : name_of(action.sa_handler),
        static_cast<unsigned>(action.sa_flags), sigismember(&action.sa_mask, signal));
}

// By the other side: to the thread of the case, which is to wait.
void signal_when_it_waits(pthread_t thread, int signal) {
    until_case_waits();
    pthread_kill(thread, signal);
}

} // namespace

CORNER_CASE(installing) {
    tell_action(SIGUSR1);
    TELL(name_of(signal(SIGUSR1, count))[0]);
    tell_action(SIGUSR1);
    TELL(raise(SIGUSR1));
    TELL(handled + 0);
    struct sigaction action {};
    action.sa_sigaction = count_more;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER;
    struct sigaction before {};
    TELL(sigaction(SIGUSR1, &action, &before));
    say("before: %s", name_of(before.sa_handler));
    tell_action(SIGUSR1);
    TELL(raise(SIGUSR1));
    TELL(handled + 0);
    TELL(sigaction(SIGUSR1, &before, nullptr));
    tell_action(SIGUSR1);
    TELL(siginterrupt(SIGUSR1, 1));
    tell_action(SIGUSR1);
    TELL(siginterrupt(SIGUSR1, 0));
    tell_action(SIGUSR1);
    TELL(siginterrupt(SIGUSR2, 1));
    TELL(siginterrupt(0, 1));
    TELL(siginterrupt(77, 1));
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    action.sa_handler = count;
    TELL(sigaction(SIGUSR2, &action, nullptr));
    TELL(raise(SIGUSR2));
    tell_action(SIGUSR2);
    say("%s", name_of(signal(SIGUSR1, SIG_IGN)));
    say("%s", name_of(signal(SIGUSR1, SIG_DFL)));
    say("%s", name_of(signal(SIGUSR1, count)));
    say("%s", name_of(sysv_signal(SIGUSR1, count)));
    tell_action(SIGUSR1);
    for (int const signal : {0, -1, NSIG, 32, 33, SIGKILL, SIGSTOP, SIGRTMIN, SIGRTMAX, INT32_MAX}) {
        TELL(sigaction(signal, &action, nullptr));
        TELL(sigaction(signal, nullptr, &before));
        say("%s", name_of(::signal(signal, count)));
    }
    say("%s", name_of(signal(SIGUSR1, SIG_ERR)));
    TELL(sigaction(SIGUSR1, nullptr, nullptr));
}

CORNER_CASE(simplified_handling) {
    say("%s", name_of(sigset(SIGUSR1, count)));
    tell_action(SIGUSR1);
    say("%s", name_of(sigset(SIGUSR1, SIG_HOLD)));
    TELL(raise(SIGUSR1));
    TELL(handled + 0);
    say("%s", name_of(sigset(SIGUSR1, count)));
    TELL(handled + 0);
    TELL(sighold(SIGUSR1));
    say("%s", name_of(sigset(SIGUSR1, SIG_IGN)));
    say("%s", name_of(sigset(SIGUSR1, count)));
    say("%s", name_of(sigset(77, count)));
    say("%s", name_of(sigset(0, SIG_HOLD)));
    say("%s", name_of(sigset(SIGKILL, count)));
    TELL(sigrelse(SIGUSR1));
    TELL(sigignore(SIGUSR1));
    tell_action(SIGUSR1);
}

CORNER_CASE(what_a_handler_gets) {
    static siginfo_t got;
    static bool had_context = false;
    struct sigaction action {};
    action.sa_sigaction = [](int, siginfo_t* info, void* context) {
        got = *info;
        had_context = context != nullptr;
    };
    action.sa_flags = SA_SIGINFO;
    REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
    sigval value{};
    value.sival_int = 4711;
    TELL(sigqueue(getpid(), SIGUSR1, value));
    TELL(got.si_signo);
    TELL(got.si_value.sival_int);
    TELL(got.si_code == SI_QUEUE);
    TELL_FACT(had_context);
    errno = ENOTTY;
    raise(SIGUSR1);
    TELL_FACT(errno == ENOTTY);
}

CORNER_CASE(a_handler_that_jumps, .parks = 1,
            .threads_only = "signals that find several fibers waiting follow other rules") {
    static sigjmp_buf back;
    struct sigaction action {};
    action.sa_handler = [](int) { siglongjmp(back, 5); };
    REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
    TELL(sigsetjmp(back, 1) == 0 ? raise(SIGUSR1) : 77);
    sigset_t mask;
    TELL(sigprocmask(SIG_BLOCK, nullptr, &mask));
    TELL(sigismember(&mask, SIGUSR1));
    auto const [reader, writer] = make_pipe();
    put(writer, "abc");
    char byte = 0;
    TELL(read(reader, &byte, 1));
    TELL(usleep(1000));
}

CORNER_CASE(a_handler_that_reads_and_writes, .parks = 1,
            .threads_only = "signals that find several fibers waiting follow other rules") {
    static two_ends ends;
    static two_ends sockets;
    ends = make_pipe();
    sockets = make_tcp_pair();
    struct sigaction action {};
    action.sa_handler = [](int) {
        char byte = 0;
        handled = static_cast<int>(write(ends.second, "ab", 2) + read(ends.first, &byte, 1) +
                                   send(sockets.second, "x", 1, 0));
    };
    action.sa_flags = SA_RESTART;
    REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
    pthread_t const self = pthread_self();
    other_side const sender([self] { signal_when_it_waits(self, SIGUSR1); });
    char byte = 0;
    about_to_wait();
    TELL(recv(sockets.first, &byte, 1, 0));
    TELL(handled + 0);
    TELL(read(ends.first, &byte, 1));
}

CORNER_CASE(pausing, .parks = 4,
            .threads_only = "signals that find several fibers waiting follow other rules") {
    pthread_t const self = pthread_self();
    for (int const flags : {0, SA_RESTART}) {
        struct sigaction action {};
        action.sa_handler = count;
        action.sa_flags = flags;
        REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
        other_side const sender([self] {
            signal_when_it_waits(self, SIGUSR1);
            signal_when_it_waits(self, SIGUSR1);
        });
        about_to_wait();
        TELL(pause());
        TELL(handled + 0);
        sigset_t const all_but = set_of({SIGUSR2});
        about_to_wait();
        TELL(sigsuspend(&all_but));
        TELL(handled + 0);
    }
    // Pending when it begins: handled at once.
    sigset_t const one = set_of({SIGUSR1});
    sigset_t const none = set_of({});
    sigprocmask(SIG_BLOCK, &one, nullptr);
    raise(SIGUSR1);
    TELL(handled + 0);
    TELL(sigsuspend(&none));
    TELL(handled + 0);
    sigset_t mask;
    sigprocmask(SIG_BLOCK, nullptr, &mask);
    TELL(sigismember(&mask, SIGUSR1));
    raise(SIGUSR1);
    pollfd nothing{.fd = -1, .events = 0, .revents = 0};
    TELL(ppoll(&nothing, 1, nullptr, &none));
    TELL(handled + 0);
    raise(SIGUSR1);
    timespec const no_time{};
    TELL(ppoll(&nothing, 1, &no_time, &none));
    TELL(handled + 0);
    raise(SIGUSR1);
    TELL(pselect(0, nullptr, nullptr, nullptr, &no_time, &none));
    TELL(handled + 0);
}

CORNER_CASE(waiting_for_signals, .parks = 3,
            .threads_only = "signals that find several fibers waiting follow other rules") {
    sigset_t const set = set_of({SIGUSR1, SIGUSR2});
    sigset_t const other = set_of({SIGUSR2});
    sigprocmask(SIG_BLOCK, &set, nullptr);
    pthread_t const self = pthread_self();
    other_side const sender([self] {
        signal_when_it_waits(self, SIGUSR1);
        signal_when_it_waits(self, SIGUSR1);
    });
    int got = 0;
    siginfo_t info{};
    about_to_wait();
    TELL_CODE(sigwait(&set, &got));
    TELL(got);
    about_to_wait();
    TELL(sigwaitinfo(&set, &info));
    TELL(info.si_signo);
    TELL_FACT(info.si_code == SI_TKILL);
    raise(SIGUSR1);
    raise(SIGUSR2);
    timespec limit{.tv_sec = 0, .tv_nsec = 20'000'000};
    TELL(sigtimedwait(&other, &info, &limit));
    TELL(sigtimedwait(&other, &info, &limit));
    TELL(sigtimedwait(&set, nullptr, &limit));
    stopwatch const time;
    TELL(sigtimedwait(&set, nullptr, &limit));
    TELL_FACT(time.at_least(20ms));
    limit = {};
    TELL(sigtimedwait(&set, nullptr, &limit));
    raise(SIGUSR1);
    TELL(sigtimedwait(&set, &info, &limit));
    limit = {.tv_sec = LONG_MAX, .tv_nsec = 0};
    raise(SIGUSR1);
    TELL(sigtimedwait(&set, nullptr, &limit));
    for (timespec const each : {timespec{0, 1'000'000'000}, timespec{-1, 0}, timespec{0, -1}}) {
        TELL(sigtimedwait(&set, &info, &each));
        raise(SIGUSR1);
        TELL(sigtimedwait(&set, &info, &each));
    }
    TELL(sigtimedwait(&set, &info, nullptr));
    sigset_t const none = set_of({});
    limit = {.tv_sec = 0, .tv_nsec = 1'000'000};
    TELL(sigtimedwait(&none, nullptr, &limit));
}

CORNER_CASE(of_several_signals_the_lowest_first) {
    sigset_t const set = set_of({SIGUSR1, SIGUSR2, SIGRTMIN, SIGRTMIN + 1});
    sigprocmask(SIG_BLOCK, &set, nullptr);
    sigval value{};
    for (int const signal : {SIGRTMIN + 1, SIGUSR2, SIGRTMIN, SIGUSR1, SIGRTMIN, SIGUSR1}) {
        value.sival_int++;
        sigqueue(getpid(), signal, value);
    }
    siginfo_t info{};
    timespec const none{};
    for (int i = 0; i < 6; ++i) {
        int const got = sigtimedwait(&set, &info, &none);
        say("%d %d", got, got > 0 ? info.si_value.sival_int : 0);
    }
}

CORNER_CASE(a_mask_for_the_length_of_a_wait, .parks = 2,
            .threads_only = "signals that find several fibers waiting follow other rules") {
    pthread_t const self = pthread_self();
    signal(SIGUSR1, count);
    sigset_t const one = set_of({SIGUSR1});
    sigset_t const none = set_of({});
    sigprocmask(SIG_BLOCK, &one, nullptr);
    auto const [reader, writer] = make_pipe();
    pollfd fds{.fd = reader, .events = POLLIN, .revents = 0};
    other_side const sender([self, to = writer] {
        signal_when_it_waits(self, SIGUSR1);
        signal_when_it_waits(self, SIGUSR1);
        put(to, "x");
    });
    about_to_wait();
    TELL(ppoll(&fds, 1, nullptr, &none));
    TELL(handled + 0);
    about_to_wait();
    TELL(ppoll(&fds, 1, nullptr, &one));
    TELL(handled + 0);
    // Ready and pending: which of the two is told of?
    TELL(ppoll(&fds, 1, nullptr, &none));
    TELL(handled + 0);
    TELL(ppoll(&fds, 1, nullptr, &none));
    TELL(handled + 0);
}

CORNER_CASE(an_alarm_while_it_waits, .parks = 2,
            .threads_only = "signals that find several fibers waiting follow other rules") {
    signal(SIGALRM, count);
    siginterrupt(SIGALRM, 1);
    itimerval const soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = 10'000}};
    auto const [reader, writer] = make_pipe();
    char byte = 0;
    REQUIRE(setitimer(ITIMER_REAL, &soon, nullptr) == 0);
    TELL(read(reader, &byte, 1));
    TELL(handled + 0);
    REQUIRE(setitimer(ITIMER_REAL, &soon, nullptr) == 0);
    TELL(sleep(5) >= 4);
    TELL(handled + 0);
}

CORNER_CASE(a_handler_while_it_computes) {
    struct sigaction action {};
    action.sa_handler = count;
    REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
    auto const [reader, writer] = make_pipe();
    char byte = 0;
    put(writer, "a");
    raise(SIGUSR1);
    TELL(read(reader, &byte, 1));
    raise(SIGUSR1);
    timespec const moment{.tv_sec = 0, .tv_nsec = 1'000'000};
    TELL(nanosleep(&moment, nullptr));
    TELL(handled + 0);
}
