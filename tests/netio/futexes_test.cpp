// syscall(), and what the standard library makes of futexes: between fibers of one worker, of two, and plain threads.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <future>
#include <latch>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/clock.hpp>
#include <weft/fiber.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/options.hpp"
#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;

long futex(std::uint32_t& word, int operation, std::uint32_t value, timespec const* time = nullptr,
           std::uint32_t bits = 0) {
    return ::syscall(SYS_futex, &word, operation, value, time, nullptr, bits);
}

} // namespace

BOOST_AUTO_TEST_CASE(the_standard_library_waits_as_fibers_do) {
    weft::run([] {
        std::latch latch(3);
        std::counting_semaphore<10> semaphore(0);
        std::barrier barrier(2);
        std::promise<int> promise;
        std::atomic<int> number{0};
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 3; ++i)
            fibers.push_back(weft::spawn([&] { latch.arrive_and_wait(); }));
        fibers.push_back(weft::spawn([&] {
            for (int i = 0; i < 5; ++i)
                semaphore.acquire();
            number = 1;
            number.notify_all();
        }));
        auto meeting = weft::spawn([&] { barrier.arrive_and_wait(); });
        auto asking = weft::spawn([&] { return promise.get_future().get(); });
        for (int i = 0; i < 5; ++i) {
            weft::this_fiber::yield();
            semaphore.release();
        }
        number.wait(0);
        BOOST_TEST(number == 1);
        barrier.arrive_and_wait();
        weft::this_fiber::yield();
        promise.set_value(7);
        BOOST_TEST(asking.get() == 7);
        BOOST_TEST(!semaphore.try_acquire_for(1ms));
    });
}

// It would end the program, or spin, if a futex said that the fiber was cancelled.
BOOST_AUTO_TEST_CASE(the_standard_library_waits_to_the_end_in_a_cancelled_fiber) {
    weft::run([] {
        std::latch latch(1);
        std::counting_semaphore<10> semaphore(0);
        std::barrier barrier(2);
        std::promise<int> promise;
        std::atomic<int> number{0};
        std::vector<weft::fiber<>> fibers;
        fibers.push_back(weft::spawn([&] { latch.wait(); }));
        fibers.push_back(weft::spawn([&] { semaphore.acquire(); }));
        fibers.push_back(weft::spawn([&] { barrier.arrive_and_wait(); }));
        fibers.push_back(weft::spawn([&] { BOOST_TEST(promise.get_future().get() == 7); }));
        fibers.push_back(weft::spawn([&] { number.wait(0); }));
        weft::this_fiber::yield();
        for (weft::fiber<>& each : fibers)
            each.cancel();
        weft::this_fiber::yield();
        for (weft::fiber<>& each : fibers)
            BOOST_TEST(!each.done());
        latch.count_down();
        semaphore.release();
        barrier.arrive_and_wait();
        promise.set_value(7);
        number = 1;
        number.notify_all();
        for (weft::fiber<>& each : fibers)
            each.get(); // it has returned
    });
}

BOOST_AUTO_TEST_CASE(threads_and_fibers_wake_each_other) {
    weft::run(
        [] {
            constexpr int rounds = 2000;
            std::counting_semaphore<INT_MAX> there(0);
            std::counting_semaphore<INT_MAX> back(0);
            std::thread thread([&] {
                for (int i = 0; i < rounds; ++i) {
                    there.acquire();
                    back.release();
                }
            });
            weft::post(1, [&] {
                for (int i = 0; i < rounds; ++i) {
                    there.acquire();
                    back.release();
                }
            });
            for (int i = 0; i < 2 * rounds; ++i) {
                there.release();
                back.acquire();
            }
            thread.join();
        },
        support::with_workers(2));
}

