// The patched pthread locks: fibers own them and wait for them, beside plain threads.
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <threads.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/clock.hpp>
#include <weft/fiber.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

#include "support/options.hpp"
#include "support/seed.hpp"

namespace {

using namespace std::chrono_literals;
using support::with_workers;

timespec from_now(clockid_t clock, long milliseconds) {
    timespec when{};
    ::clock_gettime(clock, &when);
    when.tv_nsec += milliseconds % 1000 * 1'000'000;
    when.tv_sec += milliseconds / 1000 + when.tv_nsec / 1'000'000'000;
    when.tv_nsec %= 1'000'000'000;
    return when;
}

struct mutex_of {
    explicit mutex_of(int type) {
        pthread_mutexattr_t attributes;
        ::pthread_mutexattr_init(&attributes);
        ::pthread_mutexattr_settype(&attributes, type);
        ::pthread_mutex_init(&mutex, &attributes);
        ::pthread_mutexattr_destroy(&attributes);
    }
    mutex_of(mutex_of const&) = delete;
    mutex_of& operator=(mutex_of const&) = delete;
    ~mutex_of() { BOOST_TEST(::pthread_mutex_destroy(&mutex) == 0); }

    pthread_mutex_t mutex;
};

// Boost.Test's checks are for one thread at a time.
std::atomic<int> broken{0};

void must(bool holds, int line = __builtin_LINE()) {
    if (!holds && broken.fetch_add(1) < 10)
        std::fprintf(stderr, "line %d: does not hold\n", line);
}

// Runs `work(random)` on `fibers` fibers of each of two workers and on `threads` plain threads at once.
template <class Work> void run_everywhere(int fibers, int threads, Work work) {
    support::seeded seeds;
    std::vector<std::thread> plain;
    for (int i = 0; i < threads; ++i)
        plain.emplace_back([&work, seed = seeds.below(1U << 30)] {
            std::minstd_rand random(seed);
            work(random);
        });
    std::atomic<unsigned> next{seeds.below(1U << 30)};
    weft::run(
        [&] {
            for (std::size_t worker = 0; worker < weft::worker_count(); ++worker)
                weft::post(worker, [&, fibers] {
                    std::vector<weft::fiber<>> all;
                    for (int i = 0; i < fibers; ++i)
                        all.push_back(weft::spawn([&] {
                            std::minstd_rand random(next.fetch_add(1));
                            work(random);
                        }));
                });
        },
        with_workers(2));
    for (std::thread& each : plain)
        each.join();
    BOOST_TEST(broken.exchange(0) == 0);
}

} // namespace

// The fiber that holds the mutex sleeps: were its thread the owner, or blocked, nobody would ever go on.
BOOST_AUTO_TEST_CASE(a_mutex_is_held_across_waits) {
    for (int const type : {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK,
                           PTHREAD_MUTEX_ADAPTIVE_NP}) {
        mutex_of lock(type);
        int inside = 0;
        int most = 0;
        weft::run([&] {
            std::vector<weft::fiber<>> fibers;
            for (int i = 0; i < 20; ++i)
                fibers.push_back(weft::spawn([&] {
                    BOOST_TEST(::pthread_mutex_lock(&lock.mutex) == 0);
                    most = std::max(most, ++inside);
                    weft::this_fiber::yield();
                    ::usleep(100);
                    --inside;
                    BOOST_TEST(::pthread_mutex_unlock(&lock.mutex) == 0);
                }));
        });
        BOOST_TEST(most == 1);
    }
}

