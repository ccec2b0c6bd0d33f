// use_fiber: Asio's operations in blocking style, on the worker's io_context and on others.
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <boost/asio.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
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
using asio::ip::tcp;
using boost::system::error_code;
using boost::system::system_error;
using weft::net::io_context_for_this_worker;
using weft::net::use_fiber;

// An operation that calls its handler, from `context`, with these arguments.
template <class... Signatures, class Token, class... Values>
auto async_give(asio::io_context& context, Token&& token, Values&&... values) {
    return asio::async_initiate<Token, Signatures...>(
        [&context](auto handler, auto... given) {
            asio::post(context, [handler = std::move(handler), ... given = std::move(given)]() mutable {
                std::move(handler)(std::move(given)...);
            });
        },
        token, std::forward<Values>(values)...);
}

// An operation that keeps its handler, for others to call or destroy. (any_completion_handler of Boost 1.81 can't be moved.)
struct any_handler {
    virtual ~any_handler() = default;
    virtual void call(error_code error, int value) = 0;
};
template <class Handler> struct handler_kept final : any_handler {
    explicit handler_kept(Handler given) : handler(std::move(given)) {}
    void call(error_code error, int value) override { std::move(handler)(error, value); }
    Handler handler;
};
using kept_handler = std::unique_ptr<any_handler>;

template <class Token> auto async_keep(kept_handler& place, Token&& token) {
    return asio::async_initiate<Token, void(error_code, int)>(
        [&place](auto handler) {
            place = std::make_unique<handler_kept<decltype(handler)>>(std::move(handler));
        },
        token);
}

// An operation of `Executor`'s that ends only when it is asked to. asked() is called by the request.
template <class Executor, class Asked> struct until_asked {
    using executor_type = Executor;

    [[nodiscard]] Executor get_executor() const noexcept { return executor; }

    template <class Handler> void operator()(Handler handler) const {
        auto slot = asio::get_associated_cancellation_slot(handler);
        auto kept = std::make_shared<Handler>(std::move(handler));
        slot.assign([=, *this](asio::cancellation_type) {
            asked();
            asio::post(executor, [kept] { std::move (*kept)(error_code(asio::error::operation_aborted)); });
        });
    }

    Executor executor;
    Asked asked;
};

template <class Executor, class Asked, class Token>
auto async_until_asked(Executor const& executor, Asked asked, Token&& token) {
    return asio::async_initiate<Token, void(error_code)>(until_asked<Executor, Asked>{executor, asked},
                                                         token);
}

// Runs what it is given when it is told to.
class manual_executor {
public:
    struct queue {
        std::vector<std::function<void()>> functions;
        std::function<void()> on_execute = [] {};
    };

    explicit manual_executor(queue& place) : queue_(&place) {}

    static constexpr auto query(asio::execution::blocking_t /*property*/) noexcept {
        return asio::execution::blocking.never;
    }
    template <class Function> void execute(Function function) const {
        queue_->functions.push_back(
            [kept = std::make_shared<Function>(std::move(function))] { std::move (*kept)(); });
        queue_->on_execute();
    }
    bool operator==(manual_executor const&) const noexcept = default;

private:
    queue* queue_;
};

error_code const refused = asio::error::connection_refused;

struct connected {
    explicit connected(asio::io_context& context)
        : client(context), server(context), acceptor(context, {asio::ip::address_v4::loopback(), 0}) {
        client.connect(acceptor.local_endpoint());
        acceptor.accept(server);
    }

    tcp::socket client;
    tcp::socket server;
    tcp::acceptor acceptor;
};

// Plain threads that run an io_context.
class run_by_threads {
public:
    explicit run_by_threads(asio::io_context& context, int count = 2)
        : work_(asio::make_work_guard(context)) {
        for (int i = 0; i < count; ++i)
            threads_.emplace_back([&context] { context.run(); });
    }
    run_by_threads(run_by_threads const&) = delete;
    run_by_threads& operator=(run_by_threads const&) = delete;
    ~run_by_threads() {
        work_.reset();
        for (auto& each : threads_)
            each.join();
    }

private:
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::vector<std::thread> threads_;
};

} // namespace

