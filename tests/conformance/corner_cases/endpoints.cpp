#include "endpoints.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "corner_case.hpp"

namespace corner {
namespace {

sockaddr_in loopback() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

sockaddr_in name_of(int fd) {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    return address;
}

int bound(int type) {
    int const fd = ::socket(AF_INET, type, 0);
    sockaddr_in const address = loopback();
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr const*>(&address), sizeof address) == 0);
    return fd;
}

int connect_socket(int fd, sockaddr_in const& address) {
    return ::connect(fd, reinterpret_cast<sockaddr const*>(&address), sizeof address);
}

} // namespace

two_ends make_pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    return {ends[0], ends[1]};
}

two_ends make_unix_pair(int type) {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, type, 0, ends.data()) == 0);
    return {ends[0], ends[1]};
}

two_ends make_tcp_pair() {
    int const listener = make_listener();
    int const client = connect_to(listener);
    int const server = ::accept(listener, nullptr, nullptr);
    REQUIRE(client >= 0 && server >= 0);
    ::close(listener);
    return {client, server};
}

two_ends make_udp_pair() {
    two_ends const made{bound(SOCK_DGRAM), bound(SOCK_DGRAM)};
    REQUIRE(connect_socket(made.first, name_of(made.second)) == 0);
    REQUIRE(connect_socket(made.second, name_of(made.first)) == 0);
    return made;
}

two_ends make_terminal() {
    two_ends made;
    termios raw{};
    ::cfmakeraw(&raw);
    REQUIRE(::openpty(&made.first, &made.second, nullptr, &raw, nullptr) == 0);
    return made;
}

int make_listener(int backlog) {
    int const fd = bound(SOCK_STREAM);
    REQUIRE(::listen(fd, backlog) == 0);
    return fd;
}

int connect_to(int listener) {
    int const fd = ::socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(connect_socket(fd, name_of(listener)) == 0);
    return fd;
}

int start_connecting_to(int listener) {
    int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    REQUIRE(connect_socket(fd, name_of(listener)) == 0 || errno == EINPROGRESS);
    return fd;
}

unix_address::unix_address() {
    static unsigned count = 0;
    auto& address = reinterpret_cast<sockaddr_un&>(storage);
    address.sun_family = AF_UNIX;
    int const name = std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1,
                                   "weft corner case %d %u", ::getpid(), count++);
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1) + static_cast<socklen_t>(name);
}

std::string const& own_folder() {
    static std::string const folder = [] {
        std::string name = std::filesystem::temp_directory_path() / "weft-corner-XXXXXX";
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        return name;
    }();
    static pid_t const maker = ::getpid();
    [[maybe_unused]] static bool const removed = [] {
        return std::atexit([] {
                   if (::getpid() == maker)
                       std::filesystem::remove_all(own_folder());
               }) == 0;
    }();
    return folder;
}

std::string make_file(std::string const& name, std::string const& bytes) {
    std::string path = own_folder() + "/" + name;
    int const fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    REQUIRE(fd >= 0 && ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    ::close(fd);
    return path;
}

int open_file(std::string const& name, std::string const& bytes, int flags) {
    int const fd = ::open(make_file(name, bytes).c_str(), flags);
    REQUIRE(fd >= 0);
    return fd;
}

std::size_t fill(int fd) {
    static std::array<char, 4096> const bytes{};
    int const flags = ::fcntl(fd, F_GETFL);
    std::size_t total = 0;
    ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    // Smaller and smaller pieces: to the last byte. TCP makes room for more as it gets ahead, until the other end is full, too.
    for (std::size_t before = 1; before != total;) {
        before = total;
        for (std::size_t size = bytes.size(); size > 0; size /= 2)
            for (ssize_t n = 0; (n = ::write(fd, bytes.data(), size)) > 0;)
                total += static_cast<std::size_t>(n);
        timespec const moment{.tv_sec = 0, .tv_nsec = 1'000'000};
        ::syscall(SYS_nanosleep, &moment, nullptr);
    }
    ::fcntl(fd, F_SETFL, flags);
    return total;
}

void drain(int fd, std::size_t size) {
    std::array<char, 4096> scrap{};
    while (size > 0) {
        long const n = ::syscall(SYS_read, fd, scrap.data(), std::min(size, scrap.size()));
        if (n <= 0)
            return;
        size -= static_cast<std::size_t>(n);
    }
}

void put(int fd, std::string const& bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
        long const n = ::syscall(SYS_write, fd, bytes.data() + done, bytes.size() - done);
        REQUIRE(n > 0);
        done += static_cast<std::size_t>(n);
    }
}

void set_nonblocking(int fd, bool on) {
    int const flags = ::fcntl(fd, F_GETFL);
    REQUIRE(::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) == 0);
}

void set_timeout(int fd, int option, int milliseconds) {
    timeval const time{.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
    REQUIRE(::setsockopt(fd, SOL_SOCKET, option, &time, sizeof time) == 0);
}

} // namespace corner