BOOST_AUTO_TEST_CASE(a_mutex_excludes_fibers_and_threads) {
    for (int const type : {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK}) {
        mutex_of lock(type);
        long count = 0; // guarded
        run_everywhere(20, 3, [&](std::minstd_rand& random) {
            for (int i = 0; i < 500; ++i) {
                if (random() % 8 == 0) {
                    timespec const soon = from_now(CLOCK_REALTIME, 10'000);
                    must(::pthread_mutex_timedlock(&lock.mutex, &soon) == 0);
                } else {
                    must(::pthread_mutex_lock(&lock.mutex) == 0);
                }
                long const seen = count;
                if (random() % 16 == 0)
                    ::sched_yield();
                count = seen + 1;
                must(::pthread_mutex_unlock(&lock.mutex) == 0);
            }
        });
        BOOST_TEST(count == (2 * 20 + 3) * 500);
    }
}

BOOST_AUTO_TEST_CASE(the_owner_is_the_fiber) {
    mutex_of recursive(PTHREAD_MUTEX_RECURSIVE);
    mutex_of checking(PTHREAD_MUTEX_ERRORCHECK);
    weft::run([&] {
        BOOST_TEST(::pthread_mutex_lock(&recursive.mutex) == 0);
        BOOST_TEST(::pthread_mutex_lock(&recursive.mutex) == 0);
        BOOST_TEST(::pthread_mutex_lock(&checking.mutex) == 0);
        BOOST_TEST(::pthread_mutex_lock(&checking.mutex) == EDEADLK);
        weft::spawn([&] {
            BOOST_TEST(::pthread_mutex_trylock(&recursive.mutex) == EBUSY);
            BOOST_TEST(::pthread_mutex_unlock(&recursive.mutex) == EPERM);
            BOOST_TEST(::pthread_mutex_trylock(&checking.mutex) == EBUSY);
            BOOST_TEST(::pthread_mutex_unlock(&checking.mutex) == EPERM);
            timespec const soon = from_now(CLOCK_REALTIME, 5);
            BOOST_TEST(::pthread_mutex_timedlock(&checking.mutex, &soon) == ETIMEDOUT);
            timespec const nonsense{.tv_sec = 0, .tv_nsec = -1};
            BOOST_TEST(::pthread_mutex_timedlock(&checking.mutex, &nonsense) == EINVAL);
            timespec const monotonic = from_now(CLOCK_MONOTONIC, 5);
            BOOST_TEST(::pthread_mutex_clocklock(&checking.mutex, CLOCK_MONOTONIC, &monotonic) == ETIMEDOUT);
        }).join();
        BOOST_TEST(::pthread_mutex_destroy(&recursive.mutex) == EBUSY);
        BOOST_TEST(::pthread_mutex_unlock(&recursive.mutex) == 0);
        BOOST_TEST(::pthread_mutex_unlock(&recursive.mutex) == 0);
        BOOST_TEST(::pthread_mutex_unlock(&recursive.mutex) == EPERM);
        BOOST_TEST(::pthread_mutex_unlock(&checking.mutex) == 0);
    });
}

// libc's own: no list of ours knows who waits, but the fiber waits, not the worker.
BOOST_AUTO_TEST_CASE(a_shared_mutex_is_waited_for_without_blocking) {
    pthread_mutexattr_t attributes;
    pthread_mutex_t mutex;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    ::pthread_mutex_init(&mutex, &attributes);
    weft::run([&] {
        weft::semaphore locked(0);
        weft::semaphore let_go(0);
        std::thread holder([&] {
            ::pthread_mutex_lock(&mutex);
            locked.release();
            let_go.acquire();
            ::pthread_mutex_unlock(&mutex);
        });
        locked.acquire();
        auto heart = weft::spawn([&] { // runs only if main's wait lets it
            for (int beat = 0; beat < 3; ++beat)
                ::usleep(1000);
            let_go.release();
        });
        BOOST_TEST(::pthread_mutex_lock(&mutex) == 0);
        BOOST_TEST(::pthread_mutex_unlock(&mutex) == 0);
        holder.join();
    });
    ::pthread_mutex_destroy(&mutex);
}

// A queue of at most four, with producers and consumers of both kinds: every signal counts.
BOOST_AUTO_TEST_CASE(condition_variables_pass_everything_on) {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<long> queue;
    long sent = 0;
    long received = 0;
    std::atomic<int> roles{0};
    constexpr int each = 300;
    run_everywhere(10, 4, [&](std::minstd_rand& random) {
        bool const produces = roles++ % 2 == 0;
        for (int i = 0; i < each; ++i) {
            std::unique_lock lock(mutex);
            if (produces) {
                changed.wait(lock, [&] { return queue.size() < 4; });
                queue.push_back(static_cast<long>(random() % 1000));
                sent += queue.back();
            } else {
                while (!changed.wait_for(lock, 10s, [&] { return !queue.empty(); })) {
                }
                received += queue.back();
                queue.pop_back();
            }
            changed.notify_all();
        }
    });
    BOOST_TEST(queue.empty());
    BOOST_TEST(sent == received);
}

BOOST_AUTO_TEST_CASE(a_signal_wakes_one_and_a_broadcast_all) {
    weft::run([] {
        std::mutex mutex;
        std::condition_variable changed;
        int tickets = 0;
        int awake = 0;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 10; ++i)
            fibers.push_back(weft::spawn([&] {
                std::unique_lock lock(mutex);
                changed.wait(lock, [&] { return tickets > 0; });
                --tickets;
                ++awake;
            }));
        weft::this_fiber::yield();
        for (int i = 1; i <= 3; ++i) {
            {
                std::scoped_lock const lock(mutex);
                ++tickets;
            }
            changed.notify_one();
            while (awake < i)
                weft::this_fiber::yield();
            BOOST_TEST(awake == i);
        }
        {
            std::scoped_lock const lock(mutex);
            tickets = 100;
        }
        changed.notify_all();
        fibers.clear();
        BOOST_TEST(awake == 10);
    });
}

