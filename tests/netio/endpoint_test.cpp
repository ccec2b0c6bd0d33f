// endpoint: what parses, what it prints, and what is refused how.
#include <stdexcept>
#include <string>

#include <boost/test/unit_test.hpp>

#include <weft/net/endpoint.hpp>

using weft::net::endpoint;

BOOST_AUTO_TEST_CASE(good_addresses) {
    BOOST_TEST(endpoint::parse("127.0.0.1:7000").to_string() == "127.0.0.1:7000");
    BOOST_TEST(endpoint::parse("localhost:0").to_string() == "127.0.0.1:0");
    BOOST_TEST(endpoint::parse(":65535").to_string() == "0.0.0.0:65535");
    BOOST_TEST(endpoint::parse("[::1]:80").to_string() == "[::1]:80");
    BOOST_TEST(endpoint::parse("[::1]:80").family() == AF_INET6);
    BOOST_TEST(endpoint::parse("unix:/tmp/x").to_string() == "unix:/tmp/x");
    BOOST_TEST(endpoint::parse("unix:/tmp/x").path() == "/tmp/x");
    BOOST_TEST(endpoint::parse("unix:/tmp/x").port() == 0);
    BOOST_TEST(endpoint().to_string() == "unspecified");
}

BOOST_AUTO_TEST_CASE(bad_addresses_say_what_is_wrong) {
    for (char const* text :
         {"", "7000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1",
          "127.0.0.1:1 ", "example.org:80", "::1:80", "[::1:80", "[127.0.0.1]:80", "unix:", "256.0.0.1:1"})
        BOOST_CHECK_EXCEPTION(endpoint::parse(text), std::invalid_argument, [&](auto const& e) {
            std::string const what = e.what();
            return what.find("'" + std::string(text) + "'") != std::string::npos &&
                   what.find("expected HOST:PORT") != std::string::npos;
        });
    BOOST_CHECK_THROW(endpoint::parse("unix:" + std::string(200, 'x')), std::invalid_argument);
    BOOST_CHECK_THROW(endpoint::parse(std::string("unix:/a\0b", 9)), std::invalid_argument);
}
