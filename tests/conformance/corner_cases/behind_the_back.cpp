// Descriptors that are closed, replaced, opened and changed by raw system calls, as libc's insides and other runtimes do: it costs
// at most a wake-up too many, never a hang or another connection's data.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <functional>
#include <string>

#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;

namespace {

std::array<char, 64> buffer{};

int raw_close(int fd) { return static_cast<int>(syscall(SYS_close, fd)); }

// `fd` moved to `number`, which was closed before; all behind the back.
void raw_move(int fd, int number) {
    REQUIRE(syscall(SYS_dup3, fd, number, 0) == number);
    raw_close(fd);
}

void tell_received(int fd) {
    ssize_t const size = recv(fd, buffer.data(), buffer.size(), 0);
    int const error = errno;
    say("received %zd %s", size,
        size < 0 ? error_name(error) : std::string(buffer.data(), static_cast<std::size_t>(size)).c_str());
}

void tell_read(int fd) {
    ssize_t const size = read(fd, buffer.data(), buffer.size());
    int const error = errno;
    say("read %zd %s", size,
        size < 0 ? error_name(error) : std::string(buffer.data(), static_cast<std::size_t>(size)).c_str());
}

// Closes `fd`, which wakes who waits on it under weft; but for who is just late, as `over` then tells.
void end_calls_that_last(int fd, std::atomic<bool> const& over) {
    stopwatch const time;
    if (!until_case_waits_again(over))
        return;
    while (!over && !time.at_least(std::chrono::seconds(3)))
        let_others_run();
    if (!over)
        close(fd);
}

// Ends the calls on `fd` that wait as long as this lives, which natively they don't.
class no_longer_than_needed {
public:
    explicit no_longer_than_needed(int fd) : thread_([this, fd] { end_calls_that_last(fd, over_); }) {}
    no_longer_than_needed(no_longer_than_needed const&) = delete;
    no_longer_than_needed& operator=(no_longer_than_needed const&) = delete;
    ~no_longer_than_needed() { over_ = true; }

private:
    std::atomic<bool> over_{false};
    other_side thread_;
};

void tell_received_at_once(int fd) {
    no_longer_than_needed const rescue(fd);
    tell_received(fd);
}

void tell_read_at_once(int fd) {
    no_longer_than_needed const rescue(fd);
    tell_read(fd);
}

// The call waits until `act` is done, and natively no longer.
template <class Read> void after(int fd, std::function<void()> const& act, Read tell) {
    std::atomic<bool> over{false};
    other_side const peer([&] {
        until_case_waits();
        act();
        end_calls_that_last(fd, over);
    });
    about_to_wait();
    tell(fd);
    over = true;
}

// A connection that weft knows to be drained: read with a wait, then by a short read.
two_ends drained_connection() {
    auto const ends = make_tcp_pair();
    other_side const feeder([to = ends.second] {
        until_case_waits();
        put(to, "old");
    });
    about_to_wait();
    tell_received(ends.first);
    put(ends.second, "older");
    tell_received(ends.first);
    return ends;
}

} // namespace

// The kernel goes on waiting on the file, which lives as long as somebody does; so do we.
CORNER_CASE(closed_while_it_waits, .parks = 4) {
    for (auto const ends : {make_tcp_pair(), make_unix_pair()}) {
        set_timeout(ends.first, SO_RCVTIMEO, 2000);
        // A duplicate keeps the file, and the peer's words come.
        int const kept = static_cast<int>(syscall(SYS_dup, ends.first));
        other_side const closer([ends] {
            until_case_waits();
            raw_close(ends.first);
            put(ends.second, "abc");
        });
        about_to_wait();
        stopwatch const time;
        ssize_t const size = recv(ends.first, buffer.data(), 8, 0);
        // Natively the data, under weft that or EBADF; in any case soon, and the data is not lost.
        TELL_FACT(size == 3 || (size == -1 && errno == EBADF));
        TELL_FACT(!time.at_least(std::chrono::milliseconds(1900)));
        TELL_FACT(size == 3 || recv(kept, buffer.data(), 8, 0) == 3); // the words may be on their way yet
    }
    for (auto const ends : {make_tcp_pair(), make_unix_pair()}) {
        set_timeout(ends.first, SO_RCVTIMEO, 300);
        other_side const closer([ends] {
            until_case_waits();
            raw_close(ends.first);
            raw_close(ends.second);
        });
        about_to_wait();
        ssize_t const size = recv(ends.first, buffer.data(), 8, 0);
        TELL_FACT(size <= 0);
    }
}