BOOST_AUTO_TEST_CASE(a_condition_wait_ends_in_time_by_either_clock) {
    weft::run([] {
        for (clockid_t const clock : {CLOCK_REALTIME, CLOCK_MONOTONIC}) {
            pthread_condattr_t attributes;
            pthread_cond_t condition;
            pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
            ::pthread_condattr_init(&attributes);
            ::pthread_condattr_setclock(&attributes, clock);
            ::pthread_cond_init(&condition, &attributes);
            ::pthread_mutex_lock(&mutex);
            auto const start = weft::clock::now();
            timespec const when = from_now(clock, 20);
            BOOST_TEST(::pthread_cond_timedwait(&condition, &mutex, &when) == ETIMEDOUT);
            BOOST_TEST((weft::clock::now() - start >= 19ms));
            BOOST_TEST((weft::clock::now() - start < 5s));
            BOOST_TEST(::pthread_mutex_unlock(&mutex) == 0);
            BOOST_TEST(::pthread_cond_destroy(&condition) == 0);
        }
    });
}

// What POSIX demands of a cancellation point: the mutex is held again when the clean-up runs, and no signal is lost.
BOOST_AUTO_TEST_CASE(a_cancelled_thread_leaves_its_wait_in_order) {
    struct shared {
        pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
        bool waiting = false;
        bool cleaned = false;
    } state;
    pthread_t thread{};
    ::pthread_create(
        &thread, nullptr,
        [](void* argument) -> void* {
            auto* const all = static_cast<shared*>(argument);
            ::pthread_mutex_lock(&all->mutex);
            all->waiting = true;
            pthread_cleanup_push(
                [](void* given) {
                    auto* const mine = static_cast<shared*>(given);
                    mine->cleaned = true;
                    ::pthread_mutex_unlock(&mine->mutex);
                },
                all);
            for (;;)
                ::pthread_cond_wait(&all->condition, &all->mutex);
            pthread_cleanup_pop(1);
            return nullptr;
        },
        &state);
    weft::run([&] {
        for (bool waits = false; !waits; ::usleep(100)) {
            ::pthread_mutex_lock(&state.mutex); // only while it waits
            waits = state.waiting;
            ::pthread_mutex_unlock(&state.mutex);
        }
        ::pthread_cancel(thread);
        void* result = nullptr;
        BOOST_TEST(::pthread_join(thread, &result) == 0); // on a fiber
        BOOST_TEST(result == PTHREAD_CANCELED);
        BOOST_TEST(state.cleaned);
        BOOST_TEST(::pthread_mutex_trylock(&state.mutex) == 0);
        ::pthread_mutex_unlock(&state.mutex);
    });
}

