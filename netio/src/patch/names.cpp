// The patched calls that look up names and addresses. libc asks whatever nsswitch.conf says, by means of its own: another
// thread makes the call. What needs no asking is answered at once.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include <weft/detail/offload.hpp>

#include "libc_function.hpp"
#include "on_fiber.hpp"

using weft::detail::libc_function;
using weft::detail::offload;
using weft::detail::on_fiber;

namespace {

constexpr libc_function<"getaddrinfo", int(char const*, char const*, addrinfo const*, addrinfo**)>
    libc_getaddrinfo;
constexpr libc_function<"getnameinfo",
                        int(sockaddr const*, socklen_t, char*, socklen_t, char*, socklen_t, int)>
    libc_getnameinfo;
constexpr libc_function<"gethostbyname", hostent*(char const*)> libc_gethostbyname;
constexpr libc_function<"gethostbyname2", hostent*(char const*, int)> libc_gethostbyname2;
constexpr libc_function<"gethostbyaddr", hostent*(void const*, socklen_t, int)> libc_gethostbyaddr;
constexpr libc_function<"gethostbyname_r", int(char const*, hostent*, char*, size_t, hostent**, int*)>
    libc_gethostbyname_r;
constexpr libc_function<"gethostbyname2_r", int(char const*, int, hostent*, char*, size_t, hostent**, int*)>
    libc_gethostbyname2_r;
constexpr libc_function<"gethostbyaddr_r",
                        int(void const*, socklen_t, int, hostent*, char*, size_t, hostent**, int*)>
    libc_gethostbyaddr_r;

bool is_numeric(char const* host) noexcept {
    std::array<char, sizeof(in6_addr)> address{};
    return ::inet_pton(AF_INET, host, address.data()) == 1 ||
           ::inet_pton(AF_INET6, host, address.data()) == 1;
}

// Only files of this machine are read for services.
bool asks_nobody(char const* host, addrinfo const* hints) noexcept {
    return host == nullptr || (hints != nullptr && (hints->ai_flags & AI_NUMERICHOST) != 0) ||
           is_numeric(host);
}

// What gethostbyname() and its like return points into memory that belongs to the thread until the next such call: one result
// for each worker.
struct host_result {
    hostent entry{};
    std::vector<char> buffer = std::vector<char>(1024);
};

// `look_up` as gethostbyname_r(3), with the room that it gets; asked again with more until that is enough.
template <class LookUp> hostent* look_up_host(char const* operation, LookUp look_up) noexcept {
    thread_local host_result kept;
    // In the meantime another fiber of this thread may use `kept`: the result comes there in the end.
    host_result made;
    hostent* found = nullptr;
    int host_error = 0;
    int const status = offload(operation, [&]() noexcept {
        int result = 0;
        while ((result = look_up(made.entry, made.buffer, found, host_error)) == ERANGE)
            made.buffer.resize(made.buffer.size() * 2);
        return result;
    });
    h_errno = host_error;
    if (status != 0 || found == nullptr)
        return nullptr;
    kept = std::move(made); // the entry's pointers lead into the buffer, which moves as it is
    return &kept.entry;
}

} // namespace

extern "C" {

int getaddrinfo(char const* host, char const* service, addrinfo const* hints, addrinfo** found) {
    if (!on_fiber() || asks_nobody(host, hints))
        return libc_getaddrinfo(host, service, hints, found);
    return offload("getaddrinfo", [=] { return libc_getaddrinfo(host, service, hints, found); });
}

int getnameinfo(sockaddr const* address, socklen_t length, char* host, socklen_t host_room, char* service,
                socklen_t service_room, int flags) {
    bool const numeric = host == nullptr || host_room == 0 || (flags & NI_NUMERICHOST) != 0;
    if (!on_fiber() || numeric)
        return libc_getnameinfo(address, length, host, host_room, service, service_room, flags);
    return offload("getnameinfo", [=] {
        return libc_getnameinfo(address, length, host, host_room, service, service_room, flags);
    });
}

hostent* gethostbyname(char const* name) {
    if (!on_fiber())
        return libc_gethostbyname(name);
    return look_up_host(
        "gethostbyname", [name](hostent& entry, std::vector<char>& room, hostent*& found, int& error) {
            return libc_gethostbyname_r(name, &entry, room.data(), room.size(), &found, &error);
        });
}

hostent* gethostbyname2(char const* name, int family) {
    if (!on_fiber())
        return libc_gethostbyname2(name, family);
    return look_up_host(
        "gethostbyname2", [=](hostent& entry, std::vector<char>& room, hostent*& found, int& error) {
            return libc_gethostbyname2_r(name, family, &entry, room.data(), room.size(), &found, &error);
        });
}

hostent* gethostbyaddr(void const* address, socklen_t length, int family) {
    if (!on_fiber())
        return libc_gethostbyaddr(address, length, family);
    return look_up_host("gethostbyaddr",
                        [=](hostent& entry, std::vector<char>& room, hostent*& found, int& error) {
                            return libc_gethostbyaddr_r(address, length, family, &entry, room.data(),
                                                        room.size(), &found, &error);
                        });
}

int gethostbyname_r(char const* name, hostent* entry, char* room, size_t size, hostent** found, int* error) {
    if (!on_fiber())
        return libc_gethostbyname_r(name, entry, room, size, found, error);
    return offload("gethostbyname_r",
                   [=] { return libc_gethostbyname_r(name, entry, room, size, found, error); });
}

int gethostbyname2_r(char const* name, int family, hostent* entry, char* room, size_t size, hostent** found,
                     int* error) {
    if (!on_fiber())
        return libc_gethostbyname2_r(name, family, entry, room, size, found, error);
    return offload("gethostbyname2_r",
                   [=] { return libc_gethostbyname2_r(name, family, entry, room, size, found, error); });
}

int gethostbyaddr_r(void const* address, socklen_t length, int family, hostent* entry, char* room,
                    size_t size, hostent** found, int* error) {
    if (!on_fiber())
        return libc_gethostbyaddr_r(address, length, family, entry, room, size, found, error);
    return offload("gethostbyaddr_r", [=] {
        return libc_gethostbyaddr_r(address, length, family, entry, room, size, found, error);
    });
}

} // extern "C"
