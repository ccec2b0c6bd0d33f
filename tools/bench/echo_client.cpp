// See echo_client.hpp.
#include "echo_client.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <system_error>
#include <thread>

std::uint64_t read_clock(clockid_t clock) {
    timespec time;
    clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * second + static_cast<std::uint64_t>(time.tv_nsec);
}

void fail(const std::string& what) { throw std::runtime_error(what); }

void fail_with_errno(const std::string& what, int error) {
    fail(what + ": " + std::generic_category().message(error));
}

void fail_if_dead(const std::optional<process_meter>& server) {
    if (server && !server->alive())
        fail("the server (pid " + std::to_string(server->pid()) + ") died");
}

void fail_lost(std::size_t index, const std::optional<process_meter>& server, int error) {
    // A dying process closes its sockets a moment before it counts as dead.
    for (int attempt = 0; attempt < 20; ++attempt) {
        fail_if_dead(server);
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const std::string name = "connection " + std::to_string(index);
    if (error == 0)
        fail(name + " was closed by the server");
    if (error == EAGAIN)
        fail(name + " got no answer for 5 s");
    fail_with_errno(name, error);
}

void raise_descriptor_limit(std::size_t connections) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    if (connections + 16 > limit.rlim_cur)
        fail(std::to_string(connections) + " connections exceed the limit of " +
             std::to_string(limit.rlim_cur) + " descriptors per process");
}

target::target(const server_options& server) : name_(server.host + ":" + server.port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(server.host.c_str(), server.port.c_str(), &hints, &found); error != 0)
        fail(name_ + ": " + ::gai_strerror(error));
    address_.reset(found);
}

unique_fd target::connect() const {
    unique_fd fd(::socket(address_->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd.get() < 0)
        fail_with_errno("socket", errno);
    const timeval limit{static_cast<time_t>(silence_limit / second), 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(fd.get(), address_->ai_addr, address_->ai_addrlen) != 0) {
        const int error = errno;
        if (error == EINPROGRESS)
            fail("connect to " + name_ + ": no answer for 5 s");
        if (error == EADDRNOTAVAIL)
            fail("connect to " + name_ + ": no free source port (see net.ipv4.ip_local_port_range)");
        fail_with_errno("connect to " + name_, error);
    }
    return fd;
}
