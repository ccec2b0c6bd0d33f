// Wild descriptors and bad pointers for every call that takes one: libc's errno, never a crash, a hang or another's data.
//
// Left out are pointers that libc itself looks behind before the kernel does, and which crash it: those of pthread_... and sem_...,
// of getaddrinfo and its like, sigaction and sigwait's result, select's, pselect's and ppoll's times, popen's and system's strings,
// aio's requests, stdio's streams.
#include <dirent.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "bad_memory.hpp"
#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;

namespace {

std::array<char, 64> buffer{};
iovec part{buffer.data(), buffer.size()};
timespec const no_time{};
timeval no_time_left{};
int good_pipe_reader = -1;
int good_pipe_writer = -1;

msghdr header() {
    msghdr made{};
    made.msg_iov = &part;
    made.msg_iovlen = 1;
    return made;
}

// -- descriptors --

struct descriptor_call {
    char const* name;
    long (*make)(int fd);
};

#define ON_DESCRIPTOR(...)                                                                                   \
    {                                                                                                        \
#__VA_ARGS__, [](int fd) -> long { return __VA_ARGS__; }                                             \
    }

msghdr one_header = header();
mmsghdr one_message{header(), 0};
sockaddr_storage address{};
socklen_t length = sizeof address;
int number = 0;
struct flock section {};
epoll_event event{};

descriptor_call const descriptor_calls[] = {
    ON_DESCRIPTOR(read(fd, buffer.data(), 8)),
    ON_DESCRIPTOR(readv(fd, &part, 1)),
    ON_DESCRIPTOR(pread(fd, buffer.data(), 8, 0)),
    ON_DESCRIPTOR(preadv(fd, &part, 1, 0)),
    ON_DESCRIPTOR(preadv2(fd, &part, 1, -1, 0)),
    ON_DESCRIPTOR(preadv2(fd, &part, 1, 0, 0)),
    ON_DESCRIPTOR(write(fd, buffer.data(), 8)),
    ON_DESCRIPTOR(write(fd, buffer.data(), 0)),
    ON_DESCRIPTOR(writev(fd, &part, 1)),
    ON_DESCRIPTOR(pwrite(fd, buffer.data(), 8, 0)),
    ON_DESCRIPTOR(pwritev(fd, &part, 1, 0)),
    ON_DESCRIPTOR(pwritev2(fd, &part, 1, -1, 0)),
    ON_DESCRIPTOR(pwritev2(fd, &part, 1, 0, 0)),
    ON_DESCRIPTOR(recv(fd, buffer.data(), 8, 0)),
    ON_DESCRIPTOR(recv(fd, buffer.data(), 8, MSG_WAITALL)),
    ON_DESCRIPTOR(recv(fd, buffer.data(), 8, MSG_DONTWAIT)),
    ON_DESCRIPTOR(recvfrom(fd, buffer.data(), 8, 0, nullptr, nullptr)),
    ON_DESCRIPTOR(recvmsg(fd, &one_header, 0)),
    ON_DESCRIPTOR(recvmsg(fd, &one_header, MSG_WAITALL)),
    ON_DESCRIPTOR(recvmmsg(fd, &one_message, 1, 0, nullptr)),
    ON_DESCRIPTOR(send(fd, buffer.data(), 8, MSG_NOSIGNAL)),
    ON_DESCRIPTOR(sendto(fd, buffer.data(), 8, 0, nullptr, 0)),
    ON_DESCRIPTOR(sendmsg(fd, &one_header, 0)),
    ON_DESCRIPTOR(sendmmsg(fd, &one_message, 1, 0)),
    ON_DESCRIPTOR(accept(fd, nullptr, nullptr)),
    ON_DESCRIPTOR(accept4(fd, nullptr, nullptr, 0)),
    ON_DESCRIPTOR(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address)),
    ON_DESCRIPTOR(shutdown(fd, SHUT_RDWR)),
    ON_DESCRIPTOR(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &number, sizeof number)),
    ON_DESCRIPTOR(sendfile(fd, good_pipe_reader, nullptr, 8)),
    ON_DESCRIPTOR(sendfile(good_pipe_writer, fd, nullptr, 8)),
    ON_DESCRIPTOR(splice(fd, nullptr, good_pipe_writer, nullptr, 8, 0)),
    ON_DESCRIPTOR(splice(good_pipe_reader, nullptr, fd, nullptr, 8, 0)),
    ON_DESCRIPTOR(tee(fd, good_pipe_writer, 8, 0)),
    ON_DESCRIPTOR(tee(good_pipe_reader, fd, 8, 0)),
    ON_DESCRIPTOR(vmsplice(fd, &part, 1, 0)),
    ON_DESCRIPTOR(flock(fd, LOCK_EX | LOCK_NB)), // what has no file of its own shares one
    ON_DESCRIPTOR(lockf(fd, F_TLOCK, 0)),
    ON_DESCRIPTOR(fcntl(fd, F_SETLKW, &section)),
    ON_DESCRIPTOR(fcntl(fd, F_GETFL)),
    ON_DESCRIPTOR(fcntl(fd, F_SETFL, O_NONBLOCK)),
    ON_DESCRIPTOR(ioctl(fd, FIONBIO, &number)),
    ON_DESCRIPTOR(ioctl(fd, FIONREAD, &number)),
    ON_DESCRIPTOR(fsync(fd)),
    ON_DESCRIPTOR(fdatasync(fd)),
    ON_DESCRIPTOR(syncfs(fd)),
    ON_DESCRIPTOR(mq_receive(fd, buffer.data(), 64, nullptr)),
    ON_DESCRIPTOR(mq_send(fd, buffer.data(), 1, 0)),
    ON_DESCRIPTOR(epoll_wait(fd, &event, 1, 20)),
    ON_DESCRIPTOR(epoll_wait(fd, &event, 1, -1)),
    ON_DESCRIPTOR(epoll_pwait2(fd, &event, 1, nullptr, nullptr)),
    ON_DESCRIPTOR(openat(fd, "name", O_RDONLY)),
    ON_DESCRIPTOR(waitid(P_PIDFD, static_cast<id_t>(fd), nullptr, WEXITED)),
    ON_DESCRIPTOR(dup(fd)),
    ON_DESCRIPTOR(dup2(fd, 60)),
    ON_DESCRIPTOR(dup3(fd, 60, 0)),
    ON_DESCRIPTOR(fcntl(fd, F_DUPFD, 60)),
    ON_DESCRIPTOR(close(fd)),
};

