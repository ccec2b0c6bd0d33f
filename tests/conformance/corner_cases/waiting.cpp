// poll, select, epoll and their relatives: counts and sets at their limits, what is ready without being asked for, time limits,
// masks, and descriptors that are no longer there.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <ctime>
#include <string>
#include <vector>

#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;
using namespace std::chrono_literals;

namespace {

void tell_events(pollfd const* fds, std::size_t count) {
    std::string text = "revents";
    for (std::size_t i = 0; i < count; ++i)
        text += " " + std::to_string(fds[i].revents);
    say("    %s", text.c_str());
}

// The numbers in a set, as they come after `first`.
void tell_set(char const* name, fd_set const& set, int first) {
    std::string text;
    for (int fd = 0; fd < FD_SETSIZE; ++fd)
        if (FD_ISSET(fd, &set))
            text += " " + std::to_string(fd - first);
    say("    %s:%s", name, text.c_str());
}

struct sets {
    fd_set read;
    fd_set write;
    fd_set except;

    explicit sets(int fd) {
        for (fd_set* each : {&read, &write, &except}) {
            FD_ZERO(each);
            if (fd >= 0)
                FD_SET(fd, each);
        }
    }
    void tell(int first) const {
        tell_set("read", read, first);
        tell_set("write", write, first);
        tell_set("except", except, first);
    }
};

int make_epoll(int fd, std::uint32_t events) {
    int const epoll = epoll_create1(0);
    epoll_event event{.events = events, .data = {.u64 = 7}};
    REQUIRE(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    return epoll;
}

timespec milliseconds(int count) { return {.tv_sec = count / 1000, .tv_nsec = count % 1000 * 1'000'000L}; }

} // namespace

CORNER_CASE(poll_of_nothing, .parks = 2) {
    TELL(poll(nullptr, 0, 0));
    stopwatch const time;
    TELL(poll(nullptr, 0, 20));
    TELL_FACT(time.at_least(20ms));
    std::array<pollfd, 2> fds{
        {{.fd = -1, .events = POLLIN, .revents = 77}, {.fd = -5, .events = POLLOUT, .revents = 77}}};
    TELL(poll(fds.data(), 2, 20));
    tell_events(fds.data(), 2);
    TELL(poll(fds.data(), 2, 0));
    timespec const none{};
    TELL(ppoll(nullptr, 0, &none, nullptr));
}

CORNER_CASE(poll_of_what_is_ready) {
    auto const [one, other] = make_unix_pair();
    auto const [reader, writer] = make_pipe();
    int const file = open_file("file", "abc", O_RDONLY);
    std::array<pollfd, 8> fds{{{.fd = one, .events = POLLIN | POLLOUT, .revents = 0},
                               {.fd = 4711, .events = POLLIN, .revents = 0},
                               {.fd = reader, .events = POLLIN | POLLRDNORM, .revents = 0},
                               {.fd = writer, .events = POLLOUT | POLLWRNORM, .revents = 0},
                               {.fd = file, .events = POLLIN | POLLOUT | POLLPRI, .revents = 0},
                               {.fd = one, .events = 0, .revents = 0},
                               {.fd = INT_MAX, .events = 0, .revents = 0},
                               {.fd = -1, .events = -1, .revents = -1}}};
    for (int const limit : {0, -1, INT_MAX, INT_MIN}) {
        TELL(poll(fds.data(), fds.size(), limit));
        tell_events(fds.data(), fds.size());
    }
    close(other);
    close(writer);
    TELL(poll(fds.data(), fds.size(), -1));
    tell_events(fds.data(), fds.size());
    fds[0].events = fds[2].events = 0;
    TELL(poll(fds.data(), 1, -1));
    tell_events(fds.data(), 1);
    TELL(poll(&fds[2], 1, -1));
    tell_events(&fds[2], 1);
    fds[0].events = POLLRDHUP;
    TELL(poll(fds.data(), 1, -1));
    tell_events(fds.data(), 1);
}

CORNER_CASE(poll_waits, .parks = 5) {
    auto const [one, other] = make_tcp_pair();
    auto const [reader, writer] = make_pipe();
    fill(writer);
    other_side const helper([=, peer = other, from = reader, to = writer] {
        until_case_waits();
        send(peer, "abc", 3, 0);
        until_case_waits();
        drain(from, 65536);
        until_case_waits();
        send(peer, "X", 1, MSG_OOB);
        until_case_waits();
        shutdown(peer, SHUT_WR);
        until_case_waits();
        close(from);
    });
    std::array<pollfd, 3> fds{{{.fd = one, .events = POLLIN, .revents = 0},
                               {.fd = one, .events = POLLIN, .revents = 0},
                               {.fd = writer, .events = POLLOUT, .revents = 0}}};
    about_to_wait();
    TELL(poll(fds.data(), 3, -1));
    tell_events(fds.data(), 3);
    fds[0].fd = fds[1].fd = -1;
    about_to_wait();
    TELL(poll(fds.data(), 3, -1));
    tell_events(fds.data(), 3);
    fds[0] = {.fd = one, .events = POLLPRI, .revents = 0};
    about_to_wait();
    TELL(poll(fds.data(), 1, 5000));
    tell_events(fds.data(), 1);
    fds[0].events = POLLRDHUP;
    about_to_wait();
    TELL(poll(fds.data(), 1, 5000));
    tell_events(fds.data(), 1);
    fds[0] = {.fd = writer, .events = 0, .revents = 0};
    about_to_wait();
    TELL(poll(fds.data(), 1, 5000));
    tell_events(fds.data(), 1);
}

CORNER_CASE(poll_of_many, .parks = 1) {
    std::vector<pollfd> fds;
    auto const [reader, writer] = make_pipe();
    for (int i = 0; i < 600; ++i)
        fds.push_back({.fd = dup(reader), .events = POLLIN, .revents = 0});
    other_side const feeder([to = writer] {
        until_case_waits();
        put(to, "x");
    });
    about_to_wait();
    TELL(poll(fds.data(), fds.size(), -1));
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    fds.resize(limit.rlim_cur < 100'000 ? limit.rlim_cur + 1 : 100, {.fd = -1, .events = 0, .revents = 0});
    bool const fails = limit.rlim_cur < 100'000;
    TELL_FACT((poll(fds.data(), fds.size(), 0) < 0) == fails);
    TELL(poll(fds.data(), static_cast<nfds_t>(-1), 0));
    TELL(poll(fds.data(), nfds_t{1} << 31, 0));
    TELL(poll(fds.data(), nfds_t{1} << 61, 0));
}

CORNER_CASE(time_limits_of_ppoll, .parks = 1) {
    auto const [reader, writer] = make_pipe();
    pollfd one{.fd = reader, .events = POLLIN, .revents = 0};
    timespec const limit = milliseconds(20);
    stopwatch const time;
    TELL(ppoll(&one, 1, &limit, nullptr));
    TELL_FACT(time.at_least(20ms));
    say("left %ld %ld", static_cast<long>(limit.tv_sec), limit.tv_nsec);
    for (timespec const each : {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000},
                                timespec{LONG_MIN, 0}, timespec{0, LONG_MAX}})
        TELL(ppoll(&one, 1, &each, nullptr));
    put(writer, "x");
    for (timespec const each :
         {timespec{LONG_MAX, 999'999'999}, timespec{LONG_MAX / 1000, 0}, timespec{-1, 0}})
        TELL(ppoll(&one, 1, &each, nullptr));
}

CORNER_CASE(select_of_nothing, .parks = 2) {
    timeval limit{.tv_sec = 0, .tv_usec = 20'000};
    stopwatch const time;
    TELL(select(0, nullptr, nullptr, nullptr, &limit));
    TELL_FACT(time.at_least(20ms));
    say("left %ld %ld", static_cast<long>(limit.tv_sec), static_cast<long>(limit.tv_usec));
    TELL(select(0, nullptr, nullptr, nullptr, &limit));
    sets none(-1);
    limit = {.tv_sec = 0, .tv_usec = 20'000};
    TELL(select(100, &none.read, &none.write, &none.except, &limit));
    none.tell(0);
    limit = {};
    TELL(select(-1, nullptr, nullptr, nullptr, &limit));
    TELL(select(INT_MIN, nullptr, nullptr, nullptr, &limit));
    TELL(select(INT_MAX, nullptr, nullptr, nullptr, &limit));
    TELL(select(FD_SETSIZE, &none.read, nullptr, nullptr, &limit));
}

CORNER_CASE(select_of_what_is_ready) {
    auto const [one, other] = make_unix_pair();
    put(other, "x");
    sets all(one);
    TELL(select(other + 1, &all.read, &all.write, &all.except, nullptr));
    all.tell(one);
    sets beyond(one);
    timeval none{};
    TELL(select(one, &beyond.read, &beyond.write, &beyond.except, &none));
    beyond.tell(one);
    sets closed(50); // within the first 64, of which the kernel always knows
    TELL(select(51, &closed.read, nullptr, nullptr, nullptr));
    closed.tell(50);
    TELL(select(50, &closed.read, nullptr, nullptr, &none));
    closed.tell(50);
    sets some(other);
    FD_SET(one, &some.read);
    timeval limit{.tv_sec = 100, .tv_usec = 5'000'000};
    TELL(select(other + 1, &some.read, nullptr, &some.except, &limit));
    some.tell(one);
    TELL_FACT(limit.tv_sec > 100);
    for (timeval each : {timeval{-1, 0}, timeval{0, -1}, timeval{LONG_MIN, 0}})
        TELL(select(other + 1, &some.read, nullptr, nullptr, &each));
    timeval most{LONG_MAX, 999'999};
    sets again(one);
    TELL(select(other + 1, &again.read, nullptr, nullptr, &most));
}

CORNER_CASE(select_waits, .parks = 3) {
    auto const [one, other] = make_tcp_pair();
    other_side const helper([peer = other] {
        until_case_waits();
        put(peer, "abc");
        until_case_waits();
        send(peer, "X", 1, MSG_OOB);
    });
    sets wanted(one);
    FD_SET(other, &wanted.read);
    about_to_wait();
    TELL(select(other + 1, &wanted.read, nullptr, &wanted.except, nullptr));
    wanted.tell(one);
    sets urgent(one);
    about_to_wait();
    TELL(select(one + 1, nullptr, nullptr, &urgent.except, nullptr));
    urgent.tell(one);
    sets idle(other);
    timeval limit{.tv_sec = 0, .tv_usec = 20'000};
    TELL(select(other + 1, &idle.read, nullptr, &idle.except, &limit));
    idle.tell(one);
    say("left %ld %ld", static_cast<long>(limit.tv_sec), static_cast<long>(limit.tv_usec));
}

CORNER_CASE(select_of_high_numbers, .parks = 1) {
    auto const [reader, writer] = make_pipe();
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int const high = fcntl(reader, F_DUPFD, 2000);
    std::array<fd_set, 4> large{};
    std::array<fd_set, 4> other{};
    auto* const words = reinterpret_cast<unsigned long*>(large.data());
    words[high / 64] |= 1UL << (high % 64);
    other_side const feeder([to = writer] {
        until_case_waits();
        put(to, "x");
    });
    about_to_wait();
    TELL(select(high + 1, large.data(), other.data(), nullptr, nullptr));
    TELL((words[high / 64] >> (high % 64)) & 1UL);
}

CORNER_CASE(pselect_and_time, .parks = 1) {
    auto const [reader, writer] = make_pipe();
    sets wanted(reader);
    timespec const limit = milliseconds(20);
    TELL(pselect(writer + 1, &wanted.read, nullptr, nullptr, &limit, nullptr));
    wanted.tell(reader);
    say("left %ld %ld", static_cast<long>(limit.tv_sec), limit.tv_nsec);
    for (timespec const each : {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000}}) {
        sets some(reader);
        TELL(pselect(writer + 1, &some.read, nullptr, nullptr, &each, nullptr));
        some.tell(reader);
    }
    put(writer, "x");
    sets some(reader);
    timespec const most{LONG_MAX, 999'999'999};
    TELL(pselect(writer + 1, &some.read, nullptr, nullptr, &most, nullptr));
}

CORNER_CASE(epoll_of_nothing, .parks = 1) {
    int const epoll = epoll_create1(EPOLL_CLOEXEC);
    // Not on the stack, beyond which the memory of programs ends soon: of so many it may be refused.
    static std::array<epoll_event, 4> events{};
    TELL(epoll_wait(epoll, events.data(), 4, 0));
    stopwatch const time;
    TELL(epoll_wait(epoll, events.data(), 4, 20));
    TELL_FACT(time.at_least(20ms));
    for (int const most : {0, -1, INT_MIN, INT_MAX, INT_MAX / 12}) {
        TELL(epoll_wait(epoll, events.data(), most, 0));
        TELL(epoll_pwait(epoll, events.data(), most, 0, nullptr));
    }
    auto const [reader, writer] = make_pipe();
    TELL(epoll_wait(reader, events.data(), 4, 0));
    TELL(epoll_wait(reader, events.data(), 4, -1));
    TELL(epoll_wait(reader, events.data(), 0, -1));
    TELL(epoll_wait(-1, events.data(), 4, -1));
    TELL(epoll_wait(-1, events.data(), 0, -1));
    TELL(epoll_wait(4711, events.data(), 4, 20));
    timespec const none{};
    TELL(epoll_pwait2(epoll, events.data(), 4, &none, nullptr));
    for (timespec const each : {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000}})
        TELL(epoll_pwait2(epoll, events.data(), 4, &each, nullptr));
    TELL(epoll_create1(0x77));
    TELL(epoll_ctl(epoll, EPOLL_CTL_ADD, epoll, events.data()));
    TELL(epoll_ctl(epoll, EPOLL_CTL_ADD, open_file("file", "abc", O_RDONLY), events.data()));
}

CORNER_CASE(epoll_waits, .parks = 5) {
    auto const [one, other] = make_unix_pair();
    int const epoll = make_epoll(one, EPOLLIN);
    std::array<epoll_event, 4> events{};
    int const outer = make_epoll(epoll, EPOLLIN);
    other_side const helper([peer = other] {
        for (int i = 0; i < 4; ++i) {
            until_case_waits();
            put(peer, "x");
        }
    });
    char byte = 0;
    about_to_wait();
    TELL(epoll_wait(epoll, events.data(), 4, -1));
    TELL(events[0].events);
    TELL(events[0].data.u64);
    // By level it goes on being there.
    TELL(epoll_wait(epoll, events.data(), 4, -1));
    TELL(recv(one, &byte, 1, 0));
    about_to_wait();
    TELL(epoll_pwait(epoll, events.data(), 4, -1, nullptr));
    TELL(recv(one, &byte, 1, 0));
    about_to_wait();
    TELL(epoll_pwait2(epoll, events.data(), 4, nullptr, nullptr));
    TELL(recv(one, &byte, 1, 0));
    about_to_wait();
    TELL(epoll_wait(outer, events.data(), 4, -1));
    TELL(epoll_wait(outer, events.data(), 4, -1));
    pollfd whole{.fd = outer, .events = POLLIN, .revents = 0};
    TELL(poll(&whole, 1, 0));
    TELL(recv(one, &byte, 1, 0));
    TELL(epoll_wait(outer, events.data(), 4, 20));
    TELL(poll(&whole, 1, 0));
}

CORNER_CASE(epoll_by_edge, .parks = 3) {
    auto const [one, other] = make_unix_pair();
    int const epoll = make_epoll(one, EPOLLIN | EPOLLET);
    std::array<epoll_event, 4> events{};
    put(other, "x");
    TELL(epoll_wait(epoll, events.data(), 4, -1));
    TELL(epoll_wait(epoll, events.data(), 4, 20));
    other_side const helper([peer = other] {
        until_case_waits();
        put(peer, "y");
    });
    about_to_wait();
    TELL(epoll_wait(epoll, events.data(), 4, -1));
    epoll_event event{.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = 8}};
    TELL(epoll_ctl(epoll, EPOLL_CTL_MOD, one, &event));
    TELL(epoll_wait(epoll, events.data(), 4, -1));
    TELL(epoll_wait(epoll, events.data(), 4, 20));
    TELL(epoll_ctl(epoll, EPOLL_CTL_DEL, one, nullptr));
    TELL(epoll_ctl(epoll, EPOLL_CTL_DEL, one, nullptr));
}

CORNER_CASE(a_descriptor_is_added_meanwhile, .parks = 1) {
    auto const [one, other] = make_unix_pair();
    int const epoll = epoll_create1(0);
    std::array<epoll_event, 4> events{};
    other_side const helper([=, fd = one, peer = other] {
        until_case_waits();
        put(peer, "y");
        epoll_event event{.events = EPOLLIN, .data = {.u64 = 8}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    });
    about_to_wait();
    TELL(epoll_wait(epoll, events.data(), 4, -1));
    TELL(events[0].data.u64);
}

CORNER_CASE(a_descriptor_is_closed_meanwhile, .parks = 1) {
    auto const [one, other] = make_unix_pair();
    auto const [reader, writer] = make_pipe();
    std::array<epoll_event, 4> events{};
    int const epoll = make_epoll(one, EPOLLIN);
    epoll_event event{.events = EPOLLIN, .data = {.u64 = 9}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, reader, &event);
    other_side const helper([fd = one, peer = other, to = writer] {
        until_case_waits();
        close(fd);
        put(to, "y");
        close(peer);
    });
    about_to_wait();
    TELL(epoll_wait(epoll, events.data(), 4, -1));
    TELL(events[0].data.u64);
}

CORNER_CASE(wrong_masks, .parks = 0) {
    auto const [reader, writer] = make_pipe();
    put(writer, "x");
    sigset_t none;
    sigemptyset(&none);
    pollfd one{.fd = reader, .events = POLLIN, .revents = 0};
    TELL(syscall(SYS_ppoll, &one, 1, nullptr, &none, 5));
    std::array<epoll_event, 4> events{};
    int const epoll = make_epoll(reader, EPOLLIN);
    TELL(epoll_pwait(epoll, events.data(), 4, -1, &none));
    sets wanted(reader);
    TELL(pselect(reader + 1, &wanted.read, nullptr, nullptr, nullptr, &none));
    TELL(ppoll(&one, 1, nullptr, &none));
}
