#include <algorithm>
#include <mutex>
#include <stdexcept>

#include <weft/cancel_scope.hpp>
#include <weft/detail/call_counts.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/detail/scope.hpp>
#include <weft/offload.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

#include "thread_pool.hpp"
#include "worker.hpp"

namespace weft {

// `places` are those of the threads and of the queue. A fork leaves the child without the calls that have them.
struct offload_pool::state {
    explicit state(options const& wanted)
        : all_places(wanted.threads + wanted.queue),
          name(wanted.name),
          places(std::make_unique<semaphore>(static_cast<std::ptrdiff_t>(all_places), name)),
          threads(wanted.threads, wanted.stack_size) {}

    semaphore& free_places() {
        if (generation != threads.generation()) {
            static_cast<void>(places.release()); // left alone: fibers that are gone seem to wait in it
            places = std::make_unique<semaphore>(static_cast<std::ptrdiff_t>(all_places), name);
            generation = threads.generation();
        }
        return *places;
    }

    std::size_t const all_places;
    char const* const name;
    std::uint64_t generation = 0;
    std::unique_ptr<semaphore> places;
    detail::thread_pool threads;
};

namespace {

constexpr std::size_t most_threads = 1024;
constexpr std::size_t most_places = 1'000'000;

offload_pool& default_pool() {
    static auto* const one = new offload_pool; // never destroyed: abandoned calls may outlive main()
    return *one;
}

} // namespace

offload_pool::offload_pool(options const& wanted)
    : state_([&wanted] {
          if (wanted.threads < 1 || wanted.threads > most_threads)
              throw std::invalid_argument("weft::offload_pool: options::threads must be from 1 to 1024");
          if (wanted.queue > most_places)
              throw std::invalid_argument("weft::offload_pool: options::queue must be at most 1000000");
          return std::make_unique<state>(wanted);
      }()) {}

// Whoever has a place is in a call; when all are free, nobody is.
offload_pool::~offload_pool() {
    detail::uncancellable const waiting;
    for (std::size_t i = 0; i < state_->all_places; ++i)
        state_->free_places().acquire();
}

namespace detail {

__thread offloaded_task* current_offload = nullptr;

offloaded_task::offloaded_task() : deadline_(this_fiber::deadline()) {
    std::string_view const name = this_fiber::name();
    *std::copy_n(name.data(), std::min(name.size(), sizeof name_ - 1), name_) = '\0';
}

void offloaded_task::make_on_thread() noexcept {
    current_offload = this;
    call();
    current_offload = nullptr;
    semaphore& places = *places_;
    if (stage_.exchange(stage::ended, std::memory_order_acq_rel) != stage::abandoned) {
        places.release();
        ended_.set(); // and it is gone
        return;
    }
    std::shared_ptr<worker_link> const abandoner = std::move(abandoner_);
    delete this;
    places.release();
    count_offloaded(-1);
    // Virtual time has stood still for this call; where all wait for time to pass, nothing else would tell them.
    std::scoped_lock const lock(abandoner->lock);
    if (abandoner->target != nullptr)
        abandoner->target->notify();
}

void make_elsewhere(std::unique_ptr<offloaded_task>& task, offload_options const& options) {
    if (current_fiber == nullptr) {
        task->call();
        return;
    }
    offload_pool::state& pool = *(options.pool != nullptr ? *options.pool : default_pool()).state_;
    semaphore& places = pool.free_places();
    places.acquire();
    task->places_ = &places;
    task->make = [](pool_job& self) noexcept { static_cast<offloaded_task&>(self).make_on_thread(); };
    ++thread_counts.offloaded;
    count_offloaded(1);
    pool.threads.submit(*task);
    try {
        task->ended_.wait();
        count_offloaded(-1);
        return;
    } catch (cancelled const&) {
        if (pool.threads.withdraw(*task)) {
            places.release();
            count_offloaded(-1);
            throw;
        }
        task->stop().request_stop();
        if (options.abandon_on_cancel) {
            task->abandoner_ = this_worker->link();
            auto awaited = offloaded_task::stage::awaited;
            if (task->stage_.compare_exchange_strong(awaited, offloaded_task::stage::abandoned,
                                                     std::memory_order_acq_rel)) {
                static_cast<void>(task.release()); // the thread's
                throw;
            }
        }
    }
    uncancellable const waiting;
    task->ended_.wait();
    count_offloaded(-1);
}

} // namespace detail

} // namespace weft
