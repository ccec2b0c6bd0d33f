// pthread's locks, and C11's: every type of mutex used rightly and wrongly, read-write locks, conditions, semaphores, barriers,
// once, and joining; with time limits of every kind.
//
// Left out, as libc itself crashes or does as it likes there: locks that are destroyed or not initialized, null pointers, and the
// unlocking of normal mutexes by who doesn't own them.
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <threads.h>
#include <unistd.h>

#include <climits>
#include <ctime>
#include <mutex>
#include <string>

#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;
using namespace std::chrono_literals;

namespace {

timespec later(clockid_t clock, long milliseconds) {
    timespec now{};
    clock_gettime(clock, &now);
    now.tv_nsec += milliseconds * 1'000'000;
    now.tv_sec += now.tv_nsec / 1'000'000'000;
    now.tv_nsec %= 1'000'000'000;
    return now;
}

timespec const bad_times[] = {{0, -1}, {0, 1'000'000'000}, {LONG_MAX, 1'000'000'000}};
timespec const times_that_are_over[] = {{0, 0}, {-1, 0}, {LONG_MIN, 0}, {1, 999'999'999}};

struct mutex_of {
    explicit mutex_of(int type, int protocol = PTHREAD_PRIO_NONE, int robust = PTHREAD_MUTEX_STALLED,
                      int shared = PTHREAD_PROCESS_PRIVATE) {
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_settype(&attributes, type);
        pthread_mutexattr_setprotocol(&attributes, protocol);
        pthread_mutexattr_setrobust(&attributes, robust);
        pthread_mutexattr_setpshared(&attributes, shared);
        REQUIRE(pthread_mutex_init(&lock, &attributes) == 0);
    }
    pthread_mutex_t* operator&() {
        return &lock;
    } // NOLINT(google-runtime-operator): stands for what it holds
    pthread_mutex_t lock{};
};

// Held by another thread until the case waits.
template <class Lock, class Unlock> class held_by_another {
public:
    held_by_another(Lock lock, Unlock unlock)
        : thread_([=, this] {
              lock();
              held_ = true;
              until_case_waits();
              unlock();
          }) {
        while (!held_)
            let_others_run();
    }

private:
    std::atomic<bool> held_{false};
    other_side thread_;
};

// The only one of barriers' results that is negative.
bool is_serial(int result) { return result == PTHREAD_BARRIER_SERIAL_THREAD; }

constexpr int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK,
                         PTHREAD_MUTEX_ADAPTIVE_NP};

void use_mutex(pthread_mutex_t* mutex, bool may_relock) {
    TELL_CODE(pthread_mutex_lock(mutex));
    TELL_CODE(pthread_mutex_trylock(mutex));
    timespec const when = later(CLOCK_REALTIME, 20);
    stopwatch const time;
    int code = 0;
    TELL_CODE(code = pthread_mutex_timedlock(mutex, &when));
    if (code == ETIMEDOUT)
        TELL_FACT(time.at_least(19ms));
    TELL_CODE(pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &times_that_are_over[0]));
    for (timespec const& each : bad_times)
        TELL_CODE(pthread_mutex_timedlock(mutex, &each));
    for (timespec const& each : times_that_are_over)
        TELL_CODE(pthread_mutex_timedlock(mutex, &each));
    TELL_CODE(pthread_mutex_clocklock(mutex, CLOCK_BOOTTIME, &when));
    TELL_CODE(pthread_mutex_clocklock(mutex, 77, &when));
    if (may_relock)
        TELL_CODE(pthread_mutex_lock(mutex));
    int unlocked = 0;
    while (unlocked < 20 && pthread_mutex_unlock(mutex) == 0) {
        ++unlocked;
        if (!may_relock)
            break;
    }
    TELL(unlocked);
    // Free: a bad time is nobody's business.
    for (timespec const& each : bad_times) {
        TELL_CODE(pthread_mutex_timedlock(mutex, &each));
        TELL_CODE(pthread_mutex_unlock(mutex));
    }
    TELL_CODE(pthread_mutex_clocklock(mutex, 77, &times_that_are_over[0]));
    TELL_CODE(pthread_mutex_trylock(mutex));
    TELL_CODE(pthread_mutex_unlock(mutex));
}