BOOST_AUTO_TEST_CASE(readers_share_and_writers_exclude) {
    for (int const preference :
         {PTHREAD_RWLOCK_PREFER_READER_NP, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP}) {
        pthread_rwlockattr_t attributes;
        pthread_rwlock_t lock;
        ::pthread_rwlockattr_init(&attributes);
        ::pthread_rwlockattr_setkind_np(&attributes, preference);
        ::pthread_rwlock_init(&lock, &attributes);
        std::atomic<int> readers{0};
        std::atomic<int> writers{0};
        long written = 0;
        run_everywhere(15, 3, [&](std::minstd_rand& random) {
            for (int i = 0; i < 200; ++i) {
                if (random() % 4 == 0) {
                    timespec const soon = from_now(CLOCK_REALTIME, 1);
                    int const result = random() % 2 == 0 ? ::pthread_rwlock_wrlock(&lock)
                                                         : ::pthread_rwlock_timedwrlock(&lock, &soon);
                    if (result == ETIMEDOUT)
                        continue;
                    must(result == 0);
                    must(writers.fetch_add(1) == 0);
                    must(readers.load() == 0);
                    ++written;
                    if (random() % 4 == 0)
                        ::sched_yield();
                    writers.fetch_sub(1);
                } else {
                    must(::pthread_rwlock_rdlock(&lock) == 0);
                    readers.fetch_add(1);
                    must(writers.load() == 0);
                    if (random() % 4 == 0)
                        ::sched_yield();
                    readers.fetch_sub(1);
                }
                must(::pthread_rwlock_unlock(&lock) == 0);
            }
        });
        BOOST_TEST(written > 0);
        BOOST_TEST(::pthread_rwlock_trywrlock(&lock) == 0);
        weft::run([&] {
            BOOST_TEST(::pthread_rwlock_tryrdlock(&lock) == EBUSY);
            timespec const soon = from_now(CLOCK_MONOTONIC, 5);
            weft::spawn([&] {
                BOOST_TEST(::pthread_rwlock_clockrdlock(&lock, CLOCK_MONOTONIC, &soon) == ETIMEDOUT);
            }).join();
        });
        BOOST_TEST(::pthread_rwlock_wrlock(&lock) == EDEADLK);
        BOOST_TEST(::pthread_rwlock_unlock(&lock) == 0);
        BOOST_TEST(::pthread_rwlock_destroy(&lock) == 0);
    }
}

// Readers that a waiting writer keeps out get in when it gives up.
BOOST_AUTO_TEST_CASE(a_writer_that_gives_up_lets_readers_in) {
    weft::run([] {
        pthread_rwlock_t lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
        BOOST_TEST(::pthread_rwlock_rdlock(&lock) == 0);
        timespec const soon = from_now(CLOCK_REALTIME, 20);
        auto writer =
            weft::spawn([&] { BOOST_TEST(::pthread_rwlock_timedwrlock(&lock, &soon) == ETIMEDOUT); });
        weft::this_fiber::yield();
        auto reader = weft::spawn([&] {
            BOOST_TEST(::pthread_rwlock_tryrdlock(&lock) == EBUSY);
            BOOST_TEST(::pthread_rwlock_rdlock(&lock) == 0);
            BOOST_TEST(::pthread_rwlock_unlock(&lock) == 0);
        });
        writer.join();
        reader.join();
        BOOST_TEST(::pthread_rwlock_unlock(&lock) == 0);
    });
}

