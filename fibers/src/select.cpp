#include <functional>

#include <weft/detail/own_wait.hpp>
#include <weft/select.hpp>

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

// Where to begin to look; xorshift, one a thread.
std::size_t random_place(std::size_t count) noexcept {
    static thread_local std::uint32_t state = 2463534242;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % count;
}

std::size_t place_of_default(std::span<select_case*> cases) noexcept {
    std::size_t at = 0;
    while (at < cases.size() && !cases[at]->is_default())
        ++at;
    return at;
}

std::size_t place_of_earliest(std::span<select_case*> cases) noexcept {
    std::size_t earliest = 0;
    for (std::size_t i = 1; i < cases.size(); ++i)
        if (cases[i]->deadline() < cases[earliest]->deadline())
            earliest = i;
    return earliest;
}

} // namespace

std::size_t select(std::span<select_case*> cases, std::span<biased_lock*> locks) {
    auto const cancels = begin_own_wait();
    claimed_waiters woken;
    all_locks all(cases, locks);
    std::size_t const start = random_place(cases.size());
    for (std::size_t i = 0; i < cases.size(); ++i) {
        std::size_t const at = (start + i) % cases.size();
        if (cases[at]->try_now(woken)) {
            all.unlock();
            woken.deliver();
            return at;
        }
    }
    std::size_t const by_default = place_of_default(cases);
    std::size_t const earliest = place_of_earliest(cases);
    time_point const deadline = cases[earliest]->deadline();
    if (by_default == cases.size()) {
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
    if (by_default != cases.size())
        return by_default;

    auto const cause = cases[0]->place.wait({.operation = "select", .by_fibers = true}, deadline, cancels);
    all.lock();
    for (select_case* const each : cases)
        each->withdraw();
    all.unlock();
    if (cause == wake_cause::cancelled)
        throw_cancelled();
    if (cause == wake_cause::timed_out)
        return earliest;
    std::size_t done = 0;
    while (!cases[done]->place.fired)
        ++done;
    return done;
}

} // namespace weft::detail
