// fault_plan: what is to become of the process's calls while a fault_injector lives. There is one, for ever: a call that is under way when
// the injector ends finds it still.
//
// Threads: any; a spinlock guards all of it.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <weft/detail/spinlock.hpp>
#include <weft/testing/fault_injector.hpp>
#include <weft/testing/random.hpp>

namespace weft::detail {

// What one call is to meet.
struct fault_verdict {
    std::uint64_t injector = 0;         // whose it is
    unsigned turns = 0;                 // a delay: for others to have,
    std::chrono::microseconds pause{0}; // or this long
    bool reset = false;
    bool interrupted = false;
    bool blocked = false;
    bool short_read = false;
    bool short_write = false;
    std::uint64_t cut = 0; // how short, at random

    // How many of `size` bytes, at least 2, are to be moved at most: often few, at least one, never all.
    [[nodiscard]] std::size_t most_of(std::size_t size) const noexcept;
};

class fault_plan {
public:
    static fault_plan& only() noexcept;

    // False if there is an injector already.
    bool begin(testing::fault_options const& options) noexcept;
    void end() noexcept;

    // For a call of the calling fiber.
    fault_verdict draw() noexcept;

    // `kind` has happened, unless its injector has ended.
    void count(fault_verdict const& verdict, std::uint64_t testing::fault_counts::*kind) noexcept;

    [[nodiscard]] testing::fault_counts counts() const noexcept;

private:
    static constexpr std::size_t streams = 64; // workers, of which more than these share

    // What a worker draws from.
    struct stream {
        testing::random random{0};
        unsigned storm = 0; // how many more calls will be told that they would block
    };

    mutable spinlock lock_; // guards the rest
    bool active_ = false;
    std::uint64_t injector_ = 0;
    testing::fault_options options_{.seed = 0};
    testing::fault_counts counts_;
    std::array<stream, streams> streams_;
};

} // namespace weft::detail