BOOST_AUTO_TEST_CASE(semaphores_count) {
    sem_t semaphore;
    ::sem_init(&semaphore, 0, 3);
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    run_everywhere(20, 3, [&](std::minstd_rand& random) {
        for (int i = 0; i < 200; ++i) {
            timespec const soon = from_now(CLOCK_REALTIME, 1);
            int const result =
                random() % 4 == 0 ? ::sem_timedwait(&semaphore, &soon) : ::sem_wait(&semaphore);
            if (result != 0) {
                must(errno == ETIMEDOUT);
                continue;
            }
            int const now = inside.fetch_add(1) + 1;
            for (int seen = most.load(); seen < now && !most.compare_exchange_weak(seen, now);) {
            }
            if (random() % 4 == 0)
                ::sched_yield();
            inside.fetch_sub(1);
            must(::sem_post(&semaphore) == 0);
        }
    });
    int value = 0;
    ::sem_getvalue(&semaphore, &value);
    BOOST_TEST(value == 3);
    BOOST_TEST(most.load() <= 3);
    ::sem_destroy(&semaphore);
}

namespace {

sem_t posted;

} // namespace

// sem_post() is the one call with which a handler may wake somebody.
BOOST_AUTO_TEST_CASE(a_handler_posts_what_a_fiber_waits_for) {
    ::sem_init(&posted, 0, 0);
    struct sigaction action {};
    struct sigaction previous {};
    action.sa_handler = [](int) { ::sem_post(&posted); };
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGUSR1, &action, &previous);
    weft::run([] {
        for (int i = 0; i < 1000; ++i) {
            auto waiting = weft::spawn([] { BOOST_TEST(::sem_wait(&posted) == 0); });
            if (i % 2 == 0)
                weft::this_fiber::yield();
            ::raise(SIGUSR1);
        }
    });
    ::sigaction(SIGUSR1, &previous, nullptr);
    ::sem_destroy(&posted);
}

