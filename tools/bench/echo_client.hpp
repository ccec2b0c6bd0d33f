// What both modes of echo_load stand on: options, connections to the server, the bytes that are sent, and the
// ways to fail. Single-threaded. Every failure is a std::runtime_error whose text is the whole message for
// the user.
#pragma once

#include <netdb.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "process_meter.hpp"

inline constexpr std::uint64_t second = 1'000'000'000; // all times are in nanoseconds

// A server that sends nothing on any connection for so long is given up.
inline constexpr std::uint64_t silence_limit = 5 * second;

struct server_options {
    std::string host;
    std::string port;
    pid_t pid = 0; // 0: not given
};

struct options {
    std::vector<server_options> servers;
    std::size_t connections = 256; // per server, as the times are
    std::size_t size = 64;
    double seconds = 3;
    double warmup = 1;
    double slice_ms = 10; // short, as the speed of a shared machine differs from one 100 ms to the next
    std::size_t idle = 0; // 0: load mode
    bool json = false;
};

std::uint64_t read_clock(clockid_t clock);
inline std::uint64_t now() { return read_clock(CLOCK_MONOTONIC); }

[[noreturn]] void fail(const std::string& what);
[[noreturn]] void fail_with_errno(const std::string& what, int error);

// Fails if the server is measured and known to be dead.
void fail_if_dead(const std::optional<process_meter>& server);

// Fails with what the loss of a connection means: the server died, if that can be told, or closed it (`error`
// is 0), or whatever `error` says.
[[noreturn]] void fail_lost(std::size_t index, const std::optional<process_meter>& server, int error);

// Raises the soft limit of descriptors to the hard one; fails if so many connections exceed it.
void raise_descriptor_limit(std::size_t connections);

class unique_fd {
public:
    explicit unique_fd(int fd) noexcept : fd_(fd) {}
    unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    unique_fd& operator=(unique_fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~unique_fd() {
        if (fd_ >= 0)
            ::close(fd_);
    }
    int get() const noexcept { return fd_; }

private:
    int fd_;
};

// The bytes that requests are made of: one table of random bytes, of which each request is a slice, so that a
// request costs neither making nor storing. A slice starts at any of 65,536 places.
class pattern {
public:
    explicit pattern(std::size_t size) : bytes_(places + size) {
        std::uint32_t state = 0x9e3779b9;
        for (char& byte : bytes_)
            byte = static_cast<char>(next(state) >> 24);
    }

    const char* slice(std::uint32_t& state) const noexcept { return bytes_.data() + next(state) % places; }

private:
    static constexpr std::size_t places = 65'536;

    static std::uint32_t next(std::uint32_t& state) noexcept { // xorshift32; state is never 0
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        return state;
    }

    std::vector<char> bytes_;
};

// Where a connection's walk through the pattern begins.
constexpr std::uint32_t pattern_seed(std::size_t index) {
    return static_cast<std::uint32_t>(index + 1) * 2'654'435'761u | 1u;
}

struct connection {
    unique_fd fd;
    std::uint32_t pattern_state;   // which slice comes next
    const char* request = nullptr; // in flight, with how much of it has left and come back:
    std::size_t sent = 0;
    std::size_t received = 0;
    std::uint64_t started = 0;
};

// Where the server listens, resolved once.
class target {
public:
    explicit target(const server_options& server);

    const std::string& name() const noexcept { return name_; }

    // A connected socket whose blocking calls give up after the silence limit. TCP_NODELAY, so that a request
    // larger than a segment doesn't wait for an acknowledgement.
    unique_fd connect() const;

private:
    struct deleter {
        void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
    };

    std::string name_;
    std::unique_ptr<addrinfo, deleter> address_;
};