long poll_one(int fd) {
    pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
    int const result = poll(&one, 1, 0);
    return result < 0 ? result : one.revents;
}

void prepare_good_ends() {
    auto const [reader, writer] = make_pipe();
    good_pipe_reader = reader;
    good_pipe_writer = writer;
    put(writer, "abcdefgh");
}

// -- pointers --

struct pointer_call {
    char const* name;
    std::size_t mapped; // how many bytes of what straddles are there
    long (*make)(void* bad);
};

// What the calls on pointers are made on: fresh for each of them, with something to be had.
struct fixture {
    two_ends tcp = make_tcp_pair();
    two_ends unix_stream = make_unix_pair();
    two_ends datagrams = make_udp_pair();
    two_ends pipe = make_pipe();
    int file = -1;
    int epoll = -1;
    int listener = -1;

    fixture() {
        for (int const fd : {tcp.second, unix_stream.second, datagrams.second, pipe.second})
            put(fd, "abcdefghijklmnop");
        file = open_file("file", "abcdefghijklmnop", O_RDWR);
        listener = make_listener();
        start_connecting_to(listener);
        epoll = epoll_create1(0);
        epoll_event wanted{.events = EPOLLIN, .data = {.u64 = 0}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, pipe.first, &wanted);
    }
};
fixture* now = nullptr;

template <class T> T* as(void* bad) { return static_cast<T*>(bad); }

msghdr message_with(void* iov, void* name = nullptr, void* control = nullptr) {
    msghdr made = header();
    if (iov != nullptr)
        made.msg_iov = as<iovec>(iov);
    made.msg_name = name;
    made.msg_namelen = name != nullptr ? sizeof(sockaddr_storage) : 0;
    made.msg_control = control;
    made.msg_controllen = control != nullptr ? 128 : 0;
    return made;
}
long receive_message(int fd, msghdr made, int flags = 0) { return recvmsg(fd, &made, flags | MSG_DONTWAIT); }
long send_message(int fd, msghdr made) { return sendmsg(fd, &made, MSG_NOSIGNAL); }

#define WITH_POINTER(mapped, ...)                                                                            \
    {                                                                                                        \
#__VA_ARGS__, mapped, [](void* bad) -> long { return __VA_ARGS__; }                                  \
    }