CORNER_CASE(the_last_number_of_a_file_while_it_waits, .parks = 1) {
    auto const [one, other] = make_tcp_pair();
    set_timeout(one, SO_RCVTIMEO, 100);
    ssize_t size = 0;
    int error = 0;
    {
        other_side const closer([fd = one] {
            until_case_waits();
            raw_close(fd);
        });
        about_to_wait();
        size = recv(one, buffer.data(), 8, 0);
        error = errno;
    }
    TELL_FACT(size < 0 && (error == EAGAIN || error == EBADF));
    TELL(recv(one, buffer.data(), 8, 0));
    TELL(close(one));
}

// The number is another connection's, whose data is there already: no edge will come of it.
CORNER_CASE(another_connection_with_data, .parks = 1) {
    auto const ends = drained_connection();
    auto const [one, other] = make_tcp_pair();
    put(other, "new");
    raw_close(ends.first);
    raw_move(one, ends.first);
    tell_received_at_once(ends.first);
    put(ends.second, "not for us");
    put(other, "newer");
    tell_received_at_once(ends.first);
}

CORNER_CASE(another_connection_without_a_time_limit, .parks = 1) {
    auto const ends = drained_connection();
    auto const [one, other] = make_tcp_pair();
    put(other, "new");
    syscall(SYS_dup3, one, ends.first, 0);
    tell_received_at_once(ends.first);
}

CORNER_CASE(another_connection_by_raw_calls_alone, .parks = 2) {
    int const listener = make_listener();
    auto const ends = drained_connection();
    int const client = start_connecting_to(listener);
    put(client, "new");
    raw_close(ends.first);
    int const accepted = static_cast<int>(syscall(SYS_accept4, listener, nullptr, nullptr, 0));
    TELL_FACT(accepted == ends.first);
    tell_received_at_once(accepted);
    after(
        accepted, [client] { put(client, "newer"); }, tell_received);
}

CORNER_CASE(another_connection_that_has_ended, .parks = 1) {
    auto const ends = drained_connection();
    auto const [one, other] = make_tcp_pair();
    close(other);
    raw_close(ends.first);
    raw_move(one, ends.first);
    tell_received_at_once(ends.first);
    tell_received_at_once(ends.first);
}

CORNER_CASE(a_pipe_where_a_connection_was, .parks = 2) {
    auto const ends = drained_connection();
    auto const [reader, writer] = make_pipe();
    put(writer, "through the pipe");
    raw_close(ends.first);
    raw_move(reader, ends.first);
    tell_read_at_once(ends.first);
    after(
        ends.first, [to = writer] { put(to, "more"); }, tell_read);
    TELL(recv(ends.first, buffer.data(), 8, 0));
}

CORNER_CASE(a_file_where_a_connection_was, .parks = 1) {
    auto const ends = drained_connection();
    int const file = open_file("file", "in the file", O_RDWR);
    raw_close(ends.first);
    raw_move(file, ends.first);
    tell_read_at_once(ends.first);
    tell_read_at_once(ends.first);
    TELL(write(ends.first, "abc", 3));
}

CORNER_CASE(a_connection_where_a_pipe_was, .parks = 2) {
    auto const [reader, writer] = make_pipe();
    other_side const first([to = writer] {
        until_case_waits();
        put(to, "old");
    });
    about_to_wait();
    tell_read(reader);
    auto const [one, other] = make_tcp_pair();
    raw_close(reader);
    raw_move(one, reader);
    put(other, "new");
    tell_read(reader);
    after(
        reader, [to = other] { put(to, "newer"); }, tell_read);
}

CORNER_CASE(replaced_while_it_waits, .parks = 1) {
    auto const [one, other] = make_tcp_pair();
    auto const [reader, writer] = make_pipe();
    set_timeout(one, SO_RCVTIMEO, 500);
    put(writer, "not for recv");
    ssize_t size = 0;
    {
        other_side const replacer([fd = one, by = reader, to = other] {
            until_case_waits();
            syscall(SYS_dup3, by, fd, 0);
            put(to, "abc");
        });
        about_to_wait();
        size = recv(one, buffer.data(), 64, 0);
    }
    // Natively the old file's data; under weft that, or an error: never what is in the pipe.
    TELL_FACT(size == 3 || size == -1);
    tell_read(one);
}