void wait_for_mutex(pthread_mutex_t* mutex) {
    auto const lock = [mutex] { pthread_mutex_lock(mutex); };
    auto const unlock = [mutex] { pthread_mutex_unlock(mutex); };
    {
        held_by_another const holder(lock, unlock);
        TELL_CODE(pthread_mutex_trylock(mutex));
        TELL_CODE(pthread_mutex_timedlock(mutex, &times_that_are_over[0]));
        TELL_CODE(pthread_mutex_timedlock(mutex, &bad_times[0]));
        about_to_wait();
        TELL_CODE(pthread_mutex_lock(mutex));
    }
    TELL_CODE(pthread_mutex_unlock(mutex));
    timespec const when = later(CLOCK_MONOTONIC, 5000);
    {
        held_by_another const holder(lock, unlock);
        about_to_wait();
        TELL_CODE(pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &when));
    }
    TELL_CODE(pthread_mutex_unlock(mutex));
}

} // namespace

CORNER_CASE(normal_mutex, .parks = 3) {
    mutex_of mutex(PTHREAD_MUTEX_NORMAL);
    use_mutex(&mutex, false);
    wait_for_mutex(&mutex);
    TELL_CODE(pthread_mutex_destroy(&mutex));
}
CORNER_CASE(recursive_mutex, .parks = 2) {
    mutex_of mutex(PTHREAD_MUTEX_RECURSIVE);
    use_mutex(&mutex, true);
    wait_for_mutex(&mutex);
    TELL_CODE(pthread_mutex_unlock(&mutex));
    TELL_CODE(pthread_mutex_lock(&mutex));
    TELL_CODE(pthread_mutex_destroy(&mutex));
}
CORNER_CASE(checking_mutex, .parks = 2) {
    mutex_of mutex(PTHREAD_MUTEX_ERRORCHECK);
    use_mutex(&mutex, true);
    wait_for_mutex(&mutex);
    TELL_CODE(pthread_mutex_unlock(&mutex));
    held_by_another const holder([&mutex] { pthread_mutex_lock(&mutex); },
                                 [&mutex] { pthread_mutex_unlock(&mutex); });
    TELL_CODE(pthread_mutex_unlock(&mutex));
    about_to_wait();
    TELL_CODE(pthread_mutex_lock(&mutex));
}
CORNER_CASE(adaptive_mutex, .parks = 3) {
    mutex_of mutex(PTHREAD_MUTEX_ADAPTIVE_NP);
    use_mutex(&mutex, false);
    wait_for_mutex(&mutex);
}
CORNER_CASE(shared_mutex, .parks = 2) {
    mutex_of mutex(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED,
                   PTHREAD_PROCESS_SHARED);
    TELL_CODE(pthread_mutex_lock(&mutex));
    TELL_CODE(pthread_mutex_trylock(&mutex));
    timespec const when = later(CLOCK_REALTIME, 20);
    TELL_CODE(pthread_mutex_timedlock(&mutex, &when));
    TELL_CODE(pthread_mutex_unlock(&mutex));
    TELL_CODE(pthread_mutex_unlock(&mutex));
    wait_for_mutex(&mutex);
}
CORNER_CASE(robust_mutexes, .parks = 2) {
    for (int const type : types) {
        mutex_of mutex(type, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST);
        use_mutex(&mutex, type == PTHREAD_MUTEX_RECURSIVE);
        wait_for_mutex(&mutex);
        {
            other_side const owner([&mutex] { pthread_mutex_lock(&mutex); });
        }
        // Its owner's thread is about to end.
        int code = 0;
        timespec const when = later(CLOCK_REALTIME, 5000);
        TELL_CODE(code = pthread_mutex_timedlock(&mutex, &when));
        TELL_CODE(pthread_mutex_unlock(&mutex));
        TELL_CODE(pthread_mutex_lock(&mutex));
    }
}
CORNER_CASE(inheriting_mutexes, .parks = 2) {
    for (int const type : types) {
        mutex_of mutex(type, PTHREAD_PRIO_INHERIT);
        wait_for_mutex(&mutex);
    }
    mutex_of mutex(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_INHERIT);
    TELL_CODE(pthread_mutex_lock(&mutex));
    timespec const when = later(CLOCK_REALTIME, 20);
    TELL_CODE(pthread_mutex_timedlock(&mutex, &when));
    TELL_CODE(pthread_mutex_unlock(&mutex));
    TELL_CODE(pthread_mutex_unlock(&mutex));
}

