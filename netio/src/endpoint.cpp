#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <stdexcept>

#include <weft/net/endpoint.hpp>

namespace weft::net {
namespace {

[[noreturn]] void refuse(std::string_view text, char const* why) {
    throw std::invalid_argument(
        "bad address '" + std::string(text) + "': " + why +
        "; expected HOST:PORT (127.0.0.1:7000, [::1]:7000, localhost:7000) or unix:PATH");
}

std::uint16_t parse_port(std::string_view text, std::string_view digits) {
    std::uint16_t port = 0;
    auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
        refuse(text, "the port must be a number from 0 to 65535");
    return port;
}

endpoint unix_endpoint(std::string_view text, std::string_view path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty())
        refuse(text, "the path is missing");
    if (path.size() >= sizeof address.sun_path)
        refuse(text, "a unix socket's path has at most 107 bytes");
    if (path.find('\0') != std::string_view::npos)
        refuse(text, "a path has no zero bytes");
    std::copy(path.begin(), path.end(), address.sun_path);
    auto const length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return {reinterpret_cast<sockaddr const*>(&address), length};
}

template <class Address> endpoint make(Address const& address) {
    return {reinterpret_cast<sockaddr const*>(&address), sizeof address};
}

} // namespace

endpoint::endpoint(sockaddr const* address, socklen_t length) noexcept
    : length_(std::min<socklen_t>(length, sizeof storage_)) {
    std::memcpy(&storage_, address, length_);
}

endpoint endpoint::parse(std::string_view text) {
    constexpr std::string_view unix_prefix = "unix:";
    if (text.starts_with(unix_prefix))
        return unix_endpoint(text, text.substr(unix_prefix.size()));
    std::size_t const colon = text.rfind(':');
    if (colon == std::string_view::npos)
        refuse(text, "the port is missing");
    std::string host(text.substr(0, colon));
    std::uint16_t const port = htons(parse_port(text, text.substr(colon + 1)));
    if (host.starts_with('[') && host.ends_with(']')) {
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        address.sin6_port = port;
        if (::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &address.sin6_addr) != 1)
            refuse(text, "what is in brackets is no IPv6 address");
        return make(address);
    }
    if (host.empty())
        host = "0.0.0.0";
    else if (host == "localhost")
        host = "127.0.0.1";
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = port;
    if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
        refuse(text, "the host is no IP address");
    return make(address);
}

std::uint16_t endpoint::port() const noexcept {
    if (family() == AF_INET)
        return ntohs(reinterpret_cast<sockaddr_in const&>(storage_).sin_port);
    if (family() == AF_INET6)
        return ntohs(reinterpret_cast<sockaddr_in6 const&>(storage_).sin6_port);
    return 0;
}

std::string endpoint::path() const {
    if (!is_unix() || length_ <= offsetof(sockaddr_un, sun_path))
        return {};
    auto const* const text = reinterpret_cast<sockaddr_un const&>(storage_).sun_path;
    return {text, ::strnlen(text, length_ - offsetof(sockaddr_un, sun_path))};
}

std::string endpoint::to_string() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    std::string result;
    switch (family()) {
    case AF_INET:
        ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in const&>(storage_).sin_addr, text.data(),
                    text.size());
        result.append(text.data()).append(":").append(std::to_string(port()));
        return result;
    case AF_INET6:
        ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6 const&>(storage_).sin6_addr, text.data(),
                    text.size());
        result.append("[").append(text.data()).append("]:").append(std::to_string(port()));
        return result;
    case AF_UNIX: return "unix:" + path();
    default: return "unspecified";
    }
}

} // namespace weft::net