pointer_call const pointer_calls[] = {
    WITH_POINTER(4, read(now->pipe.first, bad, 8)),
    WITH_POINTER(4, read(now->tcp.first, bad, 8)),
    WITH_POINTER(4, read(now->unix_stream.first, bad, 8)),
    WITH_POINTER(4, read(now->datagrams.first, bad, 8)),
    WITH_POINTER(4, read(now->file, bad, 8)),
    WITH_POINTER(4, pread(now->file, bad, 8, 0)),
    WITH_POINTER(4, write(now->pipe.second, bad, 8)),
    WITH_POINTER(4, write(now->tcp.first, bad, 8)),
    WITH_POINTER(4, write(now->unix_stream.first, bad, 8)),
    WITH_POINTER(4, write(now->datagrams.first, bad, 8)),
    WITH_POINTER(4, write(now->file, bad, 8)),
    WITH_POINTER(4, write(now->file, bad, 0)),
    WITH_POINTER(4, pwrite(now->file, bad, 8, 0)),
    WITH_POINTER(4, readv(now->pipe.first, as<iovec>(bad), 1)),
    WITH_POINTER(16, readv(now->pipe.first, as<iovec>(bad), 2)),
    WITH_POINTER(16, readv(now->tcp.first, as<iovec>(bad), 2)),
    WITH_POINTER(16, readv(now->file, as<iovec>(bad), 2)),
    WITH_POINTER(16, preadv(now->file, as<iovec>(bad), 2, 0)),
    WITH_POINTER(16, preadv2(now->file, as<iovec>(bad), 2, -1, 0)),
    WITH_POINTER(16, preadv2(now->file, as<iovec>(bad), 2, 0, 0)),
    WITH_POINTER(16, writev(now->pipe.second, as<iovec>(bad), 2)),
    WITH_POINTER(16, writev(now->tcp.first, as<iovec>(bad), 2)),
    WITH_POINTER(16, writev(now->file, as<iovec>(bad), 2)),
    WITH_POINTER(16, pwritev(now->file, as<iovec>(bad), 2, 0)),
    WITH_POINTER(16, pwritev2(now->file, as<iovec>(bad), 2, -1, 0)),
    WITH_POINTER(4, readv(now->pipe.first, as<iovec>(bad), 0)),
    WITH_POINTER(4, writev(now->tcp.first, as<iovec>(bad), 0)),
    WITH_POINTER(4, recv(now->tcp.first, bad, 8, 0)),
    WITH_POINTER(4, recv(now->tcp.first, bad, 8, MSG_PEEK)),
    WITH_POINTER(4, recv(now->tcp.first, bad, 8, MSG_WAITALL)),
    WITH_POINTER(4, recv(now->unix_stream.first, bad, 8, MSG_WAITALL)),
    WITH_POINTER(4, recv(now->tcp.first, bad, 8, MSG_TRUNC)),
    WITH_POINTER(4, recv(now->datagrams.first, bad, 8, 0)),
    WITH_POINTER(4, recv(now->tcp.first, bad, 0, MSG_DONTWAIT)),
    WITH_POINTER(4, recvfrom(now->datagrams.first, buffer.data(), 8, 0, as<sockaddr>(bad), &length)),
    WITH_POINTER(2, recvfrom(now->datagrams.first, buffer.data(), 8, 0, reinterpret_cast<sockaddr*>(&address),
                             as<socklen_t>(bad))),
    WITH_POINTER(30, recvmsg(now->tcp.first, as<msghdr>(bad), MSG_DONTWAIT)),
    WITH_POINTER(30, recvmsg(now->tcp.first, as<msghdr>(bad), 0)),
    WITH_POINTER(30, recvmsg(now->unix_stream.first, as<msghdr>(bad), MSG_WAITALL)),
    WITH_POINTER(8, receive_message(now->tcp.first, message_with(bad))),
    WITH_POINTER(8, receive_message(now->unix_stream.first, message_with(bad), MSG_WAITALL)),
    WITH_POINTER(8, receive_message(now->datagrams.first, message_with(nullptr, bad))),
    WITH_POINTER(8, receive_message(now->datagrams.first, message_with(nullptr, nullptr, bad))),
    WITH_POINTER(4, send(now->tcp.first, bad, 8, 0)),
    WITH_POINTER(4, send(now->datagrams.first, bad, 8, 0)),
    WITH_POINTER(4, send(now->datagrams.first, bad, 0, 0)),
    WITH_POINTER(4, sendto(now->datagrams.first, "x", 1, 0, as<sockaddr>(bad), 16)),
    WITH_POINTER(30, sendmsg(now->tcp.first, as<msghdr>(bad), 0)),
    WITH_POINTER(8, send_message(now->tcp.first, message_with(bad))),
    WITH_POINTER(8, send_message(now->datagrams.first, message_with(nullptr, bad))),
    WITH_POINTER(8, send_message(now->unix_stream.first, message_with(nullptr, nullptr, bad))),
    WITH_POINTER(30, recvmmsg(now->datagrams.first, as<mmsghdr>(bad), 1, 0, nullptr)),
    WITH_POINTER(64, recvmmsg(now->datagrams.first, as<mmsghdr>(bad), 2, MSG_WAITFORONE, nullptr)),
    WITH_POINTER(8, recvmmsg(now->datagrams.first, &one_message, 1, 0, as<timespec>(bad))),
    WITH_POINTER(30, sendmmsg(now->datagrams.first, as<mmsghdr>(bad), 1, 0)),
    WITH_POINTER(30, sendmmsg(now->tcp.first, as<mmsghdr>(bad), 1, 0)),
    WITH_POINTER(64, sendmmsg(now->unix_stream.first, as<mmsghdr>(bad), 2, 0)),
    WITH_POINTER(4, accept(now->listener, as<sockaddr>(bad), &length)),
    WITH_POINTER(2, accept(now->listener, reinterpret_cast<sockaddr*>(&address), as<socklen_t>(bad))),
    WITH_POINTER(4, connect(socket(AF_INET, SOCK_STREAM, 0), as<sockaddr>(bad), 16)),
    WITH_POINTER(2, setsockopt(now->tcp.first, SOL_SOCKET, SO_RCVLOWAT, bad, 4)),
    WITH_POINTER(8, setsockopt(now->tcp.first, SOL_SOCKET, SO_RCVTIMEO, bad, 16)),
    WITH_POINTER(4, socketpair(AF_UNIX, SOCK_STREAM, 0, as<int>(bad))),
    WITH_POINTER(4, pipe(as<int>(bad))),
    WITH_POINTER(4, pipe2(as<int>(bad), O_CLOEXEC)),
    WITH_POINTER(4, ioctl(now->pipe.first, FIONREAD, bad)),
    WITH_POINTER(2, ioctl(now->pipe.first, FIONBIO, bad)),
    WITH_POINTER(8, fcntl(now->file, F_SETLKW, bad)),
    WITH_POINTER(8, fcntl(now->file, F_OFD_SETLKW, bad)),
    WITH_POINTER(8, fcntl(now->file, F_GETLK, bad)),
    WITH_POINTER(4, open(as<char>(bad), O_RDONLY)),
    WITH_POINTER(4, open(as<char>(bad), O_CREAT | O_RDONLY, 0600) >= 0),
    WITH_POINTER(4, openat(AT_FDCWD, as<char>(bad), O_RDONLY)),
    WITH_POINTER(4, creat(as<char>(bad), 0600)),
    WITH_POINTER(4, msync(bad, 4096, MS_ASYNC)),
    WITH_POINTER(4, sendfile(now->tcp.first, now->file, as<off_t>(bad), 8)),
    WITH_POINTER(4, sendfile(now->pipe.second, now->file, as<off_t>(bad), 8)),
    WITH_POINTER(4, splice(now->file, as<off_t>(bad), now->pipe.second, nullptr, 8, 0)),
    WITH_POINTER(4, splice(now->pipe.first, nullptr, now->file, as<off_t>(bad), 8, 0)),
    WITH_POINTER(16, vmsplice(now->pipe.second, as<iovec>(bad), 2, 0)),
    WITH_POINTER(4, poll(as<pollfd>(bad), 1, 0)),
    WITH_POINTER(4, poll(as<pollfd>(bad), 1, -1)),
    WITH_POINTER(8, poll(as<pollfd>(bad), 2, 20)),
    WITH_POINTER(4, poll(as<pollfd>(bad), 0, 0)),
    WITH_POINTER(4, ppoll(as<pollfd>(bad), 1, &no_time, nullptr)),
    WITH_POINTER(4, ppoll(nullptr, 0, &no_time, as<sigset_t>(bad))),
    WITH_POINTER(4, select(8, as<fd_set>(bad), nullptr, nullptr, nullptr)),
    WITH_POINTER(4, select(8, nullptr, as<fd_set>(bad), nullptr, nullptr)),
    WITH_POINTER(4, select(60, nullptr, nullptr, as<fd_set>(bad), nullptr)),
    WITH_POINTER(4, select(0, as<fd_set>(bad), nullptr, nullptr, &no_time_left)),
    WITH_POINTER(4, pselect(60, as<fd_set>(bad), nullptr, nullptr, &no_time, nullptr)),
    WITH_POINTER(4, pselect(0, nullptr, nullptr, nullptr, &no_time, as<sigset_t>(bad))),
    WITH_POINTER(4, epoll_wait(now->epoll, as<epoll_event>(bad), 1, 0)),
    WITH_POINTER(4, epoll_wait(now->epoll, as<epoll_event>(bad), 1, -1)),
    WITH_POINTER(12, epoll_wait(now->epoll, as<epoll_event>(bad), 2, -1)),
    WITH_POINTER(4, epoll_pwait(now->epoll, &event, 1, 0, as<sigset_t>(bad))),
    WITH_POINTER(8, epoll_pwait2(now->epoll, &event, 1, as<timespec>(bad), nullptr)),
    WITH_POINTER(8, nanosleep(as<timespec>(bad), nullptr)),
    WITH_POINTER(8, clock_nanosleep(CLOCK_MONOTONIC, 0, as<timespec>(bad), nullptr)),
    WITH_POINTER(8, clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, as<timespec>(bad), nullptr)),
    WITH_POINTER(8, nanosleep(&no_time, as<timespec>(bad))),
    WITH_POINTER(4, sigsuspend(as<sigset_t>(bad))),
    WITH_POINTER(4, sigtimedwait(as<sigset_t>(bad), nullptr, &no_time)),
    WITH_POINTER(4, sigwaitinfo(as<sigset_t>(bad), nullptr)),
    WITH_POINTER(8, semtimedop(-1, nullptr, 1, as<timespec>(bad))),
    WITH_POINTER(4, semop(0, as<sembuf>(bad), 1)),
    WITH_POINTER(4, msgsnd(0, bad, 1, 0)),
};

