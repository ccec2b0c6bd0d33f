// The patched name lookups: another thread asks, other fibers run.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/detail/call_counts.hpp>
#include <weft/fiber.hpp>
#include <weft/run.hpp>

BOOST_AUTO_TEST_CASE(names_are_looked_up_by_other_threads) {
    weft::run([] {
        auto const before = weft::detail::thread_counts.offloaded;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 200; ++i)
            fibers.push_back(weft::spawn([] {
                addrinfo hints{};
                addrinfo* found = nullptr;
                hints.ai_family = AF_INET;
                hints.ai_socktype = SOCK_STREAM;
                BOOST_TEST(::getaddrinfo("localhost", "80", &hints, &found) == 0);
                auto const* const address = reinterpret_cast<sockaddr_in const*>(found->ai_addr);
                BOOST_TEST(address->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
                std::array<char, 256> host{};
                BOOST_TEST(::getnameinfo(found->ai_addr, found->ai_addrlen, host.data(), host.size(), nullptr,
                                         0, 0) == 0);
                BOOST_TEST(std::strlen(host.data()) > 0);
                ::freeaddrinfo(found);
                hostent const* const entry = ::gethostbyname("localhost");
                BOOST_TEST(entry->h_length == 4);
                BOOST_TEST(std::string(entry->h_addr_list[0], 4) == std::string("\x7f\0\0\x01", 4));
            }));
        fibers.clear();
        BOOST_TEST(weft::detail::thread_counts.offloaded - before == 600U);
    });
}

BOOST_AUTO_TEST_CASE(what_needs_no_asking_is_answered_at_once) {
    weft::run([] {
        auto const before = weft::detail::thread_counts.offloaded;
        addrinfo* found = nullptr;
        BOOST_TEST(::getaddrinfo("127.0.0.1", "80", nullptr, &found) == 0);
        ::freeaddrinfo(found);
        BOOST_TEST(::getaddrinfo("::1", nullptr, nullptr, &found) == 0);
        ::freeaddrinfo(found);
        BOOST_TEST(weft::detail::thread_counts.offloaded == before);
    });
}

BOOST_AUTO_TEST_CASE(failures_are_told_as_libc_tells_them) {
    weft::run([] {
        addrinfo* found = nullptr;
        addrinfo hints{};
        hints.ai_flags = AI_NUMERICHOST;
        BOOST_TEST(::getaddrinfo("no.address", nullptr, &hints, &found) == EAI_NONAME);
        BOOST_TEST(::getaddrinfo(nullptr, nullptr, nullptr, &found) == EAI_NONAME);
        std::array<char, 1> room{};
        hostent entry{};
        hostent* result = nullptr;
        int error = 0;
        BOOST_TEST(::gethostbyname_r("localhost", &entry, room.data(), room.size(), &result, &error) ==
                   ERANGE);
        BOOST_TEST(error == NETDB_INTERNAL);
    });
}
