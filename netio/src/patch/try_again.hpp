// try_again: how a fiber waits for what tells nobody when it is there: libc's own locks, the end of a thread. It looks again and
// again, in growing intervals.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>

#include <weft/detail/interrupt.hpp>
#include <weft/detail/park.hpp>

#include "../ended_wait.hpp"
#include "lock_time.hpp"

namespace weft::detail {

// attempt()'s errno (0: it succeeded), as soon as it is not EBUSY; EINVAL or ETIMEDOUT by `limit`, EINTR or ECANCELED by `interruptible`.
template <class Attempt>
int try_again(char const* operation, lock_time const& limit, interruption interruptible,
              Attempt attempt) noexcept {
    using namespace std::chrono_literals;
    auto pause = std::chrono::microseconds(50);
    std::uint32_t const signals = handled_signals;
    constexpr auto longest_pause = std::chrono::microseconds(5ms);
    for (;;) {
        int const result = attempt();
        if (result != EBUSY)
            return result;
        if (!limit.valid())
            return EINVAL;
        if (limit.over())
            return ETIMEDOUT;
        if (interruptible == interruption::always && handled_signals != signals)
            return EINTR; // it ran during an attempt, which is none of its business to end
        int const error = ended_by(
            sleep_until({operation}, std::min(limit.deadline(), deadline_after(pause)), interruptible));
        if (error != 0)
            return error;
        pause = std::min(pause * 2, longest_pause);
    }
}

} // namespace weft::detail