CORNER_CASE(read_write_locks, .parks = 5) {
    pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    TELL_CODE(pthread_rwlock_rdlock(&lock));
    TELL_CODE(pthread_rwlock_rdlock(&lock));
    TELL_CODE(pthread_rwlock_tryrdlock(&lock));
    TELL_CODE(pthread_rwlock_trywrlock(&lock));
    timespec when = later(CLOCK_REALTIME, 20);
    TELL_CODE(pthread_rwlock_timedwrlock(&lock, &when));
    for (timespec const& each : bad_times) {
        TELL_CODE(pthread_rwlock_timedwrlock(&lock, &each));
        TELL_CODE(pthread_rwlock_timedrdlock(&lock, &each));
    }
    for (timespec const& each : times_that_are_over)
        TELL_CODE(pthread_rwlock_timedwrlock(&lock, &each));
    TELL_CODE(pthread_rwlock_clockwrlock(&lock, CLOCK_BOOTTIME, &when));
    TELL_CODE(pthread_rwlock_clockrdlock(&lock, 77, &when));
    TELL_CODE(pthread_rwlock_unlock(&lock));
    TELL_CODE(pthread_rwlock_unlock(&lock));
    TELL_CODE(pthread_rwlock_unlock(&lock));
    TELL_CODE(pthread_rwlock_wrlock(&lock));
    TELL_CODE(pthread_rwlock_wrlock(&lock));
    TELL_CODE(pthread_rwlock_rdlock(&lock));
    TELL_CODE(pthread_rwlock_tryrdlock(&lock));
    TELL_CODE(pthread_rwlock_trywrlock(&lock));
    when = later(CLOCK_REALTIME, 20);
    TELL_CODE(pthread_rwlock_timedrdlock(&lock, &when));
    TELL_CODE(pthread_rwlock_timedwrlock(&lock, &when));
    TELL_CODE(pthread_rwlock_unlock(&lock));
    auto const unlock = [&lock] { pthread_rwlock_unlock(&lock); };
    for (bool const writes : {true, false}) {
        held_by_another const writer([&lock] { pthread_rwlock_wrlock(&lock); }, unlock);
        about_to_wait();
        TELL_CODE(writes ? pthread_rwlock_wrlock(&lock) : pthread_rwlock_rdlock(&lock));
        unlock();
    }
    when = later(CLOCK_MONOTONIC, 5000);
    for (bool const writes : {true, false}) {
        held_by_another const writer([&lock] { pthread_rwlock_wrlock(&lock); }, unlock);
        about_to_wait();
        TELL_CODE(writes ? pthread_rwlock_clockwrlock(&lock, CLOCK_MONOTONIC, &when)
                         : pthread_rwlock_clockrdlock(&lock, CLOCK_MONOTONIC, &when));
        unlock();
    }
    held_by_another const reader([&lock] { pthread_rwlock_rdlock(&lock); }, unlock);
    TELL_CODE(pthread_rwlock_tryrdlock(&lock));
    unlock();
    about_to_wait();
    TELL_CODE(pthread_rwlock_wrlock(&lock));
}

