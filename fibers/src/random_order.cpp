#include "random_order.hpp"

#include <stdexcept>

#include <weft/testing/random.hpp>
#include <weft/testing/random_order.hpp>

#include "worker.hpp"

namespace weft {

namespace detail {

std::atomic<std::uint64_t> order_seed{0};

} // namespace detail

namespace testing {

random_order::random_order(std::uint64_t seed) : seed_(seed) {
    if (detail::this_worker != nullptr)
        throw std::logic_error("weft::testing::random_order: made on a fiber; make it before weft::run");
    // Neighbouring seeds are to give different orders, and 0 one of its own.
    std::uint64_t const mixed = random(seed).next() | 1U;
    std::uint64_t none = 0;
    if (!detail::order_seed.compare_exchange_strong(none, mixed))
        throw std::logic_error("weft::testing::random_order: there is one already");
}

random_order::~random_order() { detail::order_seed = 0; }

} // namespace testing

} // namespace weft
