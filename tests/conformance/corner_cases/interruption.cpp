// A signal's handler that runs while a call waits, for every call that waits: with SA_RESTART and without. Told is what the
// call returns, whether the handler ran, and how it ends if it goes on: the event comes once it waits again.
#include <aio.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;

namespace {

constexpr char const* why_not_on_fibers =
    "a handler ends the wait of the worker's main fiber, or of its oldest";

std::atomic<int> handled{0};
std::atomic<bool> returned{false}; // the call

// The call, made once with each kind of handler; the event that ends it otherwise, by the other side.
struct interrupted_call {
    std::function<long()> call;
    std::function<void()> event;
};

// What is in `calls` waits for the event, which is made by the other side if the handler has not ended the call.
void interrupt(char const* what, int flags, interrupted_call const& one) {
    handled = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { handled = handled + 1; };
    action.sa_flags = flags;
    REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
    returned = false;
    std::atomic<bool> event_was_needed{false};
    pthread_t const self = pthread_self();
    other_side const sender([&, self] {
        until_case_waits();
        pthread_kill(self, SIGUSR1);
        while (handled == 0)
            let_others_run();
        if (until_case_waits_again(returned)) {
            event_was_needed = true;
            one.event();
        }
    });
    about_to_wait();
    errno = 0;
    long const result = one.call();
    int const error = errno;
    returned = true;
    say("%s, %s: %ld %s, handled %d, %s", what, (flags & SA_RESTART) != 0 ? "SA_RESTART" : "no SA_RESTART",
        result, result < 0 ? error_name(error) : "", handled.load(), event_was_needed ? "went on" : "ended");
}

template <class MakeCall> void interrupt_both(char const* what, MakeCall make) {
    interrupt(what, 0, make());
    interrupt(what, SA_RESTART, make());
}

#define INTERRUPTION(name, ...)                                                                              \
    static interrupted_call make_##name();                                                                   \
    CORNER_CASE(name, __VA_ARGS__ __VA_OPT__(, ).threads_only = why_not_on_fibers) {                         \
        interrupt_both(#name, make_##name);                                                                  \
    }                                                                                                        \
    static interrupted_call make_##name()

std::array<char, 64> buffer{};
timespec const long_time{.tv_sec = 0, .tv_nsec = 300'000'000};

timespec real_time_later() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec += 1;
    return now;
}

std::function<void()> feed(int fd) {
    return [fd] { put(fd, "abcdefgh"); };
}
std::function<void()> nothing() {
    return [] {};
}
std::function<void()> empty(int fd, std::size_t size) {
    return [=] { drain(fd, size); };
}

// A child that ends when the event comes.
struct ending_child {
    ending_child() {
        auto const [reader, writer] = make_pipe();
        release = writer;
        process = fork();
        if (process == 0) {
            syscall(SYS_close, writer);
            syscall(SYS_read, reader, buffer.data(), 1L);
            _exit(7);
        }
        syscall(SYS_close, reader);
    }
    [[nodiscard]] std::function<void()> end() const {
        return [fd = release] { syscall(SYS_close, fd); };
    }
    int release = -1;
    pid_t process = -1;
};

} // namespace

// -- descriptors --