BOOST_AUTO_TEST_CASE(the_result_is_what_the_handler_gets) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        async_give<void()>(context, use_fiber);
        async_give<void(error_code)>(context, use_fiber, error_code());
        BOOST_TEST((async_give<void(error_code, int)>(context, use_fiber, error_code(), 7)) == 7);
        BOOST_TEST((async_give<void(int)>(context, use_fiber, 8)) == 8);
        auto const [number, text] = async_give<void(error_code, int, std::string)>(
            context, use_fiber, error_code(), 9, std::string("nine"));
        BOOST_TEST(number == 9);
        BOOST_TEST(text == "nine");
        auto const moved = async_give<void(std::exception_ptr, std::unique_ptr<int>) noexcept>(
            context, use_fiber, nullptr, std::make_unique<int>(10));
        BOOST_TEST(*moved == 10);
        auto const two = async_give<void(error_code, std::unique_ptr<int>, int) &&>(
            context, use_fiber, error_code(), std::make_unique<int>(11), 12);
        BOOST_TEST(*std::get<0>(two) + std::get<1>(two) == 23);
    });
}

BOOST_AUTO_TEST_CASE(errors_are_thrown_or_stored) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        BOOST_CHECK_EXCEPTION((async_give<void(error_code, int)>(context, use_fiber, refused, 1)),
                              system_error, [](auto const& e) { return e.code() == refused; });
        BOOST_CHECK_THROW(
            (async_give<void(std::error_code)>(context, use_fiber, make_error_code(std::errc::io_error))),
            std::system_error);
        BOOST_CHECK_THROW((async_give<void(std::exception_ptr)>(
                              context, use_fiber, std::make_exception_ptr(std::out_of_range("far")))),
                          std::out_of_range);
        error_code stored;
        BOOST_TEST((async_give<void(error_code, int)>(context, use_fiber[stored], refused, 2)) == 2);
        BOOST_TEST(stored == refused);
        async_give<void(error_code)>(context, use_fiber[stored], error_code());
        BOOST_TEST(!stored);
        BOOST_TEST((async_give<void(error_code, int)>(context, asio::redirect_error(use_fiber, stored),
                                                      refused, 3)) == 3);
        BOOST_TEST(stored == refused);
    });
}

BOOST_AUTO_TEST_CASE(operations_may_have_several_signatures) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        auto const same = async_give<void(error_code, int), void(int)>(context, use_fiber, 5);
        static_assert(std::is_same_v<decltype(same), int const>);
        BOOST_TEST(same == 5);
        auto const nothing = async_give<void(error_code, long), void(int), void()>(context, use_fiber);
        static_assert(std::is_same_v<decltype(nothing), std::variant<long, int, std::monostate> const>);
        BOOST_TEST(nothing.index() == 2U);
        auto const number =
            async_give<void(error_code, long), void(int), void()>(context, use_fiber, error_code(), 6L);
        BOOST_TEST(std::get<long>(number) == 6);
        BOOST_CHECK_THROW((async_give<void(error_code), void(int)>(context, use_fiber, refused)),
                          system_error);
        error_code stored = refused;
        BOOST_TEST((std::get<int>(async_give<void(error_code), void(int)>(context, use_fiber[stored], 5))) ==
                   5);
        BOOST_TEST(!stored);
    });
}

BOOST_AUTO_TEST_CASE(a_handler_that_is_dropped_ends_the_wait) {
    auto const is_dropped = [](system_error const& e) {
        return e.code() == asio::error::operation_aborted &&
               std::string_view(e.what()).find("dropped") != std::string_view::npos;
    };
    weft::run([&] {
        kept_handler kept;
        auto dropping = weft::spawn([&] { kept.reset(); });
        error_code stored;
        BOOST_CHECK_EXCEPTION(async_keep(kept, use_fiber), system_error, is_dropped);
        dropping.join();
        // By the initiation, at once, and by the end of an io_context.
        auto const drop = [](auto token) {
            return asio::async_initiate<decltype(token), void(error_code)>([](auto&&) {}, token);
        };
        BOOST_CHECK_EXCEPTION(drop(use_fiber[stored]), system_error, is_dropped);
        BOOST_TEST(stored == asio::error::operation_aborted);
        auto context = std::make_unique<asio::io_context>();
        asio::steady_timer timer(*context, 1h);
        auto ending = weft::spawn([&] { context.reset(); });
        BOOST_CHECK_EXCEPTION(asio::post(*context, use_fiber), system_error, is_dropped);
        // What the initiation throws comes first.
        auto const fail = [](auto token) {
            return asio::async_initiate<decltype(token), void(error_code)>(
                [](auto&&) { throw std::out_of_range("no"); }, token);
        };
        BOOST_CHECK_THROW(fail(use_fiber), std::out_of_range);
    });
}

