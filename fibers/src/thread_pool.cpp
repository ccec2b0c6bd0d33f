#include "thread_pool.hpp"

#include <pthread.h>

#include <cerrno>
#include <chrono>
#include <mutex>
#include <utility>

#include <weft/detail/helper_thread.hpp>

#include "futex.hpp"

namespace weft::detail {

// All pools, so that a fork leaves none with a lock taken.
struct pool_registry {
    std::mutex mutex;
    thread_pool* first = nullptr;

    void add(thread_pool& pool) {
        static std::once_flag once;
        std::call_once(once, [] {
            ::pthread_atfork(
                prepare, [] { release(false); }, [] { release(true); });
        });
        std::scoped_lock const lock(mutex);
        pool.next_pool_ = std::exchange(first, &pool);
    }

    void remove(thread_pool& pool) noexcept {
        std::scoped_lock const lock(mutex);
        thread_pool** link = &first;
        while (*link != &pool)
            link = &(*link)->next_pool_;
        *link = pool.next_pool_;
    }

    static pool_registry& all() {
        static auto* const made = new pool_registry; // never destroyed: pools may be at the very end
        return *made;
    }

    static void prepare() {
        all().mutex.lock();
        for (thread_pool* each = all().first; each != nullptr; each = each->next_pool_)
            each->lock_.lock();
    }

    static void release(bool in_child) {
        for (thread_pool* each = all().first; each != nullptr; each = each->next_pool_) {
            if (in_child)
                each->start_over();
            each->lock_.unlock();
        }
        all().mutex.unlock();
    }
};

namespace {

constexpr auto idle_time = std::chrono::seconds(5);

} // namespace

thread_pool::thread_pool(std::size_t most_threads, std::size_t stack) noexcept
    : most_threads_(most_threads), stack_(stack) {
    pool_registry::all().add(*this);
}

thread_pool::~thread_pool() {
    lock_.lock();
    ending_ = true;
    bool const threads = threads_ > 0;
    lock_.unlock();
    announce(INT_MAX);
    while (threads && gone_.load(std::memory_order_acquire) == 0)
        futex_wait(gone_, 0, never);
    // The last one may be on its way out of the lock.
    lock_.lock();
    lock_.unlock();
    pool_registry::all().remove(*this);
}

// None of the threads is in the child, and none of those that wait for their jobs.
void thread_pool::start_over() noexcept {
    first_ = last_ = nullptr;
    queued_ = idle_ = threads_ = 0;
    ++generation_;
}

void thread_pool::announce(int most) noexcept {
    announced_.fetch_add(1, std::memory_order_release);
    futex_wake(announced_, most);
}

void thread_pool::submit(pool_job& job) noexcept {
    job.next = nullptr;
    lock_.lock();
    (first_ != nullptr ? last_->next : first_) = &job;
    last_ = &job;
    ++queued_;
    bool const another = queued_ > idle_ && threads_ < most_threads_;
    if (another)
        ++threads_;
    lock_.unlock();
    if (another && !start_thread())
        thread_failed();
    announce(1);
}

bool thread_pool::withdraw(pool_job& job) noexcept {
    std::scoped_lock const lock(lock_);
    pool_job* before = nullptr;
    for (pool_job* each = first_; each != nullptr; before = std::exchange(each, each->next)) {
        if (each != &job)
            continue;
        (before != nullptr ? before->next : first_) = job.next;
        if (last_ == &job)
            last_ = before;
        --queued_;
        return true;
    }
    return false;
}

// Under lock_.
pool_job* thread_pool::take_first() noexcept {
    pool_job* const job = first_;
    if (job == nullptr)
        return nullptr;
    first_ = job->next;
    --queued_;
    return job;
}

void thread_pool::serve() noexcept {
    for (;;) {
        std::uint32_t const seen = announced_.load(std::memory_order_acquire);
        lock_.lock();
        if (pool_job* const job = take_first()) {
            lock_.unlock();
            job->make(*job);
            continue;
        }
        if (!ending_) {
            ++idle_;
            lock_.unlock();
            bool const timed_out =
                futex_wait(announced_, seen, clock::now() + idle_time) == -1 && errno == ETIMEDOUT;
            lock_.lock();
            --idle_;
            if (first_ != nullptr || !(timed_out || ending_)) {
                lock_.unlock();
                continue;
            }
        }
        if (--threads_ == 0 && ending_) {
            gone_.store(1, std::memory_order_release);
            futex_wake(gone_);
        }
        lock_.unlock();
        return;
    }
}

bool thread_pool::start_thread() noexcept {
    return start_helper(
        [](void* self) -> void* {
            static_cast<thread_pool*>(self)->serve();
            return nullptr;
        },
        this, stack_);
}

// The others will come to the queue; if there are none, the caller is the one that is left.
void thread_pool::thread_failed() noexcept {
    lock_.lock();
    --threads_;
    while (threads_ == 0) {
        pool_job* const job = take_first();
        if (job == nullptr)
            break;
        lock_.unlock();
        job->make(*job);
        lock_.lock();
    }
    lock_.unlock();
}

} // namespace weft::detail
