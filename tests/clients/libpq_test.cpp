// PostgreSQL's own client library: libpq.
#include <string>

#include <boost/test/unit_test.hpp>

#include <libpq-fe.h>

#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
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

// The query waits in libpq, which knows nothing of scopes: its poll and recv end by ECANCELED.
BOOST_AUTO_TEST_CASE(a_query_inherits_the_deadline_of_its_caller) {
    weft::run([] {
        connection const server = connect();
        auto const begin = weft::clock::now();
        auto const query = [&](char const* text) { return result(PQexec(server.get(), text)); };
        {
            weft::cancel_scope const scope(std::chrono::milliseconds(50));
            result const answer = query("select pg_sleep(60)");
            BOOST_TEST(PQresultStatus(answer.get()) != PGRES_TUPLES_OK);
            BOOST_TEST(scope.cancel_called());
        }
        BOOST_TEST((weft::clock::now() - begin < std::chrono::seconds(30)));
        auto waiting = weft::spawn([] {
            connection const own = connect();
            result const answer(PQexec(own.get(), "select pg_sleep(60)"));
            return PQresultStatus(answer.get()) == PGRES_TUPLES_OK;
        });
        BOOST_TEST(!waiting.join_for(std::chrono::milliseconds(50)));
        waiting.cancel();
        BOOST_TEST(!waiting.get());
        BOOST_TEST((weft::clock::now() - begin < std::chrono::seconds(30)));
    });
}