BOOST_AUTO_TEST_CASE(tokens_can_be_adapted_and_deferred) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        asio::steady_timer timer(context, 0s);
        auto wait = timer.async_wait(asio::deferred);
        wait(use_fiber);
        auto strand = asio::make_strand(context);
        timer.async_wait(asio::bind_executor(strand, use_fiber));
        std::allocator<char> const allocator;
        timer.async_wait(asio::bind_allocator(allocator, use_fiber));
        timer.async_wait(asio::bind_allocator(allocator, asio::bind_executor(strand, use_fiber)));
        auto const [error] = timer.async_wait(asio::as_tuple(use_fiber));
        BOOST_TEST(!error);
        weft::net::use_fiber_t::as_default_on_t<asio::steady_timer> by_default(context, 0s);
        by_default.async_wait();
        for (auto begin : {0, 1, 2}) { // also what Asio would not wake its thread for
            if (begin == 0)
                asio::post(context, use_fiber);
            else if (begin == 1)
                asio::defer(context, use_fiber);
            else
                asio::dispatch(strand, use_fiber);
        }
    });
}

BOOST_AUTO_TEST_CASE(composed_operations_and_channels_work) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        connected pair(context);
        auto echo = weft::spawn([&] {
            std::string line;
            for (error_code error; !error;) {
                auto const size =
                    asio::async_read_until(pair.server, asio::dynamic_buffer(line), '\n', use_fiber[error]);
                asio::async_write(pair.server, asio::buffer(line, size), use_fiber);
                line.erase(0, size);
            }
        });
        std::string const sent = std::string(100'000, 'x') + "\n";
        std::string received(sent.size(), '\0');
        auto writing = weft::spawn([&] {
            BOOST_TEST(asio::async_write(pair.client, asio::buffer(sent), use_fiber) == sent.size());
        });
        BOOST_TEST(asio::async_read(pair.client, asio::buffer(received), use_fiber) == sent.size());
        BOOST_TEST(received == sent);
        writing.join();
        pair.client.shutdown(tcp::socket::shutdown_send);
        echo.join();
        // async_compose: two waits and a result.
        asio::steady_timer timer(context, 0s);
        auto const async_wait_twice = [&](auto&& token) {
            return asio::async_compose<decltype(token), void(error_code, int)>(
                [&, turns = 0](auto& self, error_code error = {}) mutable {
                    if (turns++ < 2)
                        timer.async_wait(std::move(self));
                    else
                        self.complete(error, turns);
                },
                token, timer);
        };
        BOOST_TEST(async_wait_twice(use_fiber) == 3);
        asio::experimental::channel<void(error_code, std::string)> channel(context, 0);
        auto sending = weft::spawn([&] {
            channel.async_send({}, "first", use_fiber);
            channel.async_send(asio::error::eof, "", use_fiber);
        });
        BOOST_TEST(channel.async_receive(use_fiber) == "first");
        BOOST_CHECK_THROW(channel.async_receive(use_fiber), system_error);
        tcp::resolver resolver(context);
        BOOST_TEST(!resolver.async_resolve("localhost", "80", use_fiber).empty());
    });
}