BOOST_AUTO_TEST_CASE(a_futex_says_what_the_kernel_says) {
    weft::run([] {
        std::uint32_t word = 1;
        timespec const little{.tv_sec = 0, .tv_nsec = 5'000'000};
        timespec const bad{.tv_sec = 0, .tv_nsec = -1};
        BOOST_TEST(futex(word, FUTEX_WAIT_PRIVATE, 2) == -1);
        BOOST_TEST(errno == EAGAIN);
        auto const begin = weft::clock::now();
        BOOST_TEST(futex(word, FUTEX_WAIT_PRIVATE, 1, &little) == -1);
        BOOST_TEST(errno == ETIMEDOUT);
        BOOST_TEST((weft::clock::now() - begin >= 5ms));
        BOOST_TEST(futex(word, FUTEX_WAIT_PRIVATE, 1, &bad) == -1);
        BOOST_TEST(errno == EINVAL);
        BOOST_TEST(futex(word, FUTEX_WAIT_BITSET_PRIVATE, 1, &little, 1) == -1); // long over
        BOOST_TEST(errno == ETIMEDOUT);
        BOOST_TEST(futex(word, FUTEX_WAIT_BITSET_PRIVATE, 1, nullptr, 0) == -1);
        BOOST_TEST(errno == EINVAL);
        BOOST_TEST(::syscall(SYS_futex, 4, FUTEX_WAIT_PRIVATE, 1, nullptr, nullptr, 0) == -1);
        BOOST_TEST(errno == EFAULT);
        BOOST_TEST(futex(word, FUTEX_WAKE_PRIVATE, INT_MAX) == 0);

        std::vector<weft::fiber<>> fibers;
        int woken = 0;
        for (std::uint32_t const bits : {1U, 2U, 3U})
            fibers.push_back(weft::spawn([&, bits] {
                BOOST_TEST(futex(word, FUTEX_WAIT_BITSET_PRIVATE, 1, nullptr, bits) == 0);
                ++woken;
            }));
        weft::this_fiber::yield();
        BOOST_TEST(futex(word, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, nullptr, 2) == 2);
        weft::this_fiber::yield();
        BOOST_TEST(woken == 2);
        BOOST_TEST(futex(word, FUTEX_WAKE_PRIVATE, 1) == 1);
    });
}

// The waker may be another process, whose wake-up reaches the kernel alone.
BOOST_AUTO_TEST_CASE(a_shared_futex_is_looked_at_again) {
    void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    BOOST_REQUIRE(page != MAP_FAILED);
    auto& word = *static_cast<std::uint32_t*>(page);
    weft::run([&] {
        auto waiter = weft::spawn([&] {
            while (std::atomic_ref(word).load() == 0)
                futex(word, FUTEX_WAIT, 0);
        });
        weft::this_fiber::yield();
        pid_t const child = ::fork();
        if (child == 0) {
            std::atomic_ref(word).store(1);
            futex(word, FUTEX_WAKE, 1);
            ::_exit(0);
        }
        waiter.join();
        ::waitpid(child, nullptr, 0);
    });
    ::munmap(page, 4096);
}

BOOST_AUTO_TEST_CASE(other_system_calls_are_as_their_functions) {
    weft::run([] {
        auto pipe = support::pipe_pair();
        std::array<char, 8> buffer{};
        auto writer = weft::spawn([&] { BOOST_TEST(::syscall(SYS_write, pipe[1].get(), "raw", 3) == 3); });
        BOOST_TEST(::syscall(SYS_read, pipe[0].get(), buffer.data(), buffer.size()) == 3);
        timespec const time{.tv_sec = 0, .tv_nsec = 1'000'000};
        int beats = 0;
        auto other = weft::spawn([&] { ++beats; });
        BOOST_TEST(::syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time, nullptr) == 0);
        BOOST_TEST(beats == 1);
        BOOST_TEST(::syscall(SYS_clock_nanosleep, 12345, 0, &time, nullptr) == -1);
        BOOST_TEST(errno == EINVAL);
        BOOST_TEST(::syscall(SYS_gettid) == ::gettid());
        BOOST_TEST(::syscall(-1) == -1);
        BOOST_TEST(errno == ENOSYS);
    });
}
