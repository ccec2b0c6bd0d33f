// read and write on what is no socket: pipes, FIFOs, terminals, eventfds, timerfds, signalfds, inotify; and what duplicates,
// closes and changes descriptors.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>

#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;
using namespace std::chrono_literals;

namespace {

std::array<char, 64> buffer{};

int make_fifo(char const* name, std::string& path) {
    path = own_folder() + "/" + name;
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    return ::open(path.c_str(), O_RDWR);
}

int start_timer(int milliseconds, int flags = 0) {
    int const fd = ::timerfd_create(CLOCK_MONOTONIC, flags);
    itimerspec time{};
    time.it_value.tv_nsec = milliseconds * 1'000'000L;
    REQUIRE(::timerfd_settime(fd, 0, &time, nullptr) == 0);
    return fd;
}

} // namespace

CORNER_CASE(nothing_on_a_pipe) {
    auto const [reader, writer] = make_pipe();
    iovec const none[2] = {{buffer.data(), 0}, {buffer.data(), 0}};
    TELL(read(reader, buffer.data(), 0));
    TELL(write(writer, buffer.data(), 0));
    TELL(readv(reader, none, 2));
    TELL(writev(writer, none, 2));
    TELL(readv(reader, none, 0));
    TELL(writev(writer, none, 0));
    TELL(readv(reader, none, -1));
    TELL(writev(writer, none, -1));
    TELL(read(writer, buffer.data(), 8));
    TELL(write(reader, buffer.data(), 8));
    TELL(read(writer, buffer.data(), 0));
    TELL(write(reader, buffer.data(), 0));
    fill(writer);
    TELL(write(writer, buffer.data(), 0));
    TELL(writev(writer, none, 2));
    close(reader);
    signal(SIGPIPE, SIG_IGN);
    TELL(write(writer, buffer.data(), 0));
    TELL(writev(writer, none, 2));
    TELL(write(writer, buffer.data(), 1));
}

CORNER_CASE(pipe_waits_for_data, .parks = 3) {
    auto const [reader, writer] = make_pipe();
    other_side const feeder([to = writer] {
        until_case_waits();
        put(to, "abc");
        until_case_waits();
        put(to, "defgh");
        until_case_waits();
        close(to);
    });
    about_to_wait();
    TELL(read(reader, buffer.data(), 8));
    about_to_wait();
    iovec const parts[2] = {{buffer.data(), 2}, {buffer.data() + 2, 1}};
    TELL(readv(reader, parts, 2));
    TELL(read(reader, buffer.data(), 8));
    about_to_wait();
    TELL(read(reader, buffer.data(), 8));
    TELL(read(reader, buffer.data(), 8));
}

