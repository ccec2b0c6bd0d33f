// Looking up names and addresses, as far as nobody needs to be asked: numbers, flags that contradict, and what is refused.
// Null pointers for results, and strings that are none, crash in libc itself.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string>

#include "corner_case.hpp"

using namespace corner;

namespace {

void look_up(char const* host, char const* service, int flags = 0, int family = AF_UNSPEC, int type = 0,
             int protocol = 0) {
    addrinfo hints{};
    hints.ai_flags = flags;
    hints.ai_family = family;
    hints.ai_socktype = type;
    hints.ai_protocol = protocol;
    addrinfo* found = nullptr;
    int const error = getaddrinfo(host, service, &hints, &found);
    std::string text = error != 0 ? gai_strerror(error) : "";
    for (addrinfo const* each = found; error == 0 && each != nullptr; each = each->ai_next) {
        std::array<char, NI_MAXHOST> name{};
        std::array<char, NI_MAXSERV> port{};
        getnameinfo(each->ai_addr, each->ai_addrlen, name.data(), name.size(), port.data(), port.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV);
        text += std::string(" ") + name.data() + ":" + port.data() + "/" + std::to_string(each->ai_socktype);
    }
    say("getaddrinfo(%s, %s, flags %#x, family %d, type %d, protocol %d): %s", host, service,
        static_cast<unsigned>(flags), family, type, protocol, text.c_str());
    if (error == 0)
        freeaddrinfo(found);
}

void look_up_address(void const* address, socklen_t length, socklen_t host_room, socklen_t service_room,
                     int flags) {
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> service{};
    int const error =
        getnameinfo(static_cast<sockaddr const*>(address), length, host_room != 0 ? host.data() : nullptr,
                    host_room, service_room != 0 ? service.data() : nullptr, service_room, flags);
    say("getnameinfo(%u, %u, %u, %#x): %s %s %s", length, host_room, service_room,
        static_cast<unsigned>(flags), error != 0 ? gai_strerror(error) : "found", host.data(),
        service.data());
}

} // namespace

CORNER_CASE(numbers) {
    for (char const* const host : {"127.0.0.1", "::1", "127.1", "0x7f.1", "1.2.3.4.5", "256.1.1.1",
                                   "::ffff:1.2.3.4", "fe80::1%4711", "::1%", "0", ""}) {
        look_up(host, "80", AI_NUMERICHOST, AF_UNSPEC, SOCK_STREAM);
        look_up(host, nullptr, AI_NUMERICHOST, AF_INET, SOCK_DGRAM);
        look_up(host, nullptr, AI_NUMERICHOST, AF_INET6, SOCK_DGRAM);
    }
    look_up("127.0.0.1", "80", AI_NUMERICSERV);
    look_up("::1", nullptr);
    look_up("127.0.0.1", "http", AI_NUMERICSERV);
    look_up("127.0.0.1", "65536", 0, AF_INET, SOCK_STREAM);
    look_up("127.0.0.1", "-1", 0, AF_INET, SOCK_STREAM);
    look_up("127.0.0.1", "", 0, AF_INET, SOCK_STREAM);
    look_up("127.0.0.1", "no-such-service", 0, AF_INET, SOCK_STREAM);
    look_up(nullptr, "80", AI_PASSIVE, AF_UNSPEC, SOCK_STREAM);
    look_up(nullptr, "80", 0, AF_UNSPEC, SOCK_STREAM);
}

