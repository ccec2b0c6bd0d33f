#include "lock_layouts.hpp"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "libc_function.hpp"

namespace weft::detail {
namespace {

constexpr libc_function<"pthread_mutex_lock", int(pthread_mutex_t*)> libc_mutex_lock;
constexpr libc_function<"pthread_mutex_unlock", int(pthread_mutex_t*)> libc_mutex_unlock;
constexpr libc_function<"pthread_rwlock_rdlock", int(pthread_rwlock_t*)> libc_read_lock;
constexpr libc_function<"pthread_rwlock_unlock", int(pthread_rwlock_t*)> libc_rwlock_unlock;
constexpr libc_function<"pthread_once", int(pthread_once_t*, void (*)())> libc_once;
constexpr libc_function<"sem_post", int(sem_t*)> libc_post;

template <class Word> Word word_at(void const* object, std::size_t index) noexcept {
    Word word{};
    std::memcpy(&word, static_cast<char const*>(object) + index * sizeof word, sizeof word);
    return word;
}

bool mutexes_are_known() noexcept {
    pthread_mutexattr_t attributes;
    pthread_mutex_t mutex;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    ::pthread_mutex_init(&mutex, &attributes);
    ::pthread_mutexattr_destroy(&attributes);
    libc_mutex_lock(&mutex);
    libc_mutex_lock(&mutex);
    bool const known = mutex.__data.__lock == 1 && mutex.__data.__count == 2 &&
                       mutex.__data.__owner == ::gettid() && mutex.__data.__kind == PTHREAD_MUTEX_RECURSIVE;
    libc_mutex_unlock(&mutex);
    libc_mutex_unlock(&mutex);
    bool const free = mutex.__data.__lock == 0 && mutex.__data.__owner == 0;
    ::pthread_mutex_destroy(&mutex);
    return known && free;
}

bool conditions_are_known() noexcept {
    pthread_condattr_t attributes;
    pthread_cond_t condition;
    ::pthread_condattr_init(&attributes);
    ::pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    ::pthread_condattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_cond_init(&condition, &attributes);
    ::pthread_condattr_destroy(&attributes);
    bool const known = condition.__data.__wrefs == 3;
    ::pthread_cond_destroy(&condition);
    return known;
}

bool rwlocks_are_known() noexcept {
    pthread_rwlockattr_t attributes;
    pthread_rwlock_t lock;
    ::pthread_rwlockattr_init(&attributes);
    ::pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    ::pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_rwlock_init(&lock, &attributes);
    ::pthread_rwlockattr_destroy(&attributes);
    libc_read_lock(&lock);
    bool const known = lock.__data.__shared != 0 && lock.__data.__readers != 0 &&
                       lock.__data.__flags == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
    libc_rwlock_unlock(&lock);
    ::pthread_rwlock_destroy(&lock);
    return known;
}

bool semaphores_are_known() noexcept {
    sem_t semaphore;
    ::sem_init(&semaphore, 1, 3);
    libc_post(&semaphore);
    bool const known = word_at<std::uint64_t>(&semaphore, 0) == 4 && word_at<int>(&semaphore, 2) != 0;
    ::sem_destroy(&semaphore);
    return known;
}

bool barriers_are_known() noexcept {
    pthread_barrier_t barrier;
    ::pthread_barrier_init(&barrier, nullptr, 7);
    bool const known = word_at<unsigned>(&barrier, 0) == 0 && word_at<unsigned>(&barrier, 2) == 7 &&
                       word_at<int>(&barrier, 3) == 0;
    ::pthread_barrier_destroy(&barrier);
    return known;
}

bool once_is_known() noexcept {
    pthread_once_t control = PTHREAD_ONCE_INIT;
    bool const is_new = control == 0;
    libc_once(&control, [] {});
    return is_new && control == 2;
}

} // namespace

char const* first_unknown_layout() noexcept {
    return !mutexes_are_known()      ? "pthread_mutex_t"
           : !conditions_are_known() ? "pthread_cond_t"
           : !rwlocks_are_known()    ? "pthread_rwlock_t"
           : !semaphores_are_known() ? "sem_t"
           : !barriers_are_known()   ? "pthread_barrier_t"
           : !once_is_known()        ? "pthread_once_t"
                                     : nullptr;
}

} // namespace weft::detail