INTERRUPTION(read_pipe, .parks = 2) {
    auto const ends = make_pipe();
    return {[ends] { return read(ends.first, buffer.data(), 64); }, feed(ends.second)};
}
INTERRUPTION(readv_pipe, .parks = 2) {
    auto const ends = make_pipe();
    return {[ends] {
                iovec const part{buffer.data(), 64};
                return readv(ends.first, &part, 1);
            },
            feed(ends.second)};
}
INTERRUPTION(preadv2_pipe, .parks = 2) {
    auto const ends = make_pipe();
    return {[ends] {
                iovec const part{buffer.data(), 64};
                return preadv2(ends.first, &part, 1, -1, 0);
            },
            feed(ends.second)};
}
INTERRUPTION(read_fifo, .parks = 2) {
    std::string const path = own_folder() + "/fifo" + std::to_string(handled);
    static int count = 0;
    std::string const name = path + std::to_string(count++);
    REQUIRE(mkfifo(name.c_str(), 0600) == 0);
    int const both = open(name.c_str(), O_RDWR);
    int const reader = open(name.c_str(), O_RDONLY);
    return {[reader] { return read(reader, buffer.data(), 64); }, feed(both)};
}
INTERRUPTION(read_terminal, .parks = 2) {
    auto const ends = make_terminal();
    return {[ends] { return read(ends.second, buffer.data(), 64); }, feed(ends.first)};
}
INTERRUPTION(read_eventfd, .parks = 2) {
    int const fd = eventfd(0, 0);
    return {[fd] { return read(fd, buffer.data(), 8); },
            [fd] {
                std::uint64_t const one = 1;
                syscall(SYS_write, fd, &one, sizeof one);
            }};
}
INTERRUPTION(read_timerfd, .parks = 2) {
    int const fd = timerfd_create(CLOCK_MONOTONIC, 0);
    return {[fd] { return read(fd, buffer.data(), 8); },
            [fd] {
                itimerspec soon{};
                soon.it_value.tv_nsec = 1;
                timerfd_settime(fd, 0, &soon, nullptr);
            }};
}
INTERRUPTION(read_tcp, .parks = 2) {
    auto const ends = make_tcp_pair();
    return {[ends] { return read(ends.first, buffer.data(), 64); }, feed(ends.second)};
}
INTERRUPTION(recv_tcp, .parks = 2) {
    auto const ends = make_tcp_pair();
    return {[ends] { return recv(ends.first, buffer.data(), 64, 0); }, feed(ends.second)};
}
INTERRUPTION(recv_unix, .parks = 2) {
    auto const ends = make_unix_pair();
    return {[ends] { return recv(ends.first, buffer.data(), 64, 0); }, feed(ends.second)};
}
INTERRUPTION(recv_packets, .parks = 2) {
    auto const ends = make_unix_pair(SOCK_SEQPACKET);
    return {[ends] { return recv(ends.first, buffer.data(), 64, 0); }, feed(ends.second)};
}
INTERRUPTION(recv_with_time_limit, .parks = 2) {
    auto const ends = make_tcp_pair();
    set_timeout(ends.first, SO_RCVTIMEO, 300);
    return {[ends] { return recv(ends.first, buffer.data(), 64, 0); }, feed(ends.second)};
}
INTERRUPTION(recv_all_after_some, .parks = 2) {
    auto const ends = make_tcp_pair();
    put(ends.second, "abc");
    return {[ends] { return recv(ends.first, buffer.data(), 8, MSG_WAITALL); }, feed(ends.second)};
}
INTERRUPTION(recv_all_of_unix_after_some, .parks = 2) {
    auto const ends = make_unix_pair();
    put(ends.second, "abc");
    return {[ends] { return recv(ends.first, buffer.data(), 8, MSG_WAITALL); }, feed(ends.second)};
}
INTERRUPTION(recv_all_after_none, .parks = 2) {
    auto const ends = make_tcp_pair();
    return {[ends] { return recv(ends.first, buffer.data(), 8, MSG_WAITALL); }, feed(ends.second)};
}
INTERRUPTION(recvfrom_udp, .parks = 2) {
    auto const ends = make_udp_pair();
    return {[ends] { return recvfrom(ends.first, buffer.data(), 64, 0, nullptr, nullptr); },
            feed(ends.second)};
}
INTERRUPTION(recvmsg_tcp, .parks = 2) {
    auto const ends = make_tcp_pair();
    return {[ends] {
                iovec part{buffer.data(), 64};
                msghdr header{};
                header.msg_iov = &part;
                header.msg_iovlen = 1;
                return recvmsg(ends.first, &header, 0);
            },
            feed(ends.second)};
}
INTERRUPTION(recvmmsg_first, .parks = 2) {
    auto const ends = make_udp_pair();
    return {[ends] {
                iovec part{buffer.data(), 64};
                mmsghdr header{};
                header.msg_hdr.msg_iov = &part;
                header.msg_hdr.msg_iovlen = 1;
                return recvmmsg(ends.first, &header, 1, 0, nullptr);
            },
            feed(ends.second)};
}
INTERRUPTION(recvmmsg_second, .parks = 2) {
    auto const ends = make_udp_pair();
    put(ends.second, "abc");
    return {[ends] {
                iovec part{buffer.data(), 64};
                std::array<mmsghdr, 2> headers{};
                for (mmsghdr& each : headers) {
                    each.msg_hdr.msg_iov = &part;
                    each.msg_hdr.msg_iovlen = 1;
                }
                return recvmmsg(ends.first, headers.data(), 2, 0, nullptr);
            },
            feed(ends.second)};
}
INTERRUPTION(recvmmsg_with_time_limit, .parks = 2) {
    auto const ends = make_udp_pair();
    return {[ends] {
                iovec part{buffer.data(), 64};
                mmsghdr header{};
                header.msg_hdr.msg_iov = &part;
                header.msg_hdr.msg_iovlen = 1;
                timespec limit{.tv_sec = 5, .tv_nsec = 0};
                return recvmmsg(ends.first, &header, 1, 0, &limit);
            },
            feed(ends.second)};
}
INTERRUPTION(write_pipe, .parks = 2) {
    auto const ends = make_pipe();
    std::size_t const held = fill(ends.second);
    return {[ends] { return write(ends.second, buffer.data(), 64); }, empty(ends.first, held)};
}
INTERRUPTION(write_pipe_after_some, .parks = 2) {
    auto const ends = make_pipe();
    static std::vector<char> const much(100'000);
    return {[ends] { return write(ends.second, much.data(), much.size()); }, empty(ends.first, much.size())};
}
INTERRUPTION(writev_pipe, .parks = 2) {
    auto const ends = make_pipe();
    std::size_t const held = fill(ends.second);
    return {[ends] {
                iovec const part{buffer.data(), 64};
                return writev(ends.second, &part, 1);
            },
            empty(ends.first, held)};
}
INTERRUPTION(write_unix, .parks = 2) {
    auto const ends = make_unix_pair();
    std::size_t const held = fill(ends.first);
    return {[ends] { return write(ends.first, buffer.data(), 64); }, empty(ends.second, held)};
}
INTERRUPTION(write_eventfd, .parks = 2) {
    int const fd = eventfd(0, 0);
    std::uint64_t const most = UINT64_MAX - 1;
    REQUIRE(write(fd, &most, sizeof most) == 8);
    return {[fd] {
                std::uint64_t const one = 1;
                return write(fd, &one, sizeof one);
            },
            empty(fd, 8)};
}
INTERRUPTION(send_unix, .parks = 2) {
    auto const ends = make_unix_pair();
    std::size_t const held = fill(ends.first);
    return {[ends] { return send(ends.first, buffer.data(), 64, 0); }, empty(ends.second, held)};
}
INTERRUPTION(send_with_time_limit, .parks = 2) {
    auto const ends = make_unix_pair();
    set_timeout(ends.first, SO_SNDTIMEO, 300);
    std::size_t const held = fill(ends.first);
    return {[ends] { return send(ends.first, buffer.data(), 64, 0); }, empty(ends.second, held)};
}
INTERRUPTION(sendmsg_unix, .parks = 2) {
    auto const ends = make_unix_pair();
    std::size_t const held = fill(ends.first);
    return {[ends] {
                iovec part{buffer.data(), 64};
                msghdr header{};
                header.msg_iov = &part;
                header.msg_iovlen = 1;
                return sendmsg(ends.first, &header, 0);
            },
            empty(ends.second, held)};
}
INTERRUPTION(sendmmsg_datagrams, .parks = 2) {
    auto const ends = make_unix_pair(SOCK_DGRAM);
    set_nonblocking(ends.first, true);
    while (write(ends.first, "x", 1) > 0)
        continue;
    set_nonblocking(ends.first, false);
    return {[ends] {
                iovec part{buffer.data(), 64};
                mmsghdr header{};
                header.msg_hdr.msg_iov = &part;
                header.msg_hdr.msg_iovlen = 1;
                return sendmmsg(ends.first, &header, 1, 0);
            },
            [ends] {
                set_nonblocking(ends.second, true);
                while (syscall(SYS_read, ends.second, buffer.data(), 64L) > 0)
                    continue;
            }};
}
INTERRUPTION(accept_tcp, .parks = 2) {
    int const listener = make_listener();
    return {[listener] { return accept(listener, nullptr, nullptr) >= 0 ? 0 : -1; },
            [listener] { start_connecting_to(listener); }};
}
INTERRUPTION(accept4_with_time_limit, .parks = 2) {
    int const listener = make_listener();
    set_timeout(listener, SO_RCVTIMEO, 300);
    return {[listener] { return accept4(listener, nullptr, nullptr, 0) >= 0 ? 0 : -1; },
            [listener] { start_connecting_to(listener); }};
}
INTERRUPTION(connect_unix, .parks = 2) {
    static std::vector<unix_address> names(8);
    static std::size_t used = 0;
    unix_address const& where = names.at(used++);
    int const listener = socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(bind(listener, where.get(), where.length) == 0 && listen(listener, 0) == 0);
    int const first = socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(connect(first, where.get(), where.length) == 0);
    int const fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return {[fd, &where] { return connect(fd, where.get(), where.length); },
            [listener] { syscall(SYS_accept4, listener, nullptr, nullptr, 0); }};
}
// A listener that has room for no more connections, so that they stay pending until one is accepted.
static int make_full_listener() {
    int const listener = make_listener(0);
    start_connecting_to(listener);
    return listener;
}
static int connect_by(int fd, int listener) {
    sockaddr_storage where{};
    socklen_t length = sizeof where;
    REQUIRE(getsockname(listener, reinterpret_cast<sockaddr*>(&where), &length) == 0);
    return connect(fd, reinterpret_cast<sockaddr const*>(&where), length);
}
INTERRUPTION(connect_tcp, .parks = 2) {
    int const listener = make_full_listener();
    int const fd = socket(AF_INET, SOCK_STREAM, 0);
    return {[=] { return connect_by(fd, listener); },
            [listener] { syscall(SYS_accept4, listener, nullptr, nullptr, 0); }};
}
// What an interrupted call has begun goes on, and the next one waits for it.
CORNER_CASE(connect_again, .parks = 5, .threads_only = why_not_on_fibers) {
    int const listener = make_full_listener();
    int const fd = socket(AF_INET, SOCK_STREAM, 0);
    interrupt("connect", 0, {[=] { return connect_by(fd, listener); }, nothing()});
    set_timeout(fd, SO_SNDTIMEO, 30);
    TELL(connect_by(fd, listener));
    set_timeout(fd, SO_SNDTIMEO, 0);
    set_nonblocking(fd, true);
    TELL(connect_by(fd, listener));
    set_nonblocking(fd, false);
    other_side const accepter([listener] {
        until_case_waits();
        syscall(SYS_accept4, listener, nullptr, nullptr, 0);
    });
    about_to_wait();
    TELL(connect_by(fd, listener));
    TELL(connect_by(fd, listener));
    int const other = socket(AF_INET, SOCK_STREAM, 0);
    set_timeout(other, SO_SNDTIMEO, 30);
    TELL(connect_by(other, listener));
    TELL(connect_by(other, listener));
}
INTERRUPTION(open_fifo, .parks = 2) {
    static int count = 0;
    std::string const name = own_folder() + "/fifo" + std::to_string(count++);
    REQUIRE(mkfifo(name.c_str(), 0600) == 0);
    return {[name] { return open(name.c_str(), O_RDONLY) >= 0 ? 0 : -1; },
            [name] {
                while (syscall(SYS_openat, AT_FDCWD, name.c_str(), O_WRONLY | O_NONBLOCK) < 0 && !returned)
                    let_others_run();
            }};
}
INTERRUPTION(splice_pipe, .parks = 2) {
    auto const ends = make_pipe();
    auto const out = make_pipe();
    return {[=] { return splice(ends.first, nullptr, out.second, nullptr, 64, 0); }, feed(ends.second)};
}
INTERRUPTION(tee_pipe, .parks = 2) {
    auto const ends = make_pipe();
    auto const out = make_pipe();
    return {[=] { return tee(ends.first, out.second, 64, 0); }, feed(ends.second)};
}
INTERRUPTION(vmsplice_pipe, .parks = 2) {
    auto const ends = make_pipe();
    fill(ends.second);
    return {[=] {
                iovec const part{buffer.data(), 64};
                return vmsplice(ends.second, &part, 1, 0);
            },
            empty(ends.first, 65536)};
}
INTERRUPTION(sendfile_unix, .parks = 2) {
    auto const ends = make_unix_pair();
    std::size_t const held = fill(ends.first);
    int const file = open_file("file", "abcdefgh", O_RDONLY);
    return {[=] { return sendfile(ends.first, file, nullptr, 8); }, empty(ends.second, held)};
}

// -- several descriptors --

INTERRUPTION(poll_pipe, .parks = 2) {
    auto const ends = make_pipe();
    return {[ends] {
                pollfd one{.fd = ends.first, .events = POLLIN, .revents = 0};
                return poll(&one, 1, -1);
            },
            feed(ends.second)};
}
INTERRUPTION(ppoll_pipe, .parks = 2) {
    auto const ends = make_pipe();
    return {[ends] {
                pollfd one{.fd = ends.first, .events = POLLIN, .revents = 0};
                return ppoll(&one, 1, &long_time, nullptr);
            },
            feed(ends.second)};
}
INTERRUPTION(select_pipe, .parks = 2) {
    auto const ends = make_pipe();
    return {[ends] {
                fd_set set;
                FD_ZERO(&set);
                FD_SET(ends.first, &set);
                return select(ends.first + 1, &set, nullptr, nullptr, nullptr);
            },
            feed(ends.second)};
}
INTERRUPTION(pselect_pipe, .parks = 2) {
    auto const ends = make_pipe();
    return {[ends] {
                fd_set set;
                FD_ZERO(&set);
                FD_SET(ends.first, &set);
                return pselect(ends.first + 1, &set, nullptr, nullptr, nullptr, nullptr);
            },
            feed(ends.second)};
}
static int epoll_of(int fd) {
    int const epoll = epoll_create1(0);
    epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    return epoll;
}
INTERRUPTION(epoll_wait_pipe, .parks = 2) {
    auto const ends = make_pipe();
    return {[fd = epoll_of(ends.first)] {
                epoll_event event{};
                return epoll_wait(fd, &event, 1, -1);
            },
            feed(ends.second)};
}
INTERRUPTION(epoll_pwait_pipe, .parks = 2) {
    auto const ends = make_pipe();
    return {[fd = epoll_of(ends.first)] {
                epoll_event event{};
                return epoll_pwait(fd, &event, 1, 300, nullptr);
            },
            feed(ends.second)};
}
INTERRUPTION(epoll_pwait2_pipe, .parks = 2) {
    auto const ends = make_pipe();
    return {[fd = epoll_of(ends.first)] {
                epoll_event event{};
                return epoll_pwait2(fd, &event, 1, &long_time, nullptr);
            },
            feed(ends.second)};
}

// -- time and signals --

INTERRUPTION(sleep_seconds, .parks = 2) {
    return {[] { return static_cast<long>(sleep(5)) >= 4 ? 1 : 0; }, nothing()};
}
INTERRUPTION(usleep_call, .parks = 2) {
    return {[] { return usleep(300'000); }, nothing()};
}
INTERRUPTION(nanosleep_call, .parks = 2) {
    return {[] {
                timespec left{};
                int const result = nanosleep(&long_time, &left);
                return result < 0 && left.tv_nsec > 0 && left.tv_nsec < long_time.tv_nsec ? result : 77;
            },
            nothing()};
}
INTERRUPTION(clock_nanosleep_call, .parks = 2) {
    return {[] {
                timespec left{};
                int const result = clock_nanosleep(CLOCK_MONOTONIC, 0, &long_time, &left);
                return result == EINTR && left.tv_nsec > 0 && left.tv_nsec < long_time.tv_nsec ? result : 77;
            },
            nothing()};
}
INTERRUPTION(clock_nanosleep_absolute, .parks = 2) {
    return {[] {
                timespec const when = real_time_later();
                timespec left{.tv_sec = 1, .tv_nsec = 2};
                int const result = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &when, &left);
                return left.tv_sec == 1 ? result : 77;
            },
            nothing()};
}
INTERRUPTION(thrd_sleep_call, .parks = 2) {
    return {[] {
                timespec left{};
                int const result = thrd_sleep(&long_time, &left);
                return left.tv_nsec > 0 ? result : 77;
            },
            nothing()};
}
INTERRUPTION(pause_call, .parks = 2) {
    return {[] { return pause(); }, nothing()};
}
INTERRUPTION(sigsuspend_call, .parks = 2) {
    return {[] {
                sigset_t none;
                sigemptyset(&none);
                return sigsuspend(&none);
            },
            nothing()};
}
static sigset_t blocked_usr2() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    return set;
}
static std::function<void()> send_usr2() {
    return [self = pthread_self()] { pthread_kill(self, SIGUSR2); };
}
INTERRUPTION(sigwait_call, .parks = 2) {
    return {[set = blocked_usr2()] {
                int got = 0;
                int const result = sigwait(&set, &got);
                return result == 0 ? got : result;
            },
            send_usr2()};
}
INTERRUPTION(sigwaitinfo_call, .parks = 2) {
    return {[set = blocked_usr2()] { return sigwaitinfo(&set, nullptr); }, send_usr2()};
}
INTERRUPTION(sigtimedwait_call, .parks = 2) {
    return {[set = blocked_usr2()] { return sigtimedwait(&set, nullptr, &long_time); }, send_usr2()};
}

// -- children --

INTERRUPTION(wait_call, .parks = 2) {
    ending_child const child;
    return {[] { return wait(nullptr) > 0 ? 0 : -1; }, child.end()};
}
INTERRUPTION(waitpid_call, .parks = 2) {
    ending_child const child;
    return {[child] {
                int status = 0;
                return waitpid(child.process, &status, 0) == child.process ? WEXITSTATUS(status) : -1;
            },
            child.end()};
}
INTERRUPTION(waitpid_stops, .parks = 2) {
    ending_child const child;
    return {[child] {
                int status = 0;
                return waitpid(child.process, &status, WUNTRACED) == child.process ? WEXITSTATUS(status) : -1;
            },
            child.end()};
}
INTERRUPTION(waitid_call, .parks = 2) {
    ending_child const child;
    return {[child] {
                siginfo_t info{};
                return waitid(P_PID, static_cast<id_t>(child.process), &info, WEXITED);
            },
            child.end()};
}
INTERRUPTION(pclose_call, .parks = 2) {
    auto const ends = make_pipe();
    fcntl(ends.second, F_SETFD, FD_CLOEXEC);
    FILE* const stream = popen(("read x <&" + std::to_string(ends.first) + "; exit 5").c_str(), "r");
    REQUIRE(stream != nullptr);
    return {[stream] { return static_cast<long>(WEXITSTATUS(pclose(stream))); },
            [ends] { put(ends.second, "abc\n"); }};
}
INTERRUPTION(system_call, .parks = 2) {
    auto const ends = make_pipe();
    fcntl(ends.second, F_SETFD, FD_CLOEXEC);
    return {[ends] {
                return WEXITSTATUS(system(("read x <&" + std::to_string(ends.first) + "; exit 5").c_str()));
            },
            [ends] { put(ends.second, "abc\n"); }};
}

// -- locks --

INTERRUPTION(sem_wait_call, .parks = 2) {
    auto* const semaphore = new sem_t;
    sem_init(semaphore, 0, 0);
    return {[semaphore] { return sem_wait(semaphore); }, [semaphore] { sem_post(semaphore); }};
}
INTERRUPTION(sem_timedwait_call, .parks = 2) {
    auto* const semaphore = new sem_t;
    sem_init(semaphore, 0, 0);
    return {[semaphore] {
                timespec const when = real_time_later();
                return sem_timedwait(semaphore, &when);
            },
            [semaphore] { sem_post(semaphore); }};
}
INTERRUPTION(sem_wait_shared, .parks = 2) {
    auto* const semaphore = new sem_t;
    sem_init(semaphore, 1, 0);
    return {[semaphore] { return sem_wait(semaphore); }, [semaphore] { sem_post(semaphore); }};
}
INTERRUPTION(mutex_lock, .parks = 2) {
    // The other side takes it first, and gives it back.
    auto* const mutex = new pthread_mutex_t;
    pthread_mutex_init(mutex, nullptr);
    auto* const held = new std::atomic<int>{0};
    auto* const release = new std::atomic<bool>{false};
    std::thread([=] {
        pthread_mutex_lock(mutex);
        *held = 1;
        while (!*release)
            let_others_run();
        pthread_mutex_unlock(mutex);
    }).detach();
    while (*held == 0)
        let_others_run();
    return {[mutex] { return pthread_mutex_lock(mutex); }, [release] { *release = true; }};
}
INTERRUPTION(cond_wait_call, .parks = 2) {
    auto* const mutex = new pthread_mutex_t;
    auto* const condition = new pthread_cond_t;
    pthread_mutex_init(mutex, nullptr);
    pthread_cond_init(condition, nullptr);
    return {[=] {
                pthread_mutex_lock(mutex);
                int const result = pthread_cond_wait(condition, mutex);
                pthread_mutex_unlock(mutex);
                return result;
            },
            [condition] { pthread_cond_signal(condition); }};
}
INTERRUPTION(join_call, .parks = 2) {
    auto* const release = new std::atomic<bool>{false};
    pthread_t thread{};
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_create(
        &thread, nullptr,
        [](void* flag) -> void* {
            while (!*static_cast<std::atomic<bool>*>(flag))
                let_others_run();
            return nullptr;
        },
        release);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return {[thread] { return pthread_join(thread, nullptr); }, [release] { *release = true; }};
}

// -- files --

static std::string new_file() {
    static int count = 0;
    return make_file("file" + std::to_string(count++), "abc");
}
INTERRUPTION(flock_call, .parks_with_files = 2) {
    std::string const path = new_file();
    int const one = open(path.c_str(), O_RDWR);
    int const other = open(path.c_str(), O_RDWR);
    REQUIRE(flock(one, LOCK_EX) == 0);
    return {[other] {
                int const result = flock(other, LOCK_EX);
                syscall(SYS_flock, other, LOCK_UN);
                return result;
            },
            [one] { syscall(SYS_flock, one, LOCK_UN); }};
}
static struct flock whole_file(short type) {
    struct flock section {};
    section.l_type = type;
    section.l_whence = SEEK_SET;
    return section;
}
// Held by another open file of this process.
static std::function<void()> hold(int fd) {
    struct flock section = whole_file(F_WRLCK);
    REQUIRE(syscall(SYS_fcntl, fd, F_OFD_SETLK, &section) == 0);
    return [fd] {
        struct flock gone = whole_file(F_UNLCK);
        syscall(SYS_fcntl, fd, F_OFD_SETLK, &gone);
    };
}
INTERRUPTION(fcntl_lock, .parks_with_files = 2) {
    std::string const path = new_file();
    int const other = open(path.c_str(), O_RDWR);
    return {[other] {
                struct flock section = whole_file(F_WRLCK);
                int const result = fcntl(other, F_SETLKW, &section);
                int const error = errno;
                section = whole_file(F_UNLCK);
                syscall(SYS_fcntl, other, F_SETLK, &section);
                errno = error;
                return result;
            },
            hold(open(path.c_str(), O_RDWR))};
}
INTERRUPTION(open_file_lock, .parks_with_files = 2) {
    std::string const path = new_file();
    int const other = open(path.c_str(), O_RDWR);
    return {[other] {
                struct flock section = whole_file(F_WRLCK);
                return fcntl(other, F_OFD_SETLKW, &section);
            },
            hold(open(path.c_str(), O_RDWR))};
}
INTERRUPTION(lockf_call, .parks_with_files = 2) {
    std::string const path = new_file();
    int const other = open(path.c_str(), O_RDWR);
    return {[other] { return lockf(other, F_LOCK, 0); }, hold(open(path.c_str(), O_RDWR))};
}

// -- queues --

static mqd_t make_queue() {
    static int count = 0;
    std::string const name = "/weft-corner-" + std::to_string(getpid()) + "-" + std::to_string(count++);
    mq_attr attributes{};
    attributes.mq_maxmsg = 1;
    attributes.mq_msgsize = 16;
    mqd_t const queue = mq_open(name.c_str(), O_RDWR | O_CREAT, 0600, &attributes);
    REQUIRE(queue >= 0);
    mq_unlink(name.c_str());
    return queue;
}
static std::function<void()> send_to(mqd_t queue) {
    return [queue] { mq_send(queue, "abc", 3, 0); };
}
INTERRUPTION(mq_receive_call, .parks = 2) {
    mqd_t const queue = make_queue();
    return {[queue] { return mq_receive(queue, buffer.data(), 64, nullptr); }, send_to(queue)};
}
INTERRUPTION(mq_timedreceive_call, .parks = 2) {
    mqd_t const queue = make_queue();
    return {[queue] {
                timespec const when = real_time_later();
                return mq_timedreceive(queue, buffer.data(), 64, nullptr, &when);
            },
            send_to(queue)};
}
INTERRUPTION(mq_send_call, .parks = 2) {
    mqd_t const queue = make_queue();
    REQUIRE(mq_send(queue, "abc", 3, 0) == 0);
    return {[queue] { return mq_send(queue, "abc", 3, 0); },
            [queue] { mq_receive(queue, buffer.data(), 64, nullptr); }};
}
struct removed_queue {
    removed_queue() : id(msgget(IPC_PRIVATE, 0600)) {}
    removed_queue(removed_queue const&) = delete;
    removed_queue& operator=(removed_queue const&) = delete;
    ~removed_queue() { msgctl(id, IPC_RMID, nullptr); }
    int id;
};
struct note {
    long type = 1;
    std::array<char, 8> text{};
};
INTERRUPTION(msgrcv_call, .parks = 2) {
    static removed_queue const queues[2];
    static int used = 0;
    int const id = queues[used++].id;
    return {[id] {
                note got;
                return msgrcv(id, &got, sizeof got.text, 0, 0);
            },
            [id] {
                note const out;
                msgsnd(id, &out, 3, 0);
            }};
}
INTERRUPTION(msgsnd_call, .parks = 2) {
    static removed_queue const queues[2];
    static int used = 0;
    int const id = queues[used++].id;
    msqid_ds settings{};
    REQUIRE(msgctl(id, IPC_STAT, &settings) == 0);
    settings.msg_qbytes = 3;
    REQUIRE(msgctl(id, IPC_SET, &settings) == 0);
    note const out;
    REQUIRE(msgsnd(id, &out, 3, 0) == 0);
    return {[id] {
                note const again;
                return msgsnd(id, &again, 3, 0);
            },
            [id] {
                note got;
                msgrcv(id, &got, sizeof got.text, 0, 0);
            }};
}
struct removed_semaphores {
    removed_semaphores() : id(semget(IPC_PRIVATE, 1, 0600)) {}
    removed_semaphores(removed_semaphores const&) = delete;
    removed_semaphores& operator=(removed_semaphores const&) = delete;
    ~removed_semaphores() { semctl(id, 0, IPC_RMID); }
    int id;
};
INTERRUPTION(semop_call, .parks = 2) {
    static removed_semaphores const sets[2];
    static int used = 0;
    int const id = sets[used++].id;
    return {[id] {
                sembuf down{.sem_num = 0, .sem_op = -1, .sem_flg = 0};
                return semop(id, &down, 1);
            },
            [id] {
                sembuf up{.sem_num = 0, .sem_op = 1, .sem_flg = 0};
                semop(id, &up, 1);
            }};
}
INTERRUPTION(semtimedop_call, .parks = 2) {
    static removed_semaphores const sets[2];
    static int used = 0;
    int const id = sets[used++].id;
    return {[id] {
                sembuf down{.sem_num = 0, .sem_op = -1, .sem_flg = 0};
                timespec const limit{.tv_sec = 2, .tv_nsec = 0};
                return semtimedop(id, &down, 1, &limit);
            },
            [id] {
                sembuf up{.sem_num = 0, .sem_op = 1, .sem_flg = 0};
                semop(id, &up, 1);
            }};
}

// libc's asynchronous I/O: a read of a pipe that is under way.
static aiocb* start_reading(int fd) {
    auto* const request = new aiocb{};
    request->aio_fildes = fd;
    request->aio_buf = buffer.data();
    request->aio_nbytes = 8;
    request->aio_lio_opcode = LIO_READ;
    return request;
}
INTERRUPTION(aio_suspend_call, .parks = 2) {
    auto const ends = make_pipe();
    aiocb* const request = start_reading(ends.first);
    REQUIRE(aio_read(request) == 0);
    return {[request] { return aio_suspend(&request, 1, nullptr); }, feed(ends.second)};
}
INTERRUPTION(lio_listio_call, .parks = 2) {
    auto const ends = make_pipe();
    return {[ends] {
                aiocb* request = start_reading(ends.first);
                return lio_listio(LIO_WAIT, &request, 1, nullptr);
            },
            feed(ends.second)};
}
