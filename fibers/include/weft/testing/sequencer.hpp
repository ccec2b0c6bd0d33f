// sequencer: makes fibers take their turns in a given order. As trio's.
//
//     weft::testing::sequencer turns;
//     auto one = weft::spawn([&] { { auto turn = turns.take(0); first(); } { auto turn = turns.take(2); third(); } });
//     auto two = weft::spawn([&] { auto turn = turns.take(1); second(); });
//
// A turn begins when all before it have ended, and lasts as long as what take() returned. Usable by fibers of all workers and by
// plain threads.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include <weft/condition_variable.hpp>
#include <weft/mutex.hpp>

namespace weft::testing {

class sequencer {
public:
    class turn {
    public:
        turn(turn&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
        turn& operator=(turn&&) = delete;
        ~turn() {
            if (of_ != nullptr)
                of_->pass();
        }

    private:
        friend sequencer;
        explicit turn(sequencer& of) noexcept : of_(&of) {}

        sequencer* of_;
    };

    // Waits until turns 0 to `position` - 1 have ended. Throws std::logic_error if that turn has been taken before, and weft::cancelled.
    [[nodiscard]] turn take(std::size_t position) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return now_ >= position; });
        if (now_ != position || taken_)
            throw std::logic_error("weft::testing::sequencer: turn " + std::to_string(position) +
                                   " was taken before");
        taken_ = true;
        return turn(*this);
    }

private:
    void pass() {
        {
            detail::uncancellable const passing;
            std::scoped_lock const lock(mutex_);
            ++now_;
            taken_ = false;
        }
        changed_.notify_all();
    }

    mutex mutex_{"sequencer"};
    condition_variable changed_{"sequencer"};
    std::size_t now_ = 0; // the turn that is, or that is next
    bool taken_ = false;
};

} // namespace weft::testing
