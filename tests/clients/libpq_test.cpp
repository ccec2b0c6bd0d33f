// PostgreSQL's own client library: libpq.
#include <string>

#include <boost/test/unit_test.hpp>

#include <libpq-fe.h>

#include <weft/run.hpp>

#include "clients/concurrent_operations.hpp"
#include "clients/handle.hpp"

namespace {

using connection = clients::handle<PGconn, PQfinish>;
using result = clients::handle<PGresult, PQclear>;

connection connect() {
    std::string const where =
        "host=" + clients::server_host() + " port=" + clients::server_port() + " user=weft dbname=postgres";
    connection made(PQconnectdb(where.c_str()));
    BOOST_REQUIRE_MESSAGE(PQstatus(made.get()) == CONNECTION_OK, PQerrorMessage(made.get()));
    return made;
}

} // namespace

BOOST_AUTO_TEST_CASE(queries_wait_side_by_side) {
    weft::run([] {
        auto connections = clients::connect_on_fibers(connect);
        clients::check_that_operations_wait_side_by_side(
            connections, [](connection const& server, int number) {
                std::string const query = "select pg_sleep(0.1), " + std::to_string(number);
                result const answer(PQexec(server.get(), query.c_str()));
                BOOST_REQUIRE_MESSAGE(PQresultStatus(answer.get()) == PGRES_TUPLES_OK,
                                      PQerrorMessage(server.get()));
                BOOST_TEST(PQgetvalue(answer.get(), 0, 1) == std::to_string(number));
            });
    });
}