CORNER_CASE(conditions, .parks = 6) {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    TELL_CODE(pthread_cond_signal(&condition));
    TELL_CODE(pthread_cond_broadcast(&condition));
    TELL_CODE(pthread_mutex_lock(&mutex));
    timespec when = later(CLOCK_REALTIME, 20);
    stopwatch const time;
    TELL_CODE(pthread_cond_timedwait(&condition, &mutex, &when));
    TELL_FACT(time.at_least(19ms));
    TELL_CODE(pthread_mutex_trylock(&mutex));
    for (timespec const& each : bad_times)
        TELL_CODE(pthread_cond_timedwait(&condition, &mutex, &each));
    for (timespec const& each : times_that_are_over)
        TELL_CODE(pthread_cond_timedwait(&condition, &mutex, &each));
    TELL_CODE(pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &times_that_are_over[0]));
    TELL_CODE(pthread_cond_clockwait(&condition, &mutex, CLOCK_BOOTTIME, &when));
    TELL_CODE(pthread_cond_clockwait(&condition, &mutex, 77, &when));
    when = later(CLOCK_MONOTONIC, 20);
    TELL_CODE(pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &when));
    TELL_CODE(pthread_mutex_trylock(&mutex));
    other_side const signaller([&] {
        until_case_waits();
        pthread_cond_signal(&condition);
        until_case_waits();
        pthread_mutex_lock(&mutex);
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
        until_case_waits();
        pthread_cond_signal(&condition);
    });
    about_to_wait();
    TELL_CODE(pthread_cond_wait(&condition, &mutex));
    about_to_wait();
    TELL_CODE(pthread_cond_wait(&condition, &mutex));
    when = later(CLOCK_REALTIME, 5000);
    about_to_wait();
    TELL_CODE(pthread_cond_timedwait(&condition, &mutex, &when));
    TELL_CODE(pthread_mutex_unlock(&mutex));
    TELL_CODE(pthread_cond_destroy(&condition));
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_t by_monotonic;
    pthread_cond_init(&by_monotonic, &attributes);
    pthread_mutex_lock(&mutex);
    when = later(CLOCK_MONOTONIC, 20);
    TELL_CODE(pthread_cond_timedwait(&by_monotonic, &mutex, &when));
    pthread_mutex_unlock(&mutex);
}

