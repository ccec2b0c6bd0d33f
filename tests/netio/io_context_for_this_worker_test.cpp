// The io_context of each worker: which fiber its handlers run on, how it begins and ends, and that fibers don't disturb what Asio keeps
// per thread.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <vector>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/net/io_context_for_this_worker.hpp>
#include <weft/net/use_fiber.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/options.hpp"

namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using boost::system::error_code;
using weft::net::io_context_for_this_worker;
using weft::net::use_fiber;

// Counts itself, for what is to be destroyed.
struct counted {
    explicit counted(int& count_) : count(count_) { ++count; }
    counted(counted const&) = delete;
    counted& operator=(counted const&) = delete;
    ~counted() { --count; }
    int& count;
};

// Both kinds are made of what they are strands of.
template <class Strand> decltype(auto) context_of(asio::io_context& context) {
    if constexpr (std::is_same_v<Strand, asio::io_context::strand>)
        return (context);
    else
        return context.get_executor();
}
using strand_types = std::tuple<asio::strand<asio::io_context::executor_type>, asio::io_context::strand>;

// A part of an io_context, to tell when that ends.
struct end_seen : asio::execution_context::service {
    using key_type = end_seen;
    static inline asio::execution_context::id id;
    static inline bool ended = false;

    explicit end_seen(asio::execution_context& owner) : service(owner) {}
    void shutdown() override { ended = true; }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_thousand_fibers_wait_for_timers_at_once) {
    int done = 0;
    weft::run([&] {
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 1000; ++i)
            fibers.push_back(weft::spawn([&, i] {
                asio::steady_timer timer(io_context_for_this_worker(),
                                         std::chrono::microseconds(i % 50 * 100));
                timer.async_wait(use_fiber);
                ++done;
            }));
    });
    BOOST_TEST(done == 1000);
}

BOOST_AUTO_TEST_CASE(handlers_run_on_one_fiber_of_the_worker) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        BOOST_TEST(&context == &io_context_for_this_worker());
        auto const here = std::this_thread::get_id();
        std::vector<std::uint64_t> fibers;
        for (int i = 0; i < 3; ++i)
            asio::post(context, [&] {
                BOOST_TEST((std::this_thread::get_id() == here));
                BOOST_TEST(weft::this_fiber::name() == "asio");
                BOOST_CHECK_THROW(asio::post(context, use_fiber), std::logic_error);
                fibers.push_back(weft::this_fiber::id());
            });
        asio::post(context, use_fiber);
        BOOST_TEST(fibers.size() == 3U);
        BOOST_TEST((fibers[0] == fibers[1] && fibers[1] == fibers[2]));
        BOOST_TEST(fibers[0] != weft::this_fiber::id());
    });
}

BOOST_AUTO_TEST_CASE(posts_from_fibers_and_threads_wake_it) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        asio::post(context, use_fiber); // afterwards it waits in epoll_wait
        // Asio would wake nobody for this if it took this fiber for the one that runs the context.
        weft::event called;
        asio::defer(context, [&] { called.set(); });
        called.wait();
        BOOST_TEST(!context.get_executor().running_in_this_thread());
        bool inlined = true;
        asio::dispatch(context, [&] { inlined = weft::this_fiber::name() != "asio"; });
        asio::post(context, use_fiber);
        BOOST_TEST(!inlined);
        std::thread other([&] {
            for (int i = 0; i < 100; ++i)
                asio::post(context, use_fiber);
        });
        auto joining = weft::spawn([&] { other.join(); });
        joining.join();
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_handler_that_waits_holds_up_its_context_alone, strand_type, strand_types) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        strand_type strand{context_of<strand_type>(context)};
        std::string order;
        weft::event entered;
        weft::event leave;
        asio::post(strand, [&] {
            entered.set();
            leave.wait();
            order += "a";
        });
        entered.wait(); // other fibers go on
        asio::dispatch(strand,
                       [&] { order += "b"; }); // not here, although the thread is inside of the strand
        asio::dispatch(context, [&] { order += "c"; });
        order += "1";
        leave.set();
        asio::post(strand, use_fiber);
        std::sort(order.begin() + 2, order.end());
        BOOST_TEST(order == "1abc");
    });
}

BOOST_AUTO_TEST_CASE(contexts_that_fibers_run_themselves_may_end_in_any_order) {
    weft::run([] {
        std::vector<weft::fiber<>> fibers;
        for (int i = 1; i <= 4; ++i)
            fibers.push_back(weft::spawn([i] { // the first to begin is the first to end
                asio::io_context context;
                asio::steady_timer timer(context, std::chrono::milliseconds(i));
                timer.async_wait([](error_code) {});
                BOOST_TEST(context.run() == 1U);
            }));
        weft::this_fiber::yield(); // each is inside of its own by now
        asio::post(io_context_for_this_worker(), use_fiber);
        fibers.clear();
        asio::post(io_context_for_this_worker(), use_fiber);
    });
}

BOOST_AUTO_TEST_CASE(each_worker_has_its_own) {
    std::array<asio::io_context*, 2> contexts{};
    weft::run(
        [&] {
            for (std::size_t i = 0; i < 2; ++i)
                weft::post(i, [&, i] {
                    contexts[i] = &io_context_for_this_worker();
                    asio::steady_timer timer(*contexts[i], 1ms);
                    timer.async_wait(use_fiber);
                });
        },
        support::with_workers(2));
    BOOST_TEST(contexts[0] != contexts[1]);
    BOOST_TEST(contexts[0] != nullptr);
}

