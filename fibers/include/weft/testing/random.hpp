// random: numbers drawn by a seed; the same on every platform, as the standard's distributions are not.
//
// Any seed is as good as any other, neighbours too. Not for secrets. One thread, or fiber, at a time.
#pragma once

#include <cstdint>

namespace weft::testing {

class random {
public:
    explicit random(std::uint64_t seed) noexcept : state_(seed) {}

    // Of all 64-bit numbers.
    std::uint64_t next() noexcept {
        std::uint64_t mixed = state_ += 0x9e37'79b9'7f4a'7c15U; // splitmix64
        mixed = (mixed ^ (mixed >> 30U)) * 0xbf58'476d'1ce4'e5b9U;
        mixed = (mixed ^ (mixed >> 27U)) * 0x94d0'49bb'1331'11ebU;
        return mixed ^ (mixed >> 31U);
    }

    // From 0 to `limit` - 1; limit > 0.
    unsigned below(unsigned limit) noexcept { return static_cast<unsigned>(next() % limit); }

    // True that often; 0: never, 1: always.
    bool chance(double rate) noexcept { return static_cast<double>(next() >> 11U) * 0x1p-53 < rate; }

private:
    std::uint64_t state_;
};

} // namespace weft::testing
