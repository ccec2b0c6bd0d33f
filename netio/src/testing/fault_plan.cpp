#include "fault_plan.hpp"

#include <algorithm>
#include <bit>
#include <mutex>

#include <weft/run.hpp>

#include "../faults.hpp"

namespace weft::detail {
namespace {

constexpr std::uint64_t odd = 0x9e37'79b9'7f4a'7c15U; // 2^64 over the golden ratio: steps that spread evenly

} // namespace

// splitmix64: a counter, thoroughly mixed, so that any number may begin it.
std::uint64_t fault_plan::stream::next() noexcept {
    state += odd;
    std::uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58'476d'1ce4'e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d0'49bb'1331'11ebU;
    return mixed ^ (mixed >> 31);
}

bool fault_plan::stream::hits(double rate) noexcept {
    return static_cast<double>(next() >> 11) * 0x1p-53 < rate;
}

std::size_t fault_verdict::most_of(std::size_t size) const noexcept {
    auto const bits = std::max(1U, static_cast<unsigned>(std::bit_width(size - 1)));
    std::uint64_t const below = std::uint64_t{2} << (cut % bits);
    return std::clamp<std::size_t>((cut >> 8) % below, 1, size - 1);
}

fault_plan& fault_plan::only() noexcept {
    static fault_plan one;
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
        streams_[i] = {.state = std::uint64_t{options.seed} << 32 | i};
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
    bool const delayed = mine.hits(options_.delays);
    std::uint64_t const delay = mine.next();
    auto const longest =
        static_cast<std::uint64_t>(std::max<std::int64_t>(options_.longest_delay.count(), 0));
    if (delayed && (longest == 0 || delay % 2 == 0))
        all.turns = 1 + static_cast<unsigned>(delay >> 8) % 4;
    else if (delayed)
        all.pause = std::chrono::microseconds(1 + (delay >> 8) % longest);
    all.reset = mine.hits(options_.resets);
    all.interrupted = mine.hits(options_.interruptions);
    all.blocked = mine.hits(options_.would_block);
    std::uint64_t const storm = mine.next();
    if (mine.storm > 0) {
        --mine.storm;
        all.blocked = true;
    } else if (all.blocked) {
        mine.storm = static_cast<unsigned>(storm % 3);
    }
    all.short_read = mine.hits(options_.short_reads);
    all.short_write = mine.hits(options_.short_writes);
    all.cut = mine.next();
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
