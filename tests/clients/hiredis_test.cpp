// Redis' own client library: hiredis.
#include <cstdarg>
#include <string>

#include <boost/test/unit_test.hpp>

#include <hiredis/hiredis.h>

#include <weft/run.hpp>

#include "clients/concurrent_operations.hpp"
#include "clients/handle.hpp"

namespace {

using connection = clients::handle<redisContext, redisFree>;

connection connect() {
    connection made(redisConnect(clients::server_host().c_str(), std::stoi(clients::server_port())));
    BOOST_REQUIRE(made != nullptr);
    BOOST_REQUIRE_MESSAGE(made->err == 0, made->errstr);
    return made;
}

class reply {
public:
    reply(connection const& server, char const* format, ...) {
        va_list arguments;
        va_start(arguments, format);
        reply_.reset(static_cast<redisReply*>(redisvCommand(server.get(), format, arguments)));
        va_end(arguments);
        BOOST_REQUIRE_MESSAGE(reply_ != nullptr, server->errstr);
    }

    [[nodiscard]] int type() const { return reply_->type; }
    [[nodiscard]] std::string text() const { return {reply_->str, static_cast<std::size_t>(reply_->len)}; }

private:
    clients::handle<redisReply, freeReplyObject> reply_;
};

} // namespace

BOOST_AUTO_TEST_CASE(commands_wait_side_by_side) {
    weft::run([] {
        auto connections = clients::connect_on_fibers(connect);
        clients::check_that_operations_wait_side_by_side(
            connections, [](connection const& server, int number) {
                BOOST_TEST(reply(server, "SET key:%d value:%d", number, number).type() == REDIS_REPLY_STATUS);
                BOOST_TEST(reply(server, "BLPOP nothing 0.1").type() == REDIS_REPLY_NIL);
                BOOST_TEST(reply(server, "GET key:%d", number).text() == "value:" + std::to_string(number));
            });
    });
}