BOOST_AUTO_TEST_CASE(a_cancelled_fiber_ends_the_operation_and_waits_for_that) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        connected pair(context);
        error_code stored;
        for (int round = 0; round < 3; ++round) {
            bool const finished = weft::move_on_after(1ms, [&] {
                std::array<char, 64> on_stack{};
                if (round == 0)
                    pair.client.async_read_some(asio::buffer(on_stack), use_fiber);
                else if (round == 1)
                    asio::async_read(pair.client, asio::buffer(on_stack), use_fiber[stored]);
                else
                    pair.acceptor.async_accept(use_fiber);
            });
            BOOST_TEST(!finished);
        }
        BOOST_TEST(stored == asio::error::operation_aborted);
        // What the peer writes now must not go where the buffers were.
        asio::write(pair.server, asio::buffer("abc", 3));
        std::array<char, 3> received{};
        asio::async_read(pair.client, asio::buffer(received), use_fiber);
        BOOST_TEST(std::string_view(received.data(), 3) == "abc");
        // By a call, from another fiber; and nothing is begun once it is cancelled.
        weft::cancel_scope scope;
        asio::steady_timer timer(context, 1h);
        auto canceller = weft::spawn([&] { scope.cancel("enough"); });
        BOOST_CHECK_EXCEPTION(timer.async_wait(use_fiber), weft::cancelled,
                              [](auto const& e) { return e.reason() == "enough"; });
        bool begun = false;
        auto const note = [&](auto token) {
            return asio::async_initiate<decltype(token), void(error_code)>([&](auto&&) { begun = true; },
                                                                           token);
        };
        BOOST_CHECK_THROW(note(use_fiber), weft::cancelled);
        BOOST_TEST(!begun);
    });
}

BOOST_AUTO_TEST_CASE(a_result_that_comes_all_the_same_counts) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        {
            weft::cancel_scope scope;
            auto canceller = weft::spawn([&] { scope.cancel(); }); // the handler is queued by then
            BOOST_TEST((async_give<void(error_code, int)>(context, use_fiber, error_code(), 4)) == 4);
            BOOST_TEST(scope.cancel_called());
            BOOST_CHECK_THROW(asio::post(context, use_fiber), weft::cancelled);
        }
        // An operation that can't be cancelled is waited for.
        kept_handler kept;
        weft::cancel_scope scope;
        bool completed = false;
        auto canceller = weft::spawn([&] {
            scope.cancel();
            weft::this_fiber::yield();
            weft::this_fiber::yield();
            completed = true;
            kept->call(refused, 0);
        });
        BOOST_CHECK_THROW(async_keep(kept, use_fiber), weft::cancelled);
        BOOST_TEST(completed);
    });
}

BOOST_AUTO_TEST_CASE(a_token_that_makes_values_of_errors_makes_one_of_a_cancelled_operations) {
    weft::run([] {
        asio::steady_timer timer(io_context_for_this_worker(), 1h);
        for (bool const as_tuple : {true, false}) {
            weft::cancel_scope scope;
            auto canceller = weft::spawn([&] { scope.cancel(); });
            error_code error;
            if (as_tuple)
                std::tie(error) = timer.async_wait(asio::as_tuple(use_fiber));
            else
                timer.async_wait(asio::redirect_error(use_fiber, error));
            BOOST_TEST(error == asio::error::operation_aborted);
            BOOST_TEST(weft::this_fiber::is_cancelled());
            BOOST_CHECK_THROW(timer.async_wait(asio::as_tuple(use_fiber)), weft::cancelled); // not begun
        }
    });
}

BOOST_AUTO_TEST_CASE(the_request_to_end_comes_where_the_steps_run) {
    asio::io_context context;
    run_by_threads const threads(context);
    weft::run([&] {
        auto strand = asio::make_strand(context);
        auto other = asio::make_strand(context);
        error_code stored;
        // The token, and the strand that its request is expected in.
        auto const check = [&](auto const& expected, auto&& token) {
            std::atomic<bool> in_time = false;
            weft::cancel_scope scope;
            auto canceller = weft::spawn([&] { scope.cancel(); });
            try {
                async_until_asked(
                    strand, [&] { in_time = expected.running_in_this_thread(); }, token);
            } catch (weft::cancelled const&) {
            }
            BOOST_TEST(in_time);
        };
        check(strand, use_fiber);
        check(strand, asio::as_tuple(use_fiber));
        check(strand, asio::redirect_error(use_fiber, stored));
        check(strand, asio::append(use_fiber, 1));
        check(strand, asio::bind_allocator(std::allocator<char>(), use_fiber));
        check(other, asio::bind_executor(other, use_fiber));
        check(other, asio::bind_executor(other, asio::as_tuple(use_fiber)));
        check(other, asio::as_tuple(asio::bind_executor(other, use_fiber)));
        check(other, asio::redirect_error(asio::bind_executor(other, asio::as_tuple(use_fiber)), stored));
    });
}

