// Stacks: guards that speak, memory that is given back, and no bound by the number of mappings.
#include <array>
#include <csignal>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

#include "support/child.hpp"
#include "support/memory.hpp"

namespace {

using support::sanitized;

// Uses at least `bytes` of stack. The block's address is shown to code that the compiler can't see, before and after the
// deeper call, so that no two frames can share it.
[[gnu::noinline]] void use_stack(std::size_t bytes) {
    constexpr std::size_t frame = 1024;
    std::array<char, frame> block{};
    asm volatile("" : : "r"(block.data()) : "memory");
    if (bytes > frame)
        use_stack(bytes - frame);
    asm volatile("" : : "r"(block.data()) : "memory");
}

int overflow(weft::spawn_options const& options) {
    return weft::run([&] {
        weft::spawn(options, [] { use_stack(std::size_t{1} << 30); }).join();
        return 0;
    });
}

} // namespace

BOOST_AUTO_TEST_CASE(an_overflow_names_the_fiber_and_its_stack_size) {
    auto const result =
        support::in_child([] { return overflow({.name = "hungry", .stack_size = 128 * 1024}); });
    BOOST_TEST(result.killed_by(SIGABRT));
    BOOST_TEST(result.errors.find("fiber \"hungry\" overflowed its stack of 128 KiB") != std::string::npos,
               result.errors);
    BOOST_TEST(result.errors.find("stack_size") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_overflow_on_another_worker_is_named_too) {
    auto const result = support::in_child([] {
        weft::run_options options;
        options.workers = 2;
        return weft::run(
            [] {
                weft::post(1, [] {
                    weft::this_fiber::set_name("other");
                    use_stack(std::size_t{1} << 30);
                });
            },
            options);
    });
    BOOST_TEST(result.killed_by(SIGABRT));
    BOOST_TEST(result.errors.find("fiber \"other\" overflowed its stack of 256 KiB") != std::string::npos,
               result.errors);
}

BOOST_AUTO_TEST_CASE(other_faults_are_not_taken_for_overflows) {
    auto const result = support::in_child([] {
        return weft::run([] {
            weft::spawn([] {
                int* volatile nowhere = nullptr; // volatile: else compilers may leave the store out
                // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): on purpose
                *nowhere = 1;
            }).join();
            return 0;
        });
    });
    BOOST_TEST((result.killed_by(SIGSEGV) || (sanitized && result.exited(1))));
    BOOST_TEST(result.errors.find("overflowed") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_stack_has_the_size_asked_for) {
    weft::run([] {
        constexpr std::size_t size = std::size_t{8} << 20;
        weft::spawn({.name = "deep", .stack_size = size}, [] {
            use_stack(size / (sanitized ? 4 : 2));
        }).join();
        weft::spawn({.name = "shallow", .stack_size = 1}, [] {}).join();
    });
}

BOOST_AUTO_TEST_CASE(deep_stacks_give_their_memory_back) {
    weft::run([] {
        constexpr int count = 200;
        auto const before = support::resident_bytes();
        weft::semaphore all(0);
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < count; ++i)
            fibers.push_back(weft::spawn([&] {
                use_stack(sanitized ? 50'000 : 150'000);
                all.acquire();
            }));
        weft::this_fiber::yield();
        auto const during = support::resident_bytes();
        all.release(count);
        fibers.clear();
        // The worker trims when it next has nothing to do, at most once a second.
        auto const deadline = weft::clock::now() + std::chrono::seconds(30);
        constexpr std::size_t kept = std::size_t{6} << 20;
        BOOST_TEST(during > before + 8'000'000);
        if (sanitized)
            return;
        while (support::resident_bytes() > before + kept && weft::clock::now() < deadline)
            weft::this_fiber::sleep_for(std::chrono::milliseconds(10));
        BOOST_TEST(support::resident_bytes() < before + kept);
    });
}

BOOST_AUTO_TEST_CASE(many_guarded_fibers_take_few_mappings_and_little_memory) {
    constexpr std::size_t count = sanitized ? 5'000 : 100'000;
    weft::run([] {
        auto const mappings = support::mapping_count();
        auto const memory = support::resident_bytes();
        weft::semaphore end(0);
        for (std::size_t i = 0; i < count; ++i)
            weft::spawn([&] { end.acquire(); }).detach();
        weft::this_fiber::yield();
        if (!sanitized) {
            BOOST_TEST(support::mapping_count() < mappings + 500);
            BOOST_TEST(support::resident_bytes() - memory < count * 4500);
        }
        end.release(count);
    });
}
