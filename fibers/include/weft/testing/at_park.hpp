// at_park: does something when a fiber is about to wait, at one wait out of all: to try out each of them.
//
//     // How does the server take being cancelled at its n-th wait, for every n?
//     for (std::uint64_t n = 0;; ++n) {
//         weft::testing::at_park at(n, [](weft::testing::park_point const& point) { point.cancel(); });
//         try {
//             weft::run(server);
//         } catch (weft::fiber_cancelled const&) { // main itself
//         }
//         if (!at.reached())
//             break; // there are no more than n
//     }
//
// Every wait of every fiber counts, of weft's calls and patched ones, in the order in which they come. The function is called on the fiber, which has
// announced its wait; it must not wait itself. With one worker; make and destroy it outside weft::run, one at a time: std::logic_error.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace weft::testing {

// A wait that is about to begin.
class park_point {
public:
    explicit park_point(char const* operation) noexcept : operation_(operation) {}

    // What it is, as reports call it: "recv", "semaphore".
    [[nodiscard]] std::string_view operation() const noexcept { return operation_; }
    [[nodiscard]] std::string_view fiber() const noexcept;

    // Cancels the fiber that is about to wait, as fiber::cancel() does.
    void cancel() const;

private:
    char const* operation_;
};

class at_park {
public:
    // `which`: from 0.
    at_park(std::uint64_t which, std::function<void(park_point const&)> function);
    at_park(at_park const&) = delete;
    at_park& operator=(at_park const&) = delete;
    ~at_park();

    // Whether there was such a wait; and how many there have been.
    [[nodiscard]] bool reached() const noexcept { return count_ > which_; }
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

private:
    static void on_park(char const* operation);

    std::uint64_t const which_;
    std::function<void(park_point const&)> const function_;
    std::uint64_t count_ = 0;
};

} // namespace weft::testing
