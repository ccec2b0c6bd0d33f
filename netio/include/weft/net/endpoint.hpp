// endpoint: where a server listens or a client connects: an IPv4 or IPv6 address with a port, or a unix socket's path.
//
// A value; parsing asks no name server and makes no system call.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/system/error_code.hpp>

namespace weft::net {

class endpoint {
public:
    endpoint() noexcept = default; // unspecified

    // From a system call's result.
    endpoint(sockaddr const* address, socklen_t length) noexcept;

    // Reads "127.0.0.1:7000", "[::1]:7000", "localhost:7000", ":7000" (every IPv4 interface) or "unix:PATH". Port 0 lets
    // the system choose. Throws std::invalid_argument that says what is wrong and what is expected.
    static endpoint parse(std::string_view text);

    [[nodiscard]] sockaddr const* address() const noexcept {
        return reinterpret_cast<sockaddr const*>(&storage_);
    }
    [[nodiscard]] socklen_t length() const noexcept { return length_; }
    [[nodiscard]] int family() const noexcept { return storage_.ss_family; }
    [[nodiscard]] bool is_unix() const noexcept { return family() == AF_UNIX; }

    // 0 for a unix socket.
    [[nodiscard]] std::uint16_t port() const noexcept;

    // A unix socket's path; empty for others.
    [[nodiscard]] std::string path() const;

    // As parse() reads it.
    [[nodiscard]] std::string to_string() const;

private:
    sockaddr_storage storage_{};
    socklen_t length_ = 0;
};

} // namespace weft::net