BOOST_AUTO_TEST_CASE(what_is_outstanding_at_the_end_of_main_is_completed) {
    for (int run = 0; run < 3; ++run) { // runs may follow each other
        std::string order;
        int alive = 0;
        weft::run([&] {
            auto timer = std::make_shared<asio::steady_timer>(io_context_for_this_worker(), 1ms);
            auto witness = std::make_shared<counted>(alive);
            timer->async_wait([&, timer, witness](error_code error) {
                order += error ? "?" : "t";
                timer->expires_after(1ms);
                timer->async_wait([&, timer, witness](error_code) {
                    order += "u";
                    weft::spawn([&, witness] { // may use it, and outlive it
                        asio::steady_timer(io_context_for_this_worker(), 1ms).async_wait(use_fiber);
                        order += "f";
                        weft::this_fiber::sleep_for(1ms);
                        asio::post(io_context_for_this_worker(), use_fiber);
                        order += "g";
                    })
                        .detach();
                });
            });
            order += "m";
        });
        BOOST_TEST(order == "mtufg");
        BOOST_TEST(alive == 0);
    }
}

BOOST_AUTO_TEST_CASE(it_outlives_the_objects_that_fibers_made_with_it) {
    std::vector<std::string> told;
    auto const told_in = [&](char const* where, auto const& act) {
        act();
        told.push_back(std::string(where) + (end_seen::ended ? " too late" : " in time"));
    };
    end_seen::ended = false;
    weft::run([&] {
        auto& context = io_context_for_this_worker();
        asio::make_service<end_seen>(context);
        weft::spawn({.name = "waiting", .daemon = true}, [&] {
            told_in("waiting", [&] {
                asio::steady_timer timer(context, 1h);
                BOOST_CHECK_THROW(timer.async_wait(use_fiber), weft::cancelled);
            });
        }).detach();
        weft::spawn({.name = "cleaning up", .daemon = true}, [&] {
            told_in("cleaning up", [&] {
                asio::steady_timer timer(context);
                BOOST_CHECK_THROW(weft::this_fiber::sleep_for(1h), weft::cancelled);
                weft::cancel_scope last;
                last.shield();
                weft::this_fiber::sleep_for(1ms);
                timer.expires_after(1ms);
                timer.async_wait(use_fiber);
            });
        }).detach();
        auto const late = std::make_shared<asio::steady_timer>(context, 1ms);
        late->async_wait([&, late](error_code) {
            weft::spawn([&] { // the context is out of work by the time it waits
                told_in("late", [&] {
                    asio::steady_timer timer(context);
                    weft::this_fiber::sleep_for(1ms);
                    timer.expires_after(1ms);
                    timer.async_wait(use_fiber);
                    weft::spawn({.name = "later", .daemon = true}, [&, own = std::move(timer)]() mutable {
                        told_in("later", [&] {
                            BOOST_CHECK_THROW(weft::this_fiber::sleep_for(1h), weft::cancelled);
                            own.cancel();
                        });
                    }).detach();
                });
            })
                .detach();
        });
        weft::this_fiber::yield();
    });
    BOOST_TEST(end_seen::ended);
    std::sort(told.begin(), told.end());
    std::vector<std::string> const expected{"cleaning up in time", "late in time", "later in time",
                                            "waiting in time"};
    BOOST_TEST(told == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_stop_leaves_is_destroyed) {
    int alive = 0;
    weft::run([&] {
        auto& context = io_context_for_this_worker();
        context.stop(); // as long as there are fibers, it goes on
        asio::post(context, use_fiber);
        auto never = std::make_shared<asio::steady_timer>(context, 1h);
        never->async_wait([never, witness = std::make_shared<counted>(alive)](error_code) {});
        auto end = std::make_shared<asio::steady_timer>(context, 1ms);
        end->async_wait([&, end](error_code) { context.stop(); });
        BOOST_TEST(alive == 1);
    });
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(exceptions_of_handlers_go_to_on_unhandled) {
    std::vector<std::string> told;
    weft::run_options options;
    options.on_unhandled = [&](std::string_view name, std::exception_ptr const& exception) {
        try {
            std::rethrow_exception(exception);
        } catch (std::exception const& e) {
            told.push_back(std::string(name) + ": " + e.what());
        }
    };
    weft::run(
        [&] {
            auto& context = io_context_for_this_worker();
            asio::post(context, [] { throw std::runtime_error("first"); });
            asio::post(context, use_fiber);
            auto late = std::make_shared<asio::steady_timer>(context, 1ms);
            late->async_wait([late](error_code) { throw std::runtime_error("late"); });
        },
        options);
    std::vector<std::string> const expected{"asio handler: first", "asio handler: late"};
    BOOST_TEST(told == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(it_can_be_made_in_a_cancelled_scope) {
    weft::run([] {
        {
            weft::cancel_scope scope;
            scope.cancel();
            io_context_for_this_worker();
        }
        asio::steady_timer(io_context_for_this_worker(), 0s).async_wait(use_fiber);
    });
}

BOOST_AUTO_TEST_CASE(the_child_of_a_fork_makes_its_own) {
    int status = -1;
    weft::run([&] {
        auto& parents = io_context_for_this_worker();
        asio::post(parents, use_fiber);
        pid_t const child = ::fork();
        if (child == 0) {
            auto& own = io_context_for_this_worker();
            asio::steady_timer timer(own, 1ms);
            timer.async_wait(use_fiber);
            ::_exit(&own != &parents ? 0 : 1);
        }
        ::waitpid(child, &status, 0);
        asio::post(parents, use_fiber);
    });
    BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(there_is_none_off_fibers) {
    BOOST_CHECK_THROW(io_context_for_this_worker(), std::logic_error);
    weft::run([] {
        std::thread([] { BOOST_CHECK_THROW(io_context_for_this_worker(), std::logic_error); }).join();
    });
}
