// random_order: the order in which fibers run is drawn by a seed, instead of first in, first out.
//
//     weft::testing::random_order order(seed);
//     weft::run(scenario); // what is wrong with the scenario shows with some seeds, and each time with those
//
// Fibers are promised no order in which ready ones run; a test that passes in one order alone relies on chance. While it lives, each worker
// that begins draws the next fiber from all that are ready. With one worker, and no input from outside, the seed decides everything.
//
// Make and destroy it outside weft::run, one at a time: std::logic_error.
#pragma once

#include <cstdint>

namespace weft::testing {

class random_order {
public:
    explicit random_order(std::uint64_t seed);
    random_order(random_order const&) = delete;
    random_order& operator=(random_order const&) = delete;
    ~random_order();

    [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }

private:
    std::uint64_t const seed_;
};

} // namespace weft::testing