// These would wait for ever where the address happens to be good enough, or do it on weft's side for a good reason.
bool is_no_bad_address(pointer_call const& call, bad_address const& where) {
    std::string_view const name = call.name;
    std::string_view const kind = where.name;
    if (kind == "read-only" &&
        (name.find("poll(as<pollfd>(bad), 1, -1)") != name.npos || name.find("sigsuspend") != name.npos ||
         name.find("select(8") != name.npos || name.find("select(60, nullptr") != name.npos ||
         name.find("sigwaitinfo") != name.npos))
        return true;
    if (kind == "null")
        return name.find("select(") != name.npos || name.find("select(8") != name.npos ||
               name.find("epoll_pwait2") != name.npos;
    return false;
}

} // namespace

CORNER_CASE(wild_descriptors) {
    prepare_good_ends();
    usleep(1);
    int const closed = dup(0);
    close(closed);
    struct wild {
        char const* name;
        int fd;
    };
    for (wild const& each : {wild{"-1", -1},
                             {"the largest", INT_MAX},
                             {"the least", INT_MIN},
                             {"beyond the kernel's limit", 1 << 30},
                             {"just within it", (1 << 30) - 1},
                             {"never open", 4711},
                             {"closed", closed}}) {
        for (descriptor_call const& call : descriptor_calls) {
            errno = 0;
            tell((std::string(each.name) + ": " + call.name).c_str(), call.make(each.fd));
        }
        tell((std::string(each.name) + ": poll").c_str(), poll_one(each.fd));
    }
}