BOOST_AUTO_TEST_CASE(barriers_let_everyone_go_together) {
    pthread_barrier_t barrier;
    ::pthread_barrier_init(&barrier, nullptr, 2 * 5 + 2);
    std::array<std::atomic<int>, 50> arrived{};
    std::atomic<int> serial{0};
    run_everywhere(5, 2, [&](std::minstd_rand&) {
        for (auto& round : arrived) {
            round.fetch_add(1);
            // NOLINTNEXTLINE(bugprone-posix-return): it is negative
            if (::pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
                serial.fetch_add(1);
            must(round.load() == 2 * 5 + 2);
        }
    });
    BOOST_TEST(serial.load() == 50);
    BOOST_TEST(::pthread_barrier_destroy(&barrier) == 0);
}

namespace {

std::atomic<int> initialized{0};

struct slow {
    slow() {
        ::usleep(1000); // other fibers come here meanwhile
        initialized.fetch_add(1);
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(initialization_happens_once_though_it_waits) {
    static pthread_once_t control = PTHREAD_ONCE_INIT;
    std::once_flag flag;
    std::atomic<int> attempts{0};
    initialized = 0;
    run_everywhere(10, 2, [&](std::minstd_rand&) {
        ::pthread_once(&control, [] {
            ::usleep(1000);
            initialized.fetch_add(1);
        });
        try {
            std::call_once(flag, [&] {
                ::sched_yield();
                if (attempts.fetch_add(1) < 2)
                    throw std::runtime_error("not yet");
                initialized.fetch_add(1);
            });
        } catch (std::runtime_error const&) {
        }
        static slow const value;
        static_cast<void>(value);
    });
    BOOST_TEST(initialized.load() == 3);
    BOOST_TEST(attempts.load() == 3);
}

BOOST_AUTO_TEST_CASE(a_fiber_joins_threads_without_blocking_the_others) {
    weft::run([] {
        std::vector<weft::fiber<>> fibers;
        auto const start = weft::clock::now();
        for (int i = 0; i < 20; ++i)
            fibers.push_back(weft::spawn([] {
                std::thread sleeper([] { ::usleep(100'000); });
                sleeper.join();
            }));
        fibers.clear();
        BOOST_TEST((weft::clock::now() - start < 1500ms));

        pthread_t thread{};
        std::atomic<bool> end{false};
        ::pthread_create(
            &thread, nullptr,
            [](void* argument) -> void* {
                while (!static_cast<std::atomic<bool>*>(argument)->load())
                    ::usleep(100);
                return nullptr;
            },
            &end);
        timespec const soon = from_now(CLOCK_REALTIME, 5);
        BOOST_TEST(::pthread_timedjoin_np(thread, nullptr, &soon) == ETIMEDOUT);
        end = true;
        BOOST_TEST(::pthread_join(thread, nullptr) == 0);
    });
}

BOOST_AUTO_TEST_CASE(a_shared_barrier_is_waited_for_without_blocking) {
    pthread_barrierattr_t attributes;
    pthread_barrier_t barrier;
    ::pthread_barrierattr_init(&attributes);
    ::pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_barrier_init(&barrier, &attributes, 3);
    weft::run([&] {
        int serial = 0;
        auto const arrive = [&] {
            int const result = ::pthread_barrier_wait(&barrier);
            serial += result == PTHREAD_BARRIER_SERIAL_THREAD ? 1 : 0;
        };
        auto one = weft::spawn(arrive);
        auto two = weft::spawn(arrive);
        arrive();
        one.join();
        two.join();
        BOOST_TEST(serial == 1);
    });
    ::pthread_barrier_destroy(&barrier);
}

BOOST_AUTO_TEST_CASE(c11_locks_are_patched_too) {
    weft::run([] {
        mtx_t mutex;
        cnd_t condition;
        BOOST_TEST(::mtx_init(&mutex, mtx_timed | mtx_recursive) == thrd_success);
        BOOST_TEST(::cnd_init(&condition) == thrd_success);
        bool ready = false;
        weft::semaphore gave_up(0);
        BOOST_TEST(::mtx_lock(&mutex) == thrd_success);
        auto other = weft::spawn([&] {
            BOOST_TEST(::mtx_trylock(&mutex) == thrd_busy);
            timespec const soon = from_now(CLOCK_REALTIME, 5);
            BOOST_TEST(::mtx_timedlock(&mutex, &soon) == thrd_timedout);
            gave_up.release();
            BOOST_TEST(::mtx_lock(&mutex) == thrd_success);
            ready = true;
            BOOST_TEST(::cnd_signal(&condition) == thrd_success);
            BOOST_TEST(::mtx_unlock(&mutex) == thrd_success);
        });
        gave_up.acquire();
        while (!ready)
            BOOST_TEST(::cnd_wait(&condition, &mutex) == thrd_success);
        BOOST_TEST(::mtx_unlock(&mutex) == thrd_success);
        other.join();
        ::cnd_destroy(&condition);
        ::mtx_destroy(&mutex);
    });
}

BOOST_AUTO_TEST_CASE(shared_mutexes_of_the_standard_library_work) {
    weft::run([] {
        std::shared_timed_mutex mutex;
        std::vector<weft::fiber<>> fibers;
        int readers = 0;
        int most = 0;
        for (int i = 0; i < 10; ++i)
            fibers.push_back(weft::spawn([&] {
                std::shared_lock const lock(mutex);
                most = std::max(most, ++readers);
                ::usleep(1000);
                --readers;
            }));
        weft::this_fiber::yield();
        {
            std::unique_lock const lock(mutex);
            BOOST_TEST(readers == 0);
        }
        fibers.clear();
        BOOST_TEST(most == 10);
    });
}
