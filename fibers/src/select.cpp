#include <functional>
#include <utility>

#include <weft/detail/own_wait.hpp>
#include <weft/select.hpp>

#include "worker.hpp"

namespace weft::detail {
namespace {

// Locks everything that the cases need, each once and in the order of addresses, so that two selects can't lock each other out.
class all_locks {
public:
    all_locks(std::span<select_case*> cases, std::span<biased_lock*> room) {
        std::size_t count = 0;
        for (select_case* const each : cases)
            if (biased_lock* const lock = each->lock())
                room[count++] = lock;
        std::sort(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(count), std::less<>());
        auto const end = std::unique(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(count));
        locks_ = room.first(static_cast<std::size_t>(end - room.begin()));
        lock();
    }
    all_locks(all_locks const&) = delete;
    all_locks& operator=(all_locks const&) = delete;
    ~all_locks() {
        if (locked_)
            unlock();
    }

    void lock() noexcept {
        for (biased_lock* const each : locks_)
            each->lock();
        locked_ = true;
    }
    void unlock() noexcept {
        for (biased_lock* const each : locks_)
            each->unlock();
        locked_ = false;
    }

private:
    std::span<biased_lock*> locks_;
    bool locked_ = false;
};

// From 0 to `limit` - 1; decided by the seed, where a test has set one.
std::size_t random_below(std::size_t limit) noexcept {
    if (this_worker != nullptr)
        if (std::uint64_t const drawn = this_worker->draw(); drawn != 0)
            return drawn % limit;
    static thread_local std::uint32_t state = 2463534242; // xorshift
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % limit;
}

// Does one of those that can be done now, each with the same chance; null if none can. Mixes up the cases.
select_case* do_any(std::span<select_case*> cases, claimed_waiters& woken) noexcept {
    for (; !cases.empty(); cases = cases.subspan(1)) {
        std::swap(cases.front(), cases[random_below(cases.size())]);
        if (cases.front()->try_now(woken))
            return cases.front();
    }
    return nullptr;
}

// Null if there is none.
select_case* find_default(std::span<select_case*> cases) noexcept {
    auto const found =
        std::find_if(cases.begin(), cases.end(), [](select_case* each) { return each->is_default(); });
    return found != cases.end() ? *found : nullptr;
}

select_case& find_earliest(std::span<select_case*> cases) noexcept {
    return **std::min_element(cases.begin(), cases.end(), [](select_case* one, select_case* other) {
        return one->deadline() < other->deadline();
    });
}

} // namespace

select_case const* select(std::span<select_case*> cases, std::span<biased_lock*> locks) {
    throw_if_cancelled();
    claimed_waiters woken;
    all_locks all(cases, locks);
    if (select_case const* const done = do_any(cases, woken)) {
        all.unlock();
        woken.deliver();
        return done;
    }
    select_case const* const by_default = find_default(cases);
    select_case const& earliest = find_earliest(cases);
    if (by_default == nullptr) {
        waiter& whole = cases[0]->place;
        whole.begin();
        for (select_case* const each : cases) {
            each->place.whole = &whole;
            each->place.fired = false;
            each->place.tag = 0;
            each->enqueue();
        }
    }
    all.unlock();
    woken.deliver();
    if (by_default != nullptr)
        return by_default;

    auto const cause = cases[0]->place.wait({"select", by_fibers}, earliest.deadline(), own_cancellation());
    all.lock();
    for (select_case* const each : cases)
        each->withdraw();
    all.unlock();
    if (cause == wake_cause::cancelled)
        throw_cancelled();
    if (cause == wake_cause::timed_out)
        return &earliest;
    return *std::find_if(cases.begin(), cases.end(), [](select_case* each) { return each->place.fired; });
}

} // namespace weft::detail
