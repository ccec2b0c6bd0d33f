// Without weft::patch: use_fiber works with contexts that threads run; there is none for a worker.
#include <stdexcept>
#include <string_view>
#include <thread>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <weft/net/io_context_for_this_worker.hpp>
#include <weft/net/use_fiber.hpp>
#include <weft/run.hpp>

namespace asio = boost::asio;

BOOST_AUTO_TEST_CASE(a_context_of_the_programs_is_waited_for) {
    asio::io_context context;
    auto work = asio::make_work_guard(context);
    std::thread runner([&] { context.run(); });
    weft::run([&] {
        asio::steady_timer timer(context, std::chrono::milliseconds(1));
        timer.async_wait(weft::net::use_fiber);
        BOOST_CHECK_EXCEPTION(weft::net::io_context_for_this_worker(), std::logic_error, [](auto const& e) {
            return std::string_view(e.what()).find("link weft::patch") != std::string_view::npos;
        });
    });
    work.reset();
    runner.join();
}
