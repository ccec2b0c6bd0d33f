#include "futexes.hpp"

#include <linux/futex.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>

#include <weft/detail/park.hpp>
#include <weft/detail/parking_lot.hpp>
#include <weft/detail/system_call.hpp>

#include "../user_memory.hpp"
#include "lock_time.hpp"

namespace weft::detail {
namespace {

// Fibers in the lot for a futex: who wakes needn't look while there are none.
std::atomic<unsigned> waiting_fibers{0};

struct call {
    std::uint32_t* word;
    int operation;
    std::uint32_t value;
    timespec const* time; // or a second number
    std::uint32_t bits;

    explicit call(std::array<long, 6> const& arguments) noexcept
        : word(reinterpret_cast<std::uint32_t*>(arguments[0])),
          operation(static_cast<int>(arguments[1]) & FUTEX_CMD_MASK),
          value(static_cast<std::uint32_t>(arguments[2])),
          time(reinterpret_cast<timespec const*>(arguments[3])),
          bits(operation == FUTEX_WAIT_BITSET || operation == FUTEX_WAKE_BITSET
                   ? static_cast<std::uint32_t>(arguments[5])
                   : FUTEX_BITSET_MATCH_ANY) {}
};

long make(std::array<long, 6> const& arguments) {
    return make_system_call(SYS_futex, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                            arguments[5]);
}

long fail(int error) noexcept {
    errno = error;
    return -1;
}

void wake_all_fibers(void const* word) noexcept {
    lot_guard lot(word);
    claimed_waiters const woken = lot.take_first(LONG_MAX);
    lot.unlock();
    woken.deliver();
}

// Up to `most` fibers that wait at `word` for one of `bits`. In a signal's handler that has interrupted a look into the lot: all of
// them, afterwards, as nobody may rely on being woken with a reason.
long wake_fibers(std::uint32_t const* word, long most, std::uint32_t bits) noexcept {
    if (waiting_fibers.load(std::memory_order_seq_cst) == 0 || defer_in_handler(word, wake_all_fibers))
        return 0;
    claimed_waiters woken;
    {
        lot_guard lot(word);
        for (lot_waiter* each = lot.first(); each != nullptr && woken.count < most;) {
            lot_waiter* const next = lot.next(*each);
            if ((each->tag & bits) != 0)
                lot.take(*each, woken);
            each = next;
        }
    }
    woken.deliver();
    return woken.count;
}

// One fiber's wait; counted before the word is looked at.
class counted_wait {
public:
    explicit counted_wait(call const& what) noexcept : word_(what.word), self_(what.word, what.bits) {
        waiting_fibers.fetch_add(1, std::memory_order_seq_cst);
    }
    counted_wait(counted_wait const&) = delete;
    counted_wait& operator=(counted_wait const&) = delete;
    ~counted_wait() { waiting_fibers.fetch_sub(1, std::memory_order_relaxed); }

    // False if the word has changed.
    bool enqueue(std::uint32_t expected) noexcept {
        lot_guard lot(word_);
        if (std::atomic_ref(*word_).load(std::memory_order_seq_cst) != expected)
            return false;
        lot.enqueue(self_);
        return true;
    }

    wake_cause wait(time_point deadline) noexcept {
        // The standard library ends the program, or tries again for ever, when a futex says what the kernel never does: so a fiber's
        // cancellation doesn't end this wait.
        wake_cause const cause = self_.wait_cancellable({"futex"}, deadline, interruption::unless_restarted,
                                                        weft::detail::cancellation::never_heeded);
        if (cause != wake_cause::notified)
            lot_guard(word_).erase(self_);
        return cause;
    }

private:
    std::uint32_t* word_;
    lot_waiter self_;
};

long wait_on_fiber(std::array<long, 6> const& arguments, call const& what) {
    constexpr auto look_again = std::chrono::milliseconds(10);
    timespec until{};
    if (what.time != nullptr && !copy_in(until, what.time))
        return -1;
    // The kernel says what is wrong with the rest, and whether there is something to wait for, if there is no time to.
    timespec const over{};
    std::array<long, 6> at_once = arguments;
    at_once[3] = system_call_argument(&over);
    if (long const result = make(at_once); result == 0 || errno != ETIMEDOUT)
        return result;
    clockid_t clock = CLOCK_MONOTONIC;
    if (what.time != nullptr) {
        if (until.tv_sec < 0 || until.tv_nsec < 0 || until.tv_nsec >= 1'000'000'000)
            return fail(EINVAL);
        if (what.operation == FUTEX_WAIT_BITSET && (arguments[1] & FUTEX_CLOCK_REALTIME) != 0)
            clock = CLOCK_REALTIME;
    }
    time_point const relative = what.time != nullptr && what.operation == FUTEX_WAIT
                                    ? deadline_after(std::chrono::duration<long double>(until.tv_sec) +
                                                     std::chrono::nanoseconds(until.tv_nsec))
                                    : never;
    bool const absolute = what.time != nullptr && what.operation == FUTEX_WAIT_BITSET;
    lock_time const limit(clock, absolute ? &until : nullptr);
    bool const shared = (arguments[1] & FUTEX_PRIVATE_FLAG) == 0;
    counted_wait waiting(what);
    if (!waiting.enqueue(what.value))
        return fail(EAGAIN);
    time_point const deadline = std::min(relative, limit.deadline());
    time_point const bound = shared ? std::min(deadline, deadline_after(look_again)) : deadline;
    switch (waiting.wait(bound)) {
    case wake_cause::interrupted: return fail(EINTR);
    case wake_cause::timed_out:
        if (clock::now() >= relative || limit.over())
            return fail(ETIMEDOUT);
        return 0; // without reason
    default: return 0;
    }
}

} // namespace

long call_futex(std::array<long, 6> const& arguments) {
    call const what(arguments);
    switch (what.operation) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        return current_fiber != nullptr ? wait_on_fiber(arguments, what) : make(arguments);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET: {
        auto const most = static_cast<long>(static_cast<int>(what.value));
        long const fibers = wake_fibers(what.word, std::max(most, 1L), what.bits);
        if (fibers >= most && fibers > 0)
            return fibers;
        std::array<long, 6> rest = arguments;
        rest[2] = most - fibers;
        long const threads = make(rest);
        return threads < 0 ? threads : threads + fibers;
    }
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
    case FUTEX_WAKE_OP: {
        // Fibers aren't moved: all of those concerned wake up, and look.
        long const threads = make(arguments);
        if (threads < 0)
            return threads;
        long fibers = wake_fibers(what.word, LONG_MAX, FUTEX_BITSET_MATCH_ANY);
        if (what.operation == FUTEX_WAKE_OP)
            fibers +=
                wake_fibers(reinterpret_cast<std::uint32_t*>(arguments[4]), LONG_MAX, FUTEX_BITSET_MATCH_ANY);
        return threads + fibers;
    }
    default: return make(arguments);
    }
}

} // namespace weft::detail