CORNER_CASE(what_is_refused) {
    look_up(nullptr, nullptr);
    look_up("127.0.0.1", nullptr, 0x4000'0000);
    look_up("127.0.0.1", nullptr, 0, 77);
    look_up("127.0.0.1", nullptr, 0, AF_UNIX);
    look_up("127.0.0.1", nullptr, 0, AF_INET, 77);
    look_up("127.0.0.1", "80", 0, AF_INET, SOCK_STREAM, IPPROTO_UDP);
    look_up("127.0.0.1", "80", 0, AF_INET, SOCK_RAW);
    look_up(nullptr, "80", AI_CANONNAME);
    look_up("127.0.0.1", nullptr, AI_CANONNAME | AI_NUMERICHOST, AF_INET, SOCK_STREAM);
    look_up("::1", nullptr, 0, AF_INET);
    look_up("127.0.0.1", nullptr, 0, AF_INET6);
    look_up("127.0.0.1", nullptr, AI_V4MAPPED, AF_INET6, SOCK_STREAM);
    addrinfo* found = nullptr;
    TELL(getaddrinfo("127.0.0.1", "80", nullptr, &found));
    freeaddrinfo(found);
}

CORNER_CASE(local_names, .parks = 1) {
    look_up("localhost", "80", 0, AF_INET, SOCK_STREAM);
    look_up("localhost.", "80", AI_NUMERICHOST, AF_INET, SOCK_STREAM);
    hostent const* const host = gethostbyname("localhost");
    TELL(host != nullptr);
    if (host != nullptr)
        say("%s, type %d, length %d", host->h_name, host->h_addrtype, host->h_length);
    hostent entry{};
    hostent* found = nullptr;
    std::array<char, 4096> room{};
    int error = -1;
    TELL_CODE(gethostbyname_r("localhost", &entry, room.data(), room.size(), &found, &error));
    TELL(found != nullptr);
    TELL_CODE(gethostbyname_r("localhost", &entry, room.data(), 3, &found, &error));
    TELL(error);
    TELL_CODE(gethostbyname2_r("127.0.0.1", AF_INET, &entry, room.data(), room.size(), &found, &error));
    TELL_CODE(gethostbyname2_r("127.0.0.1", 77, &entry, room.data(), room.size(), &found, &error));
    TELL(gethostbyname2("127.0.0.1", 77) != nullptr);
    TELL(gethostbyname("127.0.0.1") != nullptr);
    in_addr const loopback{htonl(INADDR_LOOPBACK)};
    TELL(gethostbyaddr(&loopback, 3, AF_INET) != nullptr);
    TELL(gethostbyaddr(&loopback, 4, 77) != nullptr);
    TELL(gethostbyaddr(&loopback, 4, AF_INET) != nullptr);
    TELL_CODE(gethostbyaddr_r(&loopback, 4, AF_INET, &entry, room.data(), room.size(), &found, &error));
    TELL_CODE(gethostbyaddr_r(&loopback, 3, AF_INET, &entry, room.data(), room.size(), &found, &error));
}

CORNER_CASE(addresses) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(80);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    constexpr int numeric = NI_NUMERICHOST | NI_NUMERICSERV;
    look_up_address(&address, sizeof address, NI_MAXHOST, NI_MAXSERV, numeric);
    look_up_address(&address, sizeof address, NI_MAXHOST, 0, numeric);
    look_up_address(&address, sizeof address, 0, NI_MAXSERV, numeric);
    look_up_address(&address, sizeof address, 0, 0, numeric);
    look_up_address(&address, sizeof address, 5, NI_MAXSERV, numeric);
    look_up_address(&address, sizeof address, NI_MAXHOST, 1, numeric);
    look_up_address(&address, 3, NI_MAXHOST, NI_MAXSERV, numeric);
    look_up_address(&address, 0, NI_MAXHOST, NI_MAXSERV, numeric);
    look_up_address(&address, sizeof address, NI_MAXHOST, NI_MAXSERV, 0x4000'0000);
    look_up_address(&address, sizeof address, NI_MAXHOST, NI_MAXSERV, NI_NAMEREQD | numeric);
    look_up_address(&address, sizeof address, 0, NI_MAXSERV, NI_NAMEREQD);
    look_up_address(&address, 3, NI_MAXHOST, NI_MAXSERV, 0);
    address.sin_family = 77;
    look_up_address(&address, sizeof address, NI_MAXHOST, NI_MAXSERV, numeric);
    look_up_address(&address, sizeof address, NI_MAXHOST, NI_MAXSERV, 0);
}
