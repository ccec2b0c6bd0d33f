// Connected sockets on loopback, made with plain calls; to be used on fibers or off them.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

namespace support {

// A descriptor that is closed at the end of the scope.
class unique_fd {
public:
    unique_fd() = default;
    explicit unique_fd(int fd) : fd_(fd) {}
    unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    unique_fd& operator=(unique_fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~unique_fd() { reset(); }

    void reset() {
        if (fd_ >= 0)
            ::close(std::exchange(fd_, -1));
    }

    [[nodiscard]] int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

private:
    int fd_ = -1;
};

struct listener {
    explicit listener(int backlog = 128) {
        fd = unique_fd(::socket(AF_INET, SOCK_STREAM, 0));
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
            ::listen(fd.get(), backlog) != 0 ||
            ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
            std::abort();
    }

    [[nodiscard]] sockaddr const* where() const { return reinterpret_cast<sockaddr const*>(&address); }

    unique_fd fd;
    sockaddr_in address{};
};

inline unique_fd connect_to(listener const& target) {
    unique_fd fd(::socket(AF_INET, SOCK_STREAM, 0));
    if (::connect(fd.get(), target.where(), sizeof target.address) != 0)
        std::abort();
    return fd;
}

using pair_of_fds = std::array<unique_fd, 2>;

inline pair_of_fds tcp_pair() {
    listener const target;
    unique_fd client = connect_to(target);
    unique_fd server(::accept(target.fd.get(), nullptr, nullptr));
    return {std::move(client), std::move(server)};
}

inline pair_of_fds unix_pair(int type = SOCK_STREAM) {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, type, 0, fds.data()) != 0)
        std::abort();
    return {unique_fd(fds[0]), unique_fd(fds[1])};
}

inline pair_of_fds pipe_pair() {
    std::array<int, 2> fds{};
    if (::pipe(fds.data()) != 0)
        std::abort();
    return {unique_fd(fds[0]), unique_fd(fds[1])};
}

// Bytes that tell where they are.
inline std::string pattern(std::size_t size, std::uint32_t seed = 1) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) {
        seed = seed * 1664525U + 1013904223U;
        byte = static_cast<char>(seed >> 24);
    }
    return bytes;
}

// Reads until `size` bytes or the end.
inline std::string read_exactly(int fd, std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t got = 0;
    while (got < size) {
        ssize_t const n = ::recv(fd, bytes.data() + got, size - got, 0);
        if (n <= 0)
            break;
        got += static_cast<std::size_t>(n);
    }
    bytes.resize(got);
    return bytes;
}

} // namespace support