BOOST_AUTO_TEST_CASE(an_operation_composed_of_no_objects_is_asked_on_its_thread) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        std::thread::id asked_on;
        auto const async_step = [&](auto&& token) {
            return asio::async_compose<decltype(token), void(error_code)>(
                [&, turns = 0](auto& self, error_code error = {}) mutable {
                    if (turns++ == 0)
                        async_until_asked(
                            context.get_executor(), [&] { asked_on = std::this_thread::get_id(); },
                            std::move(self));
                    else
                        self.complete(error);
                },
                token);
        };
        BOOST_TEST(!weft::move_on_after(1ms, [&] { async_step(use_fiber); }));
        BOOST_TEST((asked_on == std::this_thread::get_id()));
    });
}

// What the request would have to refer to may be gone by then.
BOOST_AUTO_TEST_CASE(an_operation_whose_handler_is_queued_is_not_asked_to_end) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        auto const strand = asio::make_strand(context);
        bool asked = false;
        kept_handler kept;
        auto const async_keep_asked = [&](auto token) {
            return asio::async_initiate<decltype(token), void(error_code, int)>(
                [&](auto handler) {
                    asio::get_associated_cancellation_slot(handler).assign(
                        [&](asio::cancellation_type) { asked = true; });
                    kept = std::make_unique<handler_kept<decltype(handler)>>(std::move(handler));
                },
                token);
        };
        for (bool const by_handler : {false, true})
            for (bool const in_strand : {false, true}) {
                weft::cancel_scope scope;
                auto const end = [&] {
                    asio::post(context, [&] {
                        if (in_strand)
                            asio::dispatch(strand, [&] { kept->call(refused, 0); });
                        else
                            kept->call(refused, 0);
                    });
                    scope.cancel();
                };
                auto ending = weft::spawn([&] {
                    if (by_handler)
                        asio::post(context, [&] {
                            end();
                            weft::this_fiber::sleep_for(1ms); // in which the request is made
                        });
                    else
                        end();
                });
                if (in_strand)
                    BOOST_CHECK_THROW(async_keep_asked(asio::bind_executor(strand, use_fiber)),
                                      weft::cancelled);
                else
                    BOOST_CHECK_THROW(
                        async_keep_asked(asio::bind_executor(context.get_executor(), use_fiber)),
                        weft::cancelled);
                BOOST_TEST(!asked, "by a handler: " << by_handler << ", in a strand: " << in_strand);
            }
        // A socket and a timer that are destroyed.
        for (bool const of_socket : {false, true}) {
            auto pair = std::make_unique<connected>(context);
            auto timer = std::make_unique<asio::steady_timer>(context, 1h);
            std::array<char, 8> on_stack{};
            weft::cancel_scope scope;
            auto destroying = weft::spawn([&] {
                pair.reset();
                timer.reset();
                scope.cancel();
            });
            if (of_socket)
                BOOST_CHECK_THROW(pair->client.async_read_some(asio::buffer(on_stack), use_fiber),
                                  weft::cancelled);
            else
                BOOST_CHECK_THROW(timer->async_wait(use_fiber), weft::cancelled);
        }
    });
}

BOOST_AUTO_TEST_CASE(a_request_that_nobody_runs_is_not_waited_for) {
    manual_executor::queue queue;
    kept_handler kept;
    weft::run([&] {
        queue.on_execute = [&] {
            if (kept != nullptr)
                std::exchange(kept, nullptr)->call(refused, 0); // as another thread might do meanwhile
        };
        weft::cancel_scope scope;
        auto canceller = weft::spawn([&] { scope.cancel(); });
        BOOST_CHECK_THROW(async_keep(kept, asio::bind_executor(manual_executor(queue), use_fiber)),
                          weft::cancelled);
    });
    BOOST_TEST(queue.functions.size() == 1U);
    while (!queue.functions.empty()) // too late, it does nothing
        std::exchange(queue.functions, {}).front()();
}

BOOST_AUTO_TEST_CASE(a_context_may_end_with_the_operation_that_is_asked_to) {
    weft::run([] {
        for (int round = 0; round < 200; ++round) {
            auto context = std::make_unique<asio::io_context>();
            std::thread last;
            auto starting = weft::spawn([&] { // once the operation has begun
                last = std::thread([&] {
                    context->run();
                    context.reset();
                });
            });
            weft::move_on_after(std::chrono::microseconds(round), [&] { asio::post(*context, use_fiber); });
            starting.join();
            last.join();
        }
    });
}