// The numbers of weft's own descriptors, of which there are none without it. To the program they are not open.
CORNER_CASE(descriptors_of_others) {
    prepare_good_ends();
    usleep(1000);
    std::vector<int> others;
    for (int fd = 5; fd < 65536; ++fd) {
        std::array<char, 64> target{};
        std::string const name = "/proc/self/fd/" + std::to_string(fd);
        if (readlink(name.c_str(), target.data(), target.size() - 1) > 0 &&
            std::string(target.data()).starts_with("anon_inode:[event"))
            others.push_back(fd);
    }
    for (descriptor_call const& call : descriptor_calls) {
        for (int const fd : others)
            call.make(fd);
        say("survived %s", call.name);
    }
    TELL(dup2(good_pipe_reader, 70));
    // Everything goes on.
    other_side const feeder([] {
        until_case_waits();
        put(good_pipe_writer, "abc");
    });
    drain(good_pipe_reader, 8);
    about_to_wait();
    TELL(read(good_pipe_reader, buffer.data(), 8));
}

CORNER_CASE(bad_pointers) {
    for (pointer_call const& call : pointer_calls)
        for (bad_address const& where : bad_addresses(call.mapped)) {
            if (is_no_bad_address(call, where))
                continue;
            int const lowest = dup(0);
            fixture fresh;
            now = &fresh;
            length = sizeof address;
            errno = 0;
            tell((std::string(where.name) + ": " + call.name).c_str(), call.make(where.where));
            close_range(static_cast<unsigned>(lowest), highest_of_a_case, 0);
        }
}