CORNER_CASE(pipe_waits_for_room, .parks = 3) {
    auto const [reader, writer] = make_pipe();
    std::string const much(300'000, 'x');
    std::size_t const held = fill(writer);
    {
        other_side const taker([=, from = reader] {
            until_case_waits();
            drain(from, held);
            until_case_waits();
            drain(from, 300'001);
        });
        about_to_wait();
        TELL(write(writer, "a", 1));
        about_to_wait();
        TELL(write(writer, much.data(), much.size()));
    }
    fill(writer);
    signal(SIGPIPE, SIG_IGN);
    other_side const closer([from = reader] {
        until_case_waits();
        close(from);
    });
    about_to_wait();
    TELL(write(writer, much.data(), much.size()));
}

CORNER_CASE(part_of_a_write_before_the_end, .parks = 1) {
    auto const [reader, writer] = make_pipe();
    signal(SIGPIPE, SIG_IGN);
    std::string const much(300'000, 'x');
    std::atomic<bool> returned{false};
    other_side const taker([from = reader, &returned] {
        until_case_waits();
        close(from);
    });
    about_to_wait();
    TELL(write(writer, much.data(), much.size()));
    TELL(write(writer, much.data(), much.size()));
}

CORNER_CASE(pipe_nonblocking) {
    std::array<int, 2> ends{};
    TELL(pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC));
    TELL(read(ends[0], buffer.data(), 8));
    TELL(fill(ends[1]));
    TELL(write(ends[1], "x", 1));
    std::string const much(100'000, 'x');
    drain(ends[0], 8192);
    TELL(write(ends[1], much.data(), much.size()));
    drain(ends[0], 100);
    TELL(write(ends[1], much.data(), 200));
    TELL(fcntl(ends[1], F_SETFL, 0));
    TELL(fcntl(ends[0], F_GETFL) & O_NONBLOCK ? 1 : 0);
    TELL(fcntl(ends[0], F_SETFL, 0));
    int on = 1;
    TELL(ioctl(ends[0], FIONBIO, &on));
    drain(ends[0], 65536);
    TELL(read(ends[0], buffer.data(), 8));
    TELL(pipe2(ends.data(), 0x77));
    TELL(pipe2(ends.data(), O_DIRECT));
    put(ends[1], "abcdef");
    put(ends[1], "gh");
    TELL(read(ends[0], buffer.data(), 3));
    TELL(read(ends[0], buffer.data(), 64));
}

CORNER_CASE(capacity_of_a_pipe, .parks = 1) {
    auto const [reader, writer] = make_pipe();
    TELL(fcntl(writer, F_SETPIPE_SZ, 4096));
    TELL(fcntl(writer, F_GETPIPE_SZ));
    std::string const much(5000, 'x');
    other_side const taker([from = reader] {
        until_case_waits();
        drain(from, 5000);
    });
    about_to_wait();
    TELL(write(writer, much.data(), much.size()));
}

CORNER_CASE(eventfds, .parks = 3) {
    int const fd = eventfd(0, 0);
    other_side const feeder([fd] {
        std::uint64_t value = 5;
        until_case_waits();
        syscall(SYS_write, fd, &value, sizeof value);
        until_case_waits();
        syscall(SYS_read, fd, &value, sizeof value);
    });
    std::uint64_t value = 0;
    about_to_wait();
    TELL(read(fd, &value, sizeof value));
    TELL(value);
    TELL(read(fd, &value, 4));
    TELL(write(fd, &value, 4));
    value = UINT64_MAX - 1;
    TELL(write(fd, &value, sizeof value));
    value = 1;
    about_to_wait();
    TELL(write(fd, &value, sizeof value));
    value = UINT64_MAX;
    TELL(write(fd, &value, sizeof value));
    TELL(read(fd, buffer.data(), 64));
    set_nonblocking(fd, true);
    TELL(read(fd, buffer.data(), 8));
    int const counting = eventfd(2, EFD_SEMAPHORE);
    TELL(read(counting, &value, sizeof value));
    TELL(read(counting, &value, sizeof value));
    TELL(value);
    other_side const again([counting] {
        std::uint64_t const two = 2;
        until_case_waits();
        syscall(SYS_write, counting, &two, sizeof two);
    });
    about_to_wait();
    TELL(read(counting, &value, sizeof value));
    TELL(value);
    iovec const halves[2] = {{&value, 4}, {reinterpret_cast<char*>(&value) + 4, 4}};
    TELL(readv(counting, halves, 2));
    TELL(writev(counting, halves, 2));
    TELL(eventfd_write(counting, 1));
    TELL(eventfd_read(counting, &value));
}

CORNER_CASE(timerfds, .parks = 1) {
    stopwatch const time;
    int const fd = start_timer(20);
    std::uint64_t value = 0;
    TELL(read(fd, &value, sizeof value));
    TELL(value);
    TELL_FACT(time.at_least(20ms));
    TELL(read(fd, &value, 4));
    TELL(write(fd, &value, sizeof value));
    int const other = start_timer(1, TFD_NONBLOCK);
    set_nonblocking(fd, true);
    TELL(read(fd, &value, sizeof value));
    pollfd ready{.fd = other, .events = POLLIN, .revents = 0};
    TELL(poll(&ready, 1, 5000));
    TELL(read(other, &value, sizeof value));
    TELL(read(other, &value, sizeof value));
}

CORNER_CASE(signalfds, .parks = 1, .threads_only = "another thread of the program could take the signal") {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    int const fd = signalfd(-1, &set, 0);
    pthread_t const self = pthread_self();
    other_side const sender([self] {
        until_case_waits();
        pthread_kill(self, SIGUSR1);
    });
    signalfd_siginfo info{};
    about_to_wait();
    TELL(read(fd, &info, sizeof info));
    TELL(info.ssi_signo);
    TELL(read(fd, &info, 10));
    TELL(write(fd, &info, sizeof info));
    set_nonblocking(fd, true);
    TELL(read(fd, &info, sizeof info));
    TELL(signalfd(fd, &set, 0x77));
    TELL(signalfd(0, &set, 0));
}

CORNER_CASE(file_events, .parks = 1) {
    int const fd = inotify_init1(0);
    std::string const& folder = own_folder();
    TELL(inotify_add_watch(fd, folder.c_str(), IN_CREATE));
    other_side const maker([&folder] {
        until_case_waits();
        mkdir((folder + "/new").c_str(), 0700);
    });
    alignas(inotify_event) std::array<char, 4096> events{};
    about_to_wait();
    TELL(read(fd, events.data(), events.size()));
    mkdir((folder + "/newer").c_str(), 0700);
    TELL(read(fd, events.data(), 4));
    TELL(read(fd, events.data(), events.size()));
    TELL(write(fd, "x", 1));
    set_nonblocking(fd, true);
    TELL(read(fd, events.data(), events.size()));
}

CORNER_CASE(terminals, .parks = 3) {
    auto const [master, slave] = make_terminal();
    other_side const typist([to = master, at = slave] {
        until_case_waits();
        put(to, "abc");
        until_case_waits();
        put(at, "def");
        until_case_waits();
        close(at);
    });
    about_to_wait();
    TELL(read(slave, buffer.data(), 8));
    about_to_wait();
    TELL(read(master, buffer.data(), 8));
    TELL(write(slave, "xyz", 3));
    TELL(read(master, buffer.data(), 1));
    TELL(read(master, buffer.data(), 8));
    TELL(read(slave, buffer.data(), 0));
    TELL(write(slave, buffer.data(), 0));
    set_nonblocking(master, true);
    TELL(read(master, buffer.data(), 8));
    set_nonblocking(master, false);
    about_to_wait();
    TELL(read(master, buffer.data(), 8));
}

CORNER_CASE(terminal_by_lines, .parks = 1) {
    int master = -1;
    int slave = -1;
    REQUIRE(openpty(&master, &slave, nullptr, nullptr, nullptr) == 0);
    std::atomic<bool> returned{false};
    other_side const typist([to = master, &returned] {
        until_case_waits();
        put(to, "ab");
        until_case_waits_again(returned);
        put(to, "c\n");
        until_case_waits();
        put(to, "\x04"); // the end of the file
    });
    about_to_wait();
    TELL(read(slave, buffer.data(), 2));
    TELL(read(slave, buffer.data(), 8));
    about_to_wait();
    TELL(read(slave, buffer.data(), 8));
}

CORNER_CASE(terminal_with_a_time, .parks = 0) {
    auto const [master, slave] = make_terminal();
    termios settings{};
    tcgetattr(slave, &settings);
    settings.c_cc[VMIN] = 0;
    settings.c_cc[VTIME] = 1;
    TELL(tcsetattr(slave, TCSANOW, &settings));
    stopwatch const time;
    TELL(read(slave, buffer.data(), 8));
    TELL_FACT(time.at_least(90ms));
    settings.c_cc[VTIME] = 0;
    TELL(tcsetattr(slave, TCSANOW, &settings));
    TELL(read(slave, buffer.data(), 8));
    put(master, "abc");
    TELL(read(slave, buffer.data(), 8));
}

CORNER_CASE(terminal_with_a_least_count, .parks = 1) {
    auto const [master, slave] = make_terminal();
    termios settings{};
    tcgetattr(slave, &settings);
    settings.c_cc[VMIN] = 5;
    settings.c_cc[VTIME] = 0;
    TELL(tcsetattr(slave, TCSANOW, &settings));
    std::atomic<bool> returned{false};
    other_side const typist([to = master, &returned] {
        until_case_waits();
        put(to, "abc");
        until_case_waits_again(returned);
        put(to, "de");
    });
    about_to_wait();
    TELL(read(slave, buffer.data(), 8));
}

CORNER_CASE(hung_up_terminal, .parks = 1) {
    auto const [master, slave] = make_terminal();
    other_side const closer([from = master] {
        until_case_waits();
        close(from);
    });
    about_to_wait();
    TELL(read(slave, buffer.data(), 8));
    TELL(write(slave, "x", 1));
}

CORNER_CASE(fifos, .parks = 3) {
    std::string path;
    int const both = make_fifo("fifo", path);
    int const reader = open(path.c_str(), O_RDONLY);
    int const writer = open(path.c_str(), O_WRONLY);
    std::atomic<bool> drained{false};
    other_side const feeder([both, &drained] {
        until_case_waits();
        put(both, "abc");
        until_case_waits();
        drain(both, 65536);
        drained = true;
    });
    about_to_wait();
    TELL(read(reader, buffer.data(), 8));
    fill(writer);
    std::string const page(4096, 'x');
    about_to_wait();
    TELL(write(writer, page.data(), page.size()));
    while (!drained)
        let_others_run();
    close(both);
    drain(reader, 4096);
    other_side const closer([writer] {
        until_case_waits();
        close(writer);
    });
    about_to_wait();
    TELL(read(reader, buffer.data(), 8));
    TELL(read(reader, buffer.data(), 8));
    TELL(open(path.c_str(), O_WRONLY | O_NONBLOCK) >= 0);
    close(reader);
    signal(SIGPIPE, SIG_IGN);
    TELL(open((path + "x").c_str(), O_WRONLY));
}

CORNER_CASE(devices) {
    int const null = open("/dev/null", O_RDWR);
    TELL(read(null, buffer.data(), 8));
    TELL(write(null, "abc", 3));
    iovec const parts[2] = {{buffer.data(), 2}, {buffer.data() + 2, 5}};
    TELL(readv(null, parts, 2));
    TELL(writev(null, parts, 2));
    int const zero = open("/dev/zero", O_RDWR);
    TELL(read(zero, buffer.data(), 8));
    TELL(readv(zero, parts, 2));
    TELL(writev(zero, parts, 2));
    int const full = open("/dev/full", O_RDWR);
    TELL(write(full, "abc", 3));
    TELL(writev(full, parts, 2));
    TELL(read(full, buffer.data(), 8));
    int const random = open("/dev/urandom", O_RDONLY);
    TELL(read(random, buffer.data(), 8));
    TELL(write(random, "abc", 3));
    int const status = open("/proc/self/stat", O_RDONLY);
    TELL(read(status, buffer.data(), 1));
    TELL(readv(status, parts, 2));
    int const folder = open("/proc/self", O_RDONLY | O_DIRECTORY);
    TELL(read(folder, buffer.data(), 8));
    int const path = open("/", O_PATH);
    TELL(read(path, buffer.data(), 8));
    TELL(write(path, buffer.data(), 8));
    TELL(fcntl(path, F_SETFL, O_NONBLOCK));
    int const epoll = static_cast<int>(syscall(SYS_epoll_create1, 0));
    TELL(read(epoll, buffer.data(), 8));
    TELL(write(epoll, buffer.data(), 8));
}

CORNER_CASE(duplicates, .parks = 2) {
    auto const [reader, writer] = make_pipe();
    int const copy = dup(reader);
    say("%d", copy - writer);
    TELL(close(reader));
    other_side const feeder([to = writer] {
        until_case_waits();
        put(to, "abc");
        until_case_waits();
        put(to, "d");
    });
    about_to_wait();
    TELL(read(copy, buffer.data(), 8));
    TELL(dup(-1));
    TELL(dup2(-1, 20));
    TELL(dup2(copy, -1));
    TELL(dup2(copy, 1 << 30));
    TELL(dup3(copy, copy, 0));
    TELL(dup3(copy, 30, 0x77));
    TELL(fcntl(30, F_GETFD));
    TELL(dup2(copy, copy) == copy);
    TELL(dup2(copy, 20));
    TELL(dup3(20, 21, O_CLOEXEC));
    TELL(fcntl(21, F_GETFD));
    TELL(fcntl(copy, F_DUPFD, 25));
    TELL(fcntl(copy, F_DUPFD_CLOEXEC, 25));
    TELL(fcntl(copy, F_DUPFD, -1));
    TELL(fcntl(copy, F_DUPFD, 1 << 30));
    about_to_wait();
    TELL(read(21, buffer.data(), 8));
    // What one of them is set to, all of them are.
    set_nonblocking(20, true);
    TELL(read(copy, buffer.data(), 8));
    TELL(read(25, buffer.data(), 8));
    close(copy);
    TELL(read(copy, buffer.data(), 8));
    set_nonblocking(21, false);
    close(writer);
    TELL(read(26, buffer.data(), 8));
}

CORNER_CASE(closed_and_used) {
    auto const [reader, writer] = make_pipe();
    TELL(close(reader));
    TELL(close(reader));
    TELL(read(reader, buffer.data(), 8));
    TELL(write(reader, buffer.data(), 8));
    TELL(fcntl(reader, F_GETFL));
    TELL(close(-1));
    TELL(close(INT_MAX));
    TELL(close_range(100, 50, 0));
    TELL(close_range(100, 50, 77));
    TELL(close_range(100, ~0U, 77));
    TELL(close_range(100, 120, 0));
    int const other = dup(writer);
    TELL(close_range(static_cast<unsigned>(other), ~0U, CLOSE_RANGE_CLOEXEC));
    TELL(fcntl(other, F_GETFD));
    TELL(close_range(static_cast<unsigned>(other), static_cast<unsigned>(other), 0));
    TELL(fcntl(other, F_GETFD));
    close_range(static_cast<unsigned>(writer), highest_of_a_case, 0);
    TELL(fcntl(writer, F_GETFD));
    TELL(socket(AF_INET, SOCK_STREAM, 0) - reader);
}

// A number that is given out again is not what it was, whatever it was.
CORNER_CASE(numbers_given_out_again, .parks = 6) {
    int number = -1;
    auto const expect_number = [&number](int fd) {
        if (number >= 0)
            TELL_FACT(fd == number);
        number = fd;
    };
    for (int round = 0; round < 2; ++round) {
        {
            auto const [one, other] = make_unix_pair();
            expect_number(one);
            put(other, "abcd");
            TELL(recv(one, buffer.data(), 2, 0));
            set_nonblocking(one, true);
            TELL(recv(one, buffer.data(), 8, 0));
            TELL(recv(one, buffer.data(), 8, 0));
            close(one);
            close(other);
        }
        {
            auto const [reader, writer] = make_pipe();
            expect_number(reader);
            other_side const feeder([to = writer] {
                until_case_waits();
                put(to, "ab");
            });
            about_to_wait();
            TELL(read(reader, buffer.data(), 8));
            TELL(recv(reader, buffer.data(), 8, 0));
            close(reader);
            close(writer);
        }
        {
            auto const [one, other] = make_tcp_pair();
            other_side const feeder([to = other] {
                until_case_waits();
                put(to, "ab");
                until_case_waits();
                put(to, "cd");
            });
            about_to_wait();
            TELL(recv(one, buffer.data(), 8, 0));
            about_to_wait();
            TELL(read(one, buffer.data(), 8));
            close(one);
            close(other);
        }
        {
            int const fd = open_file("file", "abcdef", O_RDONLY);
            TELL(read(fd, buffer.data(), 4));
            TELL(read(fd, buffer.data(), 8));
            TELL(read(fd, buffer.data(), 8));
            TELL(recv(fd, buffer.data(), 8, 0));
            close(fd);
        }
        {
            int const fd = eventfd(0, EFD_NONBLOCK);
            TELL(read(fd, buffer.data(), 8));
            close(fd);
        }
    }
}

CORNER_CASE(a_pipe_that_was_a_socket_by_dup2, .parks = 2) {
    auto const [one, other] = make_tcp_pair();
    auto const [reader, writer] = make_pipe();
    put(other, "abcd");
    TELL(recv(one, buffer.data(), 8, 0));
    TELL(dup2(reader, one) == one);
    other_side const feeder([to = writer, end = other] {
        until_case_waits();
        put(to, "ab");
        until_case_waits();
        put(end, "cd");
    });
    about_to_wait();
    TELL(read(one, buffer.data(), 8));
    TELL(recv(one, buffer.data(), 8, 0));
    auto const [three, four] = make_tcp_pair();
    TELL(dup2(three, one) == one);
    int const end = dup2(four, other);
    about_to_wait();
    TELL(recv(one, buffer.data(), 8, 0));
    TELL(end == other);
}

CORNER_CASE(streams_of_libc, .parks = 0) {
    auto const [reader, writer] = make_pipe();
    FILE* const in = fdopen(reader, "r");
    FILE* const out = fdopen(writer, "w");
    TELL(std::fputs("abc\n", out) >= 0);
    TELL(fflush(out));
    TELL(std::fgetc(in));
    TELL(fclose(out));
    TELL(write(writer, "x", 1));
    TELL(std::fgetc(in));
    TELL(std::fgetc(in));
    TELL(std::fgetc(in));
    TELL(std::fgetc(in));
    TELL(fclose(in));
    TELL(fcntl(reader, F_GETFD));
    TELL(fclose(std::tmpfile()));
}

CORNER_CASE(control_calls) {
    auto const [reader, writer] = make_pipe();
    put(writer, "abc");
    int count = -1;
    TELL(ioctl(reader, FIONREAD, &count));
    TELL(count);
    TELL(ioctl(reader, 0x7777, &count));
    TELL(ioctl(-1, FIONREAD, &count));
    TELL(ioctl(reader, FIOCLEX));
    TELL(fcntl(reader, F_GETFD));
    TELL(ioctl(reader, FIONCLEX));
    TELL(fcntl(reader, F_GETFD));
    TELL(fcntl(reader, 7777));
    TELL(fcntl(reader, F_SETFL, -1));
    TELL(fcntl(reader, F_GETFL) & O_NONBLOCK ? 1 : 0);
    TELL(fcntl(reader, F_SETFL, 0));
    TELL(fcntl(reader, F_SETOWN, getpid()));
    TELL(fcntl(reader, F_GETOWN) == getpid());
    TELL(fcntl(reader, F_SETOWN, 0));
    TELL(fcntl(-1, F_SETFL, O_NONBLOCK));
    int on = 1;
    TELL(ioctl(-1, FIONBIO, &on));
    TELL(fcntl(writer, F_SETPIPE_SZ, 1 << 30));
    TELL(fcntl(writer, F_SETPIPE_SZ, -1));
}
