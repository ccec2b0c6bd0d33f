#include "fault_plan.hpp"

#include <pthread.h>

#include <algorithm>
#include <bit>
#include <mutex>

#include <weft/run.hpp>

#include "../faults.hpp"

namespace weft::detail {
std::size_t fault_verdict::most_of(std::size_t size) const noexcept {
    auto const bits = std::max(1U, static_cast<unsigned>(std::bit_width(size - 1)));
    std::uint64_t const below = std::uint64_t{2} << (cut % bits);
    return std::clamp<std::size_t>((cut >> 8) % below, 1, size - 1);
}

fault_plan& fault_plan::only() noexcept {
    static fault_plan& one = []() -> fault_plan& {
        static fault_plan made;
        // A child has no thread that could give back a lock which another one has taken at that moment.
        ::pthread_atfork([] { only().lock_.lock(); }, [] { only().lock_.unlock(); },
                         [] { only().lock_.unlock(); });
        return made;
    }();
    return one;
}

bool fault_plan::begin(testing::fault_options const& options) noexcept {
    std::scoped_lock const guard(lock_);
    if (active_)
        return false;
    active_ = true;
    ++injector_;
    options_ = options;
    counts_ = {};
    for (std::size_t i = 0; i < streams; ++i)
        streams_[i] = {.random = testing::random(std::uint64_t{options.seed} << 32U | i)};
    faults::active.store(true, std::memory_order_relaxed);
    return true;
}

void fault_plan::end() noexcept {
    std::scoped_lock const guard(lock_);
    active_ = false;
    faults::active.store(false, std::memory_order_relaxed);
}

fault_verdict fault_plan::draw() noexcept {
    std::size_t const worker = worker_index();
    std::scoped_lock const guard(lock_);
    if (!active_)
        return {};
    stream& mine = streams_[worker % streams];
    fault_verdict all{.injector = injector_};
    bool const delayed = mine.random.chance(options_.delays);
    std::uint64_t const delay = mine.random.next();
    auto const longest =
        static_cast<std::uint64_t>(std::max<std::int64_t>(options_.longest_delay.count(), 0));
    if (delayed && (longest == 0 || delay % 2 == 0))
        all.turns = 1 + static_cast<unsigned>(delay >> 8) % 4;
    else if (delayed)
        all.pause = std::chrono::microseconds(1 + (delay >> 8) % longest);
    all.reset = mine.random.chance(options_.resets);
    all.interrupted = mine.random.chance(options_.interruptions);
    all.blocked = mine.random.chance(options_.would_block);
    std::uint64_t const storm = mine.random.next();
    if (mine.storm > 0) {
        --mine.storm;
        all.blocked = true;
    } else if (all.blocked) {
        mine.storm = static_cast<unsigned>(storm % 3);
    }
    all.short_read = mine.random.chance(options_.short_reads);
    all.short_write = mine.random.chance(options_.short_writes);
    all.cut = mine.random.next();
    ++counts_.calls;
    return all;
}

void fault_plan::count(fault_verdict const& verdict, std::uint64_t testing::fault_counts::*kind) noexcept {
    std::scoped_lock const guard(lock_);
    if (active_ && verdict.injector == injector_)
        ++(counts_.*kind);
}

testing::fault_counts fault_plan::counts() const noexcept {
    std::scoped_lock const guard(lock_);
    return counts_;
}

} // namespace weft::detail
