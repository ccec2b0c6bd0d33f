// Those who wait for one of several equal things, as they should be served: a model to compare locks and semaphores with.
//
// It sees when somebody asks, and when they run again, but not when a thing is handed over to them: fibers may run in another order.
// So whoever runs first may have been served last; and what can be told is whether, at any moment, more was handed over than there was.
// Where one stands further ahead, and is served though the supply had run out by then, they were overtaken.
//
// For one worker.
#pragma once

#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include <weft/clock.hpp>

#include "support/disturbance.hpp"
#include "support/require.hpp"

namespace support {

class line {
public:
    explicit line(std::ptrdiff_t supply) : supply_(supply) {}

    // Somebody is about to ask, without switching before they are in line.
    std::size_t arrive() {
        places_.emplace_back();
        return places_.size() - 1;
    }
    void gave_up(std::size_t place) { places_[place].open = false; }
    void got(std::size_t place) {
        places_[place].open = false;
        require(++served_ <= supply_, "more was taken than there was");
        for (std::size_t const moment : places_[place].passed_at)
            require(++moments_[moment].served <= moments_[moment].supply, "somebody was overtaken");
        for (std::size_t ahead = 0; ahead < place; ++ahead)
            if (places_[ahead].open)
                places_[ahead].passed_at.push_back(moments_.size());
        moments_.push_back({.served = served_, .supply = supply_});
    }
    // More is there, as of the next moment.
    void add(std::ptrdiff_t more = 1) { supply_ += more; }

private:
    struct arrival {
        bool open = true;                   // has not run again
        std::vector<std::size_t> passed_at; // when somebody further back had been served
    };
    struct snapshot {
        std::ptrdiff_t served; // at least, by then
        std::ptrdiff_t supply;
    };

    std::ptrdiff_t supply_; // in all
    std::ptrdiff_t served_ = 0;
    std::vector<arrival> places_;
    std::vector<snapshot> moments_;
};

// Takes `lock` in one of the ways of TimedLockable; false if that didn't work. Throws weft::cancelled, without it.
template <class Lock> bool take(disturbance& chance, line& all, Lock& lock) {
    std::size_t const place = all.arrive();
    bool got = true;
    try {
        switch (chance.below(4)) {
        case 0: got = lock.try_lock(); break;
        case 1: {
            auto const deadline = chance.soon();
            got = lock.try_lock_until(deadline);
            require(got || weft::clock::now() >= deadline, "gave up before the deadline");
            break;
        }
        default: lock.lock();
        }
    } catch (...) {
        all.gave_up(place);
        throw;
    }
    if (got)
        all.got(place);
    else
        all.gave_up(place);
    return got;
}

// Gives back what take() took.
template <class Lock> class holding {
public:
    holding(line& all, Lock& lock) : all_(all), lock_(lock) {}
    holding(holding const&) = delete;
    holding& operator=(holding const&) = delete;
    ~holding() {
        all_.add();
        lock_.unlock();
    }

private:
    line& all_;
    Lock& lock_;
};

} // namespace support
