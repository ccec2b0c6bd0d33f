// seed: where a test that draws at random begins, so that a run which failed can be repeated.
//
// A test prints the seed that it began with when it fails; run with WEFT_TEST_SEED=<that>, it draws the same again.
// Threads: any.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace weft::testing {

// WEFT_TEST_SEED's value, if it is set; else a number at random, another one each time. Throws std::invalid_argument if the value is no
// number from 0 to 2^32 - 1: a run that was to be repeated, and wasn't, would prove nothing.
inline std::uint32_t seed() {
    char const* const given = std::getenv("WEFT_TEST_SEED");
    if (given == nullptr)
        return std::random_device{}();
    std::string_view const text(given);
    std::uint32_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        throw std::invalid_argument("weft: WEFT_TEST_SEED is not a number that a test can begin with: " +
                                    std::string(text));
    return value;
}

} // namespace weft::testing
