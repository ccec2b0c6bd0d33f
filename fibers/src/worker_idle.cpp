// What a worker does when none of its fibers can run: sleeps, finds dead ends, and lets virtual time jump.
#include <algorithm>
#include <mutex>

#include <weft/detail/offload.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/scope.hpp>

#include "dead_end.hpp"
#include "virtual_time.hpp"
#include "worker.hpp"
#include "worker_group.hpp"

namespace weft::detail {
namespace {

bool waits_for_fibers(fiber_core const& fiber) noexcept {
    return fiber.state.load(std::memory_order_relaxed) == park_state::parked && fiber.reason.inside() &&
           fiber.interruptible == interruption::none && fiber.timer.deadline == never;
}

} // namespace

// The sleep and notify() agree by one exchange each on `sleeping_`: either the notifier finds us asleep, and calls the
// engine, or we find its notification and don't sleep.
void worker::wait_until(time_point deadline) noexcept {
    if (time_is_virtual()) [[unlikely]] {
        wait_virtually();
        return;
    }
    bool suspicious = false;
    only_fibers_.store(false, std::memory_order_relaxed); // until it is known
    auto expected = sleep_state::awake;
    if (!sleeping_.compare_exchange_strong(expected, sleep_state::asleep, std::memory_order_seq_cst)) {
        deadline = time_point::min();
    } else {
        deadline = std::min({deadline, timers_.next(), trim_memory()});
        suspicious = deadline == never && waits_for_fibers_alone();
        if (suspicious)
            deadline = clock::now() + suspicion_;
        only_fibers_.store(suspicious, std::memory_order_relaxed);
    }
    engine_->poll(deadline);
    bool const notified =
        sleeping_.exchange(sleep_state::awake, std::memory_order_seq_cst) == sleep_state::notified;
    deliver();
    if (!suspicious || notified || scheduler_->has_ready_fibers())
        suspicion_ = first_suspicion;
    else if (clock::now() >= deadline)
        look_for_dead_end();
}

bool worker::waits_for_fibers_alone() const noexcept {
    if (!group_.options.find_dead_ends)
        return false;
    if (!serving_ && !waits_for_fibers(main_))
        return false;
    for (fiber_core const* each = live_fibers_.first(); each != nullptr; each = each->next_live)
        if (!waits_for_fibers(*each))
            return false;
    return true;
}

// Of the others: asleep, with nothing to wake them but a fiber.
bool worker::everyone_is_idle() const noexcept {
    return std::all_of(group_.workers.begin(), group_.workers.end(), [this](worker const* each) {
        return each == nullptr || each == this ||
               (each->sleeping_.load(std::memory_order_seq_cst) == sleep_state::asleep &&
                each->only_fibers_.load(std::memory_order_relaxed));
    });
}

void worker::add_waiting(std::vector<fiber_core const*>& all) const {
    if (!serving_ && !orphan_)
        all.push_back(&main_);
    for (fiber_core const* each = live_fibers_.first(); each != nullptr; each = each->next_live)
        all.push_back(each);
}

// Those that wait for each other for ever; none if that isn't certain. All workers are idle.
std::vector<fiber_core const*> worker::find_dead_end() const {
    std::vector<fiber_core const*> all;
    std::size_t workers = 0;
    for (worker const* const each : group_.workers)
        if (each != nullptr) {
            each->add_waiting(all);
            ++workers;
        }
    if (has_foreign_threads(workers))
        all.clear();
    return all;
}

void worker::look_for_dead_end() noexcept {
    suspicion_ = std::min(suspicion_ * 2, last_suspicion);
    std::scoped_lock const lock(group_.idle_mutex);
    // Notified since it awoke: another one may have waited for us to wake one of ours, which we have yet to be told.
    if (sleeping_.load(std::memory_order_seq_cst) == sleep_state::notified || !everyone_is_idle())
        return;
    auto const waiting = find_dead_end();
    if (!waiting.empty())
        group_.end_dead(report_dead_end(waiting));
}

void worker::cancel_fibers() noexcept {
    constexpr char const* reason = "dead end: no fiber could ever run again";
    if (!serving_)
        cancel(own_scope_of(main_), reason);
    for (fiber_core* each = live_fibers_.first(); each != nullptr; each = each->next_live)
        if (!each->done) // else a callback of its end waits
            cancel(own_scope_of(*each), reason);
}

// Workers agree under the group's mutex: each says that it is idle, and until when; the last one lets time jump to the earliest.
void worker::wait_virtually() noexcept {
    auto const least = std::chrono::milliseconds(group_.workers.size() > 1 ? 1 : 0);
    engine_->poll(clock::now() + std::max<clock::duration>(virtual_patience, least));
    deliver();
    if (scheduler_->has_ready_fibers())
        return;
    std::unique_lock lock(group_.idle_mutex);
    auto expected = sleep_state::awake;
    if (!sleeping_.compare_exchange_strong(expected, sleep_state::asleep, std::memory_order_seq_cst)) {
        lock.unlock();
        sleeping_.store(sleep_state::awake, std::memory_order_seq_cst);
        deliver();
        return;
    }
    idle_ = true;
    idle_until_ = timers_.next();
    only_fibers_.store(idle_until_ == never && waits_for_fibers_alone(), std::memory_order_relaxed);
    bool const all_idle = std::all_of(group_.workers.begin(), group_.workers.end(), [](worker const* each) {
        return each == nullptr ||
               (each->idle_ && each->sleeping_.load(std::memory_order_seq_cst) == sleep_state::asleep);
    });
    if (all_idle && offloaded_calls() == 0) {
        time_point earliest = never;
        for (worker const* const each : group_.workers)
            if (each != nullptr)
                earliest = std::min(earliest, each->idle_until_);
        if (earliest != never) {
            jump_to(earliest);
            for (worker* const each : group_.workers)
                if (each != nullptr && each->idle_until_ <= earliest)
                    each->notify();
        } else if (only_fibers_ && everyone_is_idle()) {
            auto const waiting = find_dead_end();
            if (!waiting.empty()) {
                group_.end_dead(report_dead_end(waiting));
                notify();
            }
        }
    }
    lock.unlock();
    engine_->poll(never);
    lock.lock();
    idle_ = false;
    lock.unlock();
    sleeping_.exchange(sleep_state::awake, std::memory_order_seq_cst);
    deliver();
}

} // namespace weft::detail