BOOST_AUTO_TEST_CASE(nothing_is_cancelled_while_an_exception_is_in_flight) {
    weft::run([] {
        auto& context = io_context_for_this_worker();
        bool waited = false;
        struct says_goodbye {
            asio::io_context& context;
            bool& waited;
            ~says_goodbye() {
                asio::steady_timer timer(context, 1ms);
                timer.async_wait(use_fiber);
                waited = true;
            }
        };
        weft::cancel_scope scope;
        scope.cancel();
        try {
            says_goodbye const guard{context, waited};
            throw std::out_of_range("in flight");
        } catch (std::out_of_range const&) {
        }
        BOOST_TEST(waited);
    });
}

BOOST_AUTO_TEST_CASE(an_io_context_may_be_run_by_plain_threads) {
    weft::run(
        [] {
            asio::io_context context;
            run_by_threads const threads(context);
            std::vector<weft::fiber<>> fibers;
            for (int i = 0; i < 8; ++i)
                fibers.push_back(weft::spawn([&] {
                    connected pair(context);
                    asio::steady_timer timer(context);
                    for (int turn = 0; turn < 50; ++turn) {
                        asio::post(context, use_fiber);
                        timer.expires_after(0s);
                        timer.async_wait(use_fiber);
                        asio::async_write(pair.client, asio::buffer("hello", 5), use_fiber);
                        std::array<char, 5> received{};
                        asio::async_read(pair.server, asio::buffer(received), use_fiber);
                        BOOST_TEST(std::string_view(received.data(), 5) == "hello");
                    }
                }));
            for (auto& each : fibers)
                each.get();
        },
        support::with_workers(2));
}

BOOST_AUTO_TEST_CASE(what_plain_threads_carry_out_is_cancelled_where_it_runs) {
    weft::run([] {
        asio::io_context context;
        run_by_threads const threads(context);
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 8; ++i)
            fibers.push_back(weft::spawn([&] {
                connected pair(context);
                auto strand = asio::make_strand(context);
                for (int turn = 0; turn < 50; ++turn) {
                    // Steps follow each other while the request to end comes.
                    asio::write(pair.server, asio::buffer("1234567890", 10));
                    std::array<char, 64> on_stack{};
                    std::string read;
                    bool const finished = weft::move_on_after(std::chrono::microseconds(20 * turn), [&] {
                        for (;;) {
                            asio::async_read(pair.client, asio::buffer(on_stack, 3),
                                             asio::bind_executor(strand, use_fiber));
                        }
                    });
                    BOOST_TEST(!finished);
                    BOOST_TEST(!weft::move_on_after(10us, [&] {
                        std::array<char, 64> here{};
                        for (;;)
                            pair.client.async_read_some(asio::buffer(here), use_fiber);
                    }));
                }
            }));
        for (auto& each : fibers)
            each.get();
    });
}

BOOST_AUTO_TEST_CASE(a_plain_thread_is_blocked) {
    asio::io_context context;
    run_by_threads const threads(context, 1);
    BOOST_TEST((async_give<void(error_code, int)>(context, use_fiber, error_code(), 3)) == 3);
    BOOST_CHECK_THROW((async_give<void(error_code)>(context, use_fiber, refused)), system_error);
    for (int i = 0; i < 1000; ++i)
        asio::post(context, use_fiber);
}

BOOST_AUTO_TEST_CASE(another_worker_may_carry_it_out) {
    weft::run(
        [] {
            kept_handler kept;
            std::atomic<bool> kept_it = false;
            auto const keep = [&](auto token) {
                return asio::async_initiate<decltype(token), void(error_code, int)>(
                    [&](auto handler) {
                        kept = std::make_unique<handler_kept<decltype(handler)>>(std::move(handler));
                        kept_it = true;
                    },
                    token);
            };
            weft::post(1, [&] {
                while (!kept_it)
                    weft::this_fiber::yield();
                kept->call({}, 42);
            });
            BOOST_TEST(keep(use_fiber) == 42);
        },
        support::with_workers(2));
}