CORNER_CASE(conditions_with_other_mutexes, .parks = 2) {
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    mutex_of checking(PTHREAD_MUTEX_ERRORCHECK);
    TELL_CODE(pthread_cond_wait(&condition, &checking));
    timespec when = later(CLOCK_REALTIME, 20);
    TELL_CODE(pthread_cond_timedwait(&condition, &checking, &when));
    mutex_of recursive(PTHREAD_MUTEX_RECURSIVE);
    TELL_CODE(pthread_cond_timedwait(&condition, &recursive, &when));
    pthread_mutex_lock(&recursive);
    pthread_mutex_lock(&recursive);
    when = later(CLOCK_REALTIME, 20);
    TELL_CODE(pthread_cond_timedwait(&condition, &recursive, &when));
    TELL_CODE(pthread_mutex_unlock(&recursive));
    TELL_CODE(pthread_mutex_unlock(&recursive));
    TELL_CODE(pthread_mutex_unlock(&recursive));
    mutex_of robust(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_lock(&robust);
    when = later(CLOCK_REALTIME, 20);
    TELL_CODE(pthread_cond_timedwait(&condition, &robust, &when));
    TELL_CODE(pthread_mutex_unlock(&robust));
}

CORNER_CASE(semaphores, .parks = 5) {
    for (int const shared : {0, 1}) {
        sem_t semaphore;
        TELL(sem_init(&semaphore, shared, 1));
        TELL(sem_wait(&semaphore));
        TELL(sem_trywait(&semaphore));
        timespec when = later(CLOCK_REALTIME, 20);
        stopwatch const time;
        TELL(sem_timedwait(&semaphore, &when));
        TELL_FACT(time.at_least(19ms));
        for (timespec const& each : bad_times)
            TELL(sem_timedwait(&semaphore, &each));
        for (timespec const& each : times_that_are_over)
            TELL(sem_timedwait(&semaphore, &each));
        TELL(sem_clockwait(&semaphore, CLOCK_BOOTTIME, &when));
        TELL(sem_clockwait(&semaphore, 77, &when));
        when = later(CLOCK_MONOTONIC, 20);
        TELL(sem_clockwait(&semaphore, CLOCK_MONOTONIC, &when));
        other_side const poster([&semaphore] {
            until_case_waits();
            sem_post(&semaphore);
            until_case_waits();
            sem_post(&semaphore);
        });
        about_to_wait();
        TELL(sem_wait(&semaphore));
        when = later(CLOCK_REALTIME, 5000);
        about_to_wait();
        TELL(sem_timedwait(&semaphore, &when));
        sem_post(&semaphore);
        for (timespec const& each : bad_times) {
            TELL(sem_timedwait(&semaphore, &each));
            sem_trywait(&semaphore);
            sem_post(&semaphore);
        }
        int value = -1;
        TELL(sem_getvalue(&semaphore, &value));
        TELL(value);
        TELL(sem_destroy(&semaphore));
        TELL(sem_init(&semaphore, shared, UINT_MAX));
        TELL(sem_init(&semaphore, shared, SEM_VALUE_MAX));
        TELL(sem_post(&semaphore));
        TELL(sem_wait(&semaphore));
        TELL(sem_post(&semaphore));
    }
}

CORNER_CASE(named_semaphores, .parks = 1) {
    std::string const name = "/weft-corner-" + std::to_string(getpid());
    sem_t* const semaphore = sem_open(name.c_str(), O_CREAT | O_EXCL, 0600, 0);
    REQUIRE(semaphore != SEM_FAILED);
    sem_unlink(name.c_str());
    other_side const poster([semaphore] {
        until_case_waits();
        sem_post(semaphore);
    });
    about_to_wait();
    TELL(sem_wait(semaphore));
    TELL(sem_trywait(semaphore));
    TELL(sem_close(semaphore));
}

CORNER_CASE(barriers, .parks = 1) {
    pthread_barrier_t barrier;
    TELL_CODE(pthread_barrier_init(&barrier, nullptr, 0));
    TELL_CODE(pthread_barrier_init(&barrier, nullptr, UINT_MAX));
    TELL_CODE(pthread_barrier_init(&barrier, nullptr, 1));
    TELL_FACT(is_serial(pthread_barrier_wait(&barrier)));
    TELL_FACT(is_serial(pthread_barrier_wait(&barrier)));
    TELL_CODE(pthread_barrier_destroy(&barrier));
    TELL_CODE(pthread_barrier_init(&barrier, nullptr, 2));
    int serial = 0;
    {
        other_side const peer([&] {
            until_case_waits();
            serial += is_serial(pthread_barrier_wait(&barrier)) ? 1 : 0;
        });
        about_to_wait();
        bool const mine = is_serial(pthread_barrier_wait(&barrier));
        TELL_FACT(mine);
    }
    TELL(serial);
}

CORNER_CASE(once, .parks = 1) {
    static pthread_once_t control = PTHREAD_ONCE_INIT;
    static std::atomic<int> times{0};
    static std::atomic<bool> begun{false};
    other_side const first([] {
        pthread_once(&control, [] {
            begun = true;
            until_case_waits();
            times = times + 1;
        });
    });
    while (!begun)
        let_others_run();
    about_to_wait();
    TELL_CODE(pthread_once(&control, [] { times = times + 10; }));
    TELL(times.load());
    static std::once_flag flag;
    static int attempts = 0;
    for (int i = 0; i < 3; ++i) {
        try {
            std::call_once(flag, [] {
                if (++attempts == 1)
                    throw 1;
            });
            say("done");
        } catch (int) {
            say("failed");
        }
    }
    TELL(attempts);
    static once_flag c_flag = ONCE_FLAG_INIT;
    call_once(&c_flag, [] { attempts = 77; });
    call_once(&c_flag, [] { attempts = 78; });
    TELL(attempts);
}

CORNER_CASE(joining, .parks = 2) {
    auto const start = [](std::atomic<bool>* release) {
        pthread_t thread{};
        REQUIRE(pthread_create(
                    &thread, nullptr,
                    [](void* flag) -> void* {
                        while (!*static_cast<std::atomic<bool>*>(flag))
                            let_others_run();
                        return flag;
                    },
                    release) == 0);
        return thread;
    };
    TELL_CODE(pthread_join(pthread_self(), nullptr));
    timespec when = later(CLOCK_REALTIME, 20);
    TELL_CODE(pthread_timedjoin_np(pthread_self(), nullptr, &when));
    TELL_CODE(pthread_clockjoin_np(pthread_self(), nullptr, CLOCK_MONOTONIC, &when));
    std::atomic<bool> release{false};
    pthread_t const thread = start(&release);
    void* result = nullptr;
    TELL_CODE(pthread_tryjoin_np(thread, &result));
    when = later(CLOCK_REALTIME, 20);
    TELL_CODE(pthread_timedjoin_np(thread, &result, &when));
    // With times and clocks that make no sense, libc's own tries for ever.
    for (timespec const& each : times_that_are_over)
        TELL_CODE(pthread_timedjoin_np(thread, &result, &each));
    other_side const releaser([&release] {
        until_case_waits();
        release = true;
    });
    about_to_wait();
    TELL_CODE(pthread_join(thread, &result));
    TELL_FACT(result == &release);
    std::atomic<bool> at_once{true};
    pthread_t const other = start(&at_once);
    TELL_CODE(pthread_timedjoin_np(other, &result, nullptr));
    pthread_t const detached = start(&at_once);
    when = later(CLOCK_REALTIME, 20);
    std::atomic<bool> never{false};
    pthread_t const loose = start(&never);
    TELL_CODE(pthread_detach(loose));
    TELL_CODE(pthread_join(loose, nullptr));
    TELL_CODE(pthread_timedjoin_np(loose, nullptr, &when));
    TELL_CODE(pthread_join(detached, nullptr));
    never = true;
    thrd_t by_c{};
    TELL(thrd_create(
        &by_c, [](void*) { return 5; }, nullptr));
    int code = 0;
    TELL(thrd_join(by_c, &code));
    TELL(code);
}

CORNER_CASE(locks_of_c, .parks = 4) {
    for (int const type : {int{mtx_plain}, int{mtx_timed}, mtx_plain | mtx_recursive}) {
        mtx_t mutex;
        TELL(mtx_init(&mutex, type));
        TELL(mtx_lock(&mutex));
        TELL(mtx_trylock(&mutex));
        timespec const when = later(CLOCK_REALTIME, 20);
        TELL(mtx_timedlock(&mutex, &when));
        TELL(mtx_timedlock(&mutex, &bad_times[1]));
        TELL(mtx_timedlock(&mutex, &times_that_are_over[1]));
        TELL(mtx_unlock(&mutex));
        if ((type & mtx_recursive) != 0)
            while (mtx_unlock(&mutex) == thrd_success)
                continue;
        held_by_another const holder([&mutex] { mtx_lock(&mutex); }, [&mutex] { mtx_unlock(&mutex); });
        about_to_wait();
        TELL(mtx_lock(&mutex));
        mtx_unlock(&mutex);
    }
    mtx_t mutex;
    cnd_t condition;
    TELL(mtx_init(&mutex, mtx_plain));
    TELL(cnd_init(&condition));
    mtx_lock(&mutex);
    timespec const when = later(CLOCK_REALTIME, 20);
    TELL(cnd_timedwait(&condition, &mutex, &when));
    TELL(cnd_timedwait(&condition, &mutex, &bad_times[1]));
    other_side const signaller([&condition] {
        until_case_waits();
        cnd_signal(&condition);
    });
    about_to_wait();
    TELL(cnd_wait(&condition, &mutex));
    TELL(mtx_trylock(&mutex));
    TELL(cnd_broadcast(&condition));
    TELL(mtx_init(&mutex, 77));
}