// Where it shows only once the event is there.
CORNER_CASE(bad_pointers_while_waiting, .parks = 6) {
    void* const bad = bad_addresses()[4].where;
    for (auto const ends :
         {make_pipe(), make_tcp_pair(), make_unix_pair(), make_udp_pair(), make_terminal()}) {
        other_side const feeder([ends] {
            until_case_waits();
            put(ends.second, "abc\n");
        });
        about_to_wait();
        TELL(read(ends.first, bad, 8));
        set_nonblocking(ends.first, true); // a datagram is gone
        TELL(read(ends.first, buffer.data(), 8));
    }
    auto const [reader, writer] = make_pipe();
    other_side const child_side([to = writer] {
        until_case_waits();
        put(to, "x");
    });
    pid_t const child = fork();
    if (child == 0) {
        char byte = 0;
        syscall(SYS_read, reader, &byte, 1L);
        _exit(0);
    }
    about_to_wait();
    TELL(waitpid(child, as<int>(bad), 0));
    TELL(waitpid(child, nullptr, 0) == child);
    pid_t const other = fork();
    if (other == 0)
        _exit(3);
    TELL(waitid(P_PID, static_cast<id_t>(other), as<siginfo_t>(bad), WEXITED));
    TELL(wait4(other, nullptr, 0, as<rusage>(bad)));
    TELL(waitpid(other, nullptr, 0) == other);
}

CORNER_CASE(absurd_lengths) {
    // What lies behind a buffer differs from program to program; behind this one there is nothing.
    void* const last_bytes = bad_addresses(buffer.size())[5].where;
    char* const last = static_cast<char*>(last_bytes);
    for (std::size_t const size :
         {SIZE_MAX, static_cast<std::size_t>(SSIZE_MAX), static_cast<std::size_t>(SSIZE_MAX) + 1,
          std::size_t{INT_MAX}, std::size_t{1} << 47}) {
        fixture each;
        now = &each;
        TELL(read(now->pipe.first, last, size));
        TELL(read(now->tcp.first, last, size));
        TELL(read(now->unix_stream.first, last, size));
        TELL(read(now->file, last, size));
        TELL(read(now->epoll, last, size));
        TELL(pread(now->file, last, size, 0));
        TELL(recv(now->tcp.first, last, size, MSG_DONTWAIT | MSG_PEEK));
        TELL(recv(now->datagrams.first, last, size, MSG_PEEK));
        TELL(recvfrom(now->datagrams.first, last, size, 0, nullptr, nullptr));
    }
    for (std::size_t const size :
         {SIZE_MAX, static_cast<std::size_t>(SSIZE_MAX), static_cast<std::size_t>(SSIZE_MAX) + 1}) {
        fixture each;
        now = &each;
        TELL(write(now->pipe.second, last, size));
        TELL(write(now->file, last, size));
        TELL(write(now->tcp.first, last, size));
        TELL(pwrite(now->file, last, size, 0));
        TELL(write(now->pipe.first, last, size));
        TELL(write(-1, last, size));
        TELL(read(-1, last, size));
        TELL(send(now->tcp.first, last, size, MSG_DONTWAIT));
        TELL(send(now->datagrams.first, last, size, 0));
        TELL(send(now->unix_stream.first, last, size, MSG_DONTWAIT));
        TELL(mq_send(now->pipe.first, last, size, 0));
        TELL(mq_receive(now->pipe.first, last, size, nullptr));
    }
}
