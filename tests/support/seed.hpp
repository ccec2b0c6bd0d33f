// Random schedules that can be repeated: the seed comes from WEFT_TEST_SEED, or is drawn; a failing test prints it.
#pragma once

#include <random>

#include <boost/test/unit_test.hpp>

#include <weft/testing/seed.hpp>

namespace support {

class seeded {
public:
    seeded() : seed_(weft::testing::seed()), engine_(seed_) {
        BOOST_TEST_MESSAGE("WEFT_TEST_SEED=" << seed_);
    }

    // From 0 to `limit` - 1.
    unsigned below(unsigned limit) { return std::uniform_int_distribution<unsigned>(0, limit - 1)(engine_); }
    [[nodiscard]] unsigned seed() const { return seed_; }

private:
    unsigned seed_;
    std::mt19937 engine_;
};

} // namespace support