CORNER_CASE(replaced_by_another_connection_while_it_waits, .parks = 1) {
    auto const [one, other] = make_tcp_pair();
    auto const [three, four] = make_tcp_pair();
    set_timeout(one, SO_RCVTIMEO, 500);
    other_side const replacer([fd = one, by = three, to = other, end = four] {
        until_case_waits();
        syscall(SYS_dup3, by, fd, 0);
        put(end, "new");
        put(to, "old");
    });
    about_to_wait();
    recv(one, buffer.data(), 64, 0);
    say("it ended");
}

CORNER_CASE(polled_and_closed, .parks = 2) {
    auto const [one, other] = make_tcp_pair();
    auto const [reader, writer] = make_pipe();
    pollfd fds[2] = {{.fd = one, .events = POLLIN, .revents = 0},
                     {.fd = reader, .events = POLLIN, .revents = 0}};
    int found = 0;
    {
        other_side const closer([fd = one, to = writer] {
            until_case_waits();
            raw_close(fd);
            put(to, "x");
        });
        about_to_wait();
        found = poll(fds, 2, 5000);
    }
    // Natively 1, by the pipe: the closed file is still the one that is waited for. Under weft it may end by the close.
    TELL_FACT(found >= 1);
    TELL(poll(fds, 2, 0));
    TELL_FACT((fds[1].revents & POLLIN) != 0);
    drain(reader, 1);
    fds[0].fd = -1;
    TELL(poll(fds, 2, 20));
}

CORNER_CASE(nonblocking_behind_the_back) {
    auto const [one, other] = make_tcp_pair();
    long const flags = syscall(SYS_fcntl, one, F_GETFL, 0);
    syscall(SYS_fcntl, one, F_SETFL, flags | O_NONBLOCK);
    tell_received_at_once(one);
    auto const [reader, writer] = make_pipe();
    syscall(SYS_fcntl, reader, F_SETFL, O_NONBLOCK);
    tell_read_at_once(reader);
}

// That a call may wait again, nobody learns: it waits with its thread.
CORNER_CASE(blocking_again_behind_the_back) {
    auto const [one, other] = make_tcp_pair();
    auto const [reader, writer] = make_pipe();
    set_nonblocking(one, true);
    set_nonblocking(reader, true);
    TELL(recv(one, buffer.data(), 8, 0));
    TELL(read(reader, buffer.data(), 8));
    syscall(SYS_fcntl, one, F_SETFL, O_RDWR);
    syscall(SYS_fcntl, reader, F_SETFL, O_RDONLY);
    std::atomic<bool> returned{false};
    other_side const feeder([&, to = other, end = writer] {
        if (until_case_waits_again(returned))
            put(to, "abc");
        returned = false;
        if (until_case_waits_again(returned))
            put(end, "def");
    });
    TELL(recv(one, buffer.data(), 8, 0));
    TELL(read(reader, buffer.data(), 8));
    returned = true;
}

CORNER_CASE(a_time_limit_behind_the_back) {
    auto const [one, other] = make_tcp_pair();
    timeval const limit{.tv_sec = 0, .tv_usec = 30'000};
    TELL(syscall(SYS_setsockopt, one, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    no_longer_than_needed const rescue(one);
    TELL(recv(one, buffer.data(), 8, 0));
}

// The epoll of weft's own still knows the old file, whose events are not the new one's.
CORNER_CASE(an_old_file_that_lives_on, .parks = 3) {
    auto const ends = drained_connection();
    int const kept = static_cast<int>(syscall(SYS_dup, ends.first));
    auto const [one, other] = make_tcp_pair();
    syscall(SYS_dup3, one, ends.first, 0);
    set_timeout(ends.first, SO_RCVTIMEO, 100);
    put(ends.second, "old and not for the new one");
    tell_received(ends.first);
    tell_received(kept);
    set_timeout(ends.first, SO_RCVTIMEO, 0);
    after(
        ends.first, [to = other] { put(to, "new"); }, tell_received);
}

CORNER_CASE(libc_closes_inside, .parks = 1) {
    auto const [one, other] = make_tcp_pair();
    other_side const feeder([to = other] {
        until_case_waits();
        put(to, "old");
    });
    about_to_wait();
    tell_received(one);
    FILE* const stream = fdopen(one, "r");
    fclose(stream);
    auto const [three, four] = make_tcp_pair();
    put(four, "new");
    tell_received(three);
    FILE* const again = freopen("/dev/null", "r", fdopen(three, "r"));
    TELL_FACT(again != nullptr);
    auto const [five, six] = make_tcp_pair();
    put(six, "newest");
    tell_received(five);
    int const numbers = fileno(again);
    tell_read(numbers);
}
