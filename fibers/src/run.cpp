#include <pthread.h>

#include <barrier>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/detail/helper_thread.hpp>
#include <weft/detail/offload.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/run.hpp>

#include "fiber_locals.hpp"
#include "idle_engine.hpp"
#include "stack_pool.hpp"
#include "unhandled.hpp"
#include "worker.hpp"
#include "worker_group.hpp"

namespace weft {
namespace detail {
namespace {

constexpr std::size_t most_workers = 1024;
constexpr std::size_t largest_stack = std::size_t{1} << 40;

engine_factory& default_engine() {
    static engine_factory factory = [] { return std::make_unique<idle_engine>(); };
    return factory;
}

run_options checked(run_options options) {
    if (options.workers < 1 || options.workers > most_workers)
        throw std::invalid_argument("weft::run: run_options::workers must be from 1 to 1024");
    if (options.stack_size < stack_pool::smallest_stack || options.stack_size > largest_stack)
        throw std::invalid_argument("weft::run: run_options::stack_size must be from 32 KiB to 1 TiB");
    if (!options.on_unhandled)
        options.on_unhandled = print_unhandled;
    if (!options.make_engine)
        options.make_engine = default_engine();
    return options;
}

// The workers beside the calling thread's.
//
// Start: each thread makes its worker, all meet at the gate, and go on only if every one succeeded.
// End: each serves until the group stops, then all meet again, so that no worker goes while another may address it.
class run_threads {
public:
    explicit run_threads(worker_group& group)
        : group_(group), gate_(static_cast<std::ptrdiff_t>(group.workers.size())) {}

    void start_others() {
        for (std::size_t i = 1; i < group_.workers.size(); ++i) {
            try {
                threads_.emplace_back([this, i] { run_one(i, nullptr, nullptr); });
            } catch (...) {
                fail(std::current_exception());
                gate_.arrive_and_drop(); // for the thread that there isn't
                for (std::size_t missing = i + 1; missing < group_.workers.size(); ++missing)
                    gate_.arrive_and_drop();
                break;
            }
        }
    }

    void run_one(std::size_t index, void (*main)(void*), void* argument) {
        std::optional<worker> self;
        try {
            self.emplace(group_, index);
            group_.workers[index] = &*self;
        } catch (...) {
            fail(std::current_exception());
        }
        gate_.arrive_and_wait();
        common_end const end(*this);
        if (!failed())
            work(*self, main, argument);
    }

    void join_others() {
        if (group_.forked()) {
            // They are not in this process; a std::thread that is not joined must not be destroyed, either.
            static auto const* const kept = new std::vector<std::thread>(std::move(threads_));
            static_cast<void>(kept);
            return;
        }
        for (std::thread& thread : threads_)
            thread.join();
        if (failure_)
            std::rethrow_exception(failure_);
    }

private:
    void work(worker& self, void (*main)(void*), void* argument) {
        if (main == nullptr)
            return self.serve();
        try {
            main(argument);
        } catch (...) {
            // pthread_exit(3), or pthread_cancel(3) of the thread: it ends when a run may.
            end_locals(*current_fiber);
            group_.end_work();
            self.serve();
            throw;
        }
        end_locals(*current_fiber);
        group_.end_work();
        self.serve();
    }

    // The second meeting, also when main is unwound.
    struct common_end {
        explicit common_end(run_threads& all_) : all(all_) {}
        common_end(common_end const&) = delete;
        common_end& operator=(common_end const&) = delete;
        ~common_end() {
            if (!all.group_.forked())
                all.gate_.arrive_and_wait();
        }

        run_threads& all;
    };

    void fail(std::exception_ptr failure) {
        std::scoped_lock const lock(mutex_);
        if (!failure_)
            failure_ = std::move(failure);
    }

    bool failed() {
        std::scoped_lock const lock(mutex_);
        return failure_ != nullptr;
    }

    worker_group& group_;
    std::barrier<> gate_;
    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::exception_ptr failure_; // guarded by mutex_
};

void watch_forks() {
    static std::once_flag once;
    std::call_once(once, [] {
        ::pthread_atfork(nullptr, nullptr, [] {
            wait_list::forget_all();
            forget_helpers();
            forget_offloaded();
            if (this_worker != nullptr && current_fiber != nullptr)
                this_worker->survive_fork();
        });
    });
}

} // namespace

void set_default_engine(engine_factory factory) { default_engine() = std::move(factory); }

void run(run_options const& options, void (*main)(void*), void* argument) {
    if (this_worker != nullptr)
        throw std::logic_error("weft::run: called on a fiber; spawn a fiber instead");
    worker_group group(checked(options));
    watch_forks();
    run_threads threads(group);
    threads.start_others();
    try {
        threads.run_one(0, main, argument);
    } catch (...) {
        threads.join_others();
        throw;
    }
    threads.join_others();
    if (std::string const* const report = group.dead_end())
        throw dead_end(*report);
}

} // namespace detail

std::size_t worker_count() { return detail::require_worker("weft::worker_count").group().workers.size(); }
std::size_t worker_index() { return detail::require_worker("weft::worker_index").index(); }

} // namespace weft
