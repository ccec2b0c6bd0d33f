// MariaDB's and MySQL's client library: libmariadb.
#include <mysql.h>

#include <string>

#include <boost/test/unit_test.hpp>

#include <weft/run.hpp>

#include "clients/concurrent_operations.hpp"
#include "clients/handle.hpp"

namespace {

using connection = clients::handle<MYSQL, mysql_close>;
using result = clients::handle<MYSQL_RES, mysql_free_result>;

connection open_connection() {
    connection made(mysql_init(nullptr));
    BOOST_REQUIRE(made != nullptr);
    auto const port = static_cast<unsigned>(std::stoul(clients::server_port()));
    auto const* const connected = mysql_real_connect(made.get(), clients::server_host().c_str(), "weft",
                                                     nullptr, nullptr, port, nullptr, 0);
    BOOST_REQUIRE_MESSAGE(connected != nullptr, mysql_error(made.get()));
    return made;
}

} // namespace

BOOST_AUTO_TEST_CASE(queries_wait_side_by_side) {
    BOOST_REQUIRE(mysql_library_init(0, nullptr, nullptr) == 0);
    weft::run([] {
        auto connections = clients::connect_on_fibers(open_connection);
        clients::check_that_operations_wait_side_by_side(connections, [](connection const& server,
                                                                         int number) {
            std::string const query = "select sleep(0.1), " + std::to_string(number);
            BOOST_REQUIRE_MESSAGE(mysql_query(server.get(), query.c_str()) == 0, mysql_error(server.get()));
            result const rows(mysql_store_result(server.get()));
            BOOST_REQUIRE_MESSAGE(rows != nullptr, mysql_error(server.get()));
            char const* const second = mysql_fetch_row(rows.get())[1];
            BOOST_TEST(second == std::to_string(number));
        });
    });
    mysql_library_end();
}
