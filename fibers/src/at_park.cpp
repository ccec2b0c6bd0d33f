#include <stdexcept>
#include <utility>

#include <weft/detail/scope.hpp>
#include <weft/testing/at_park.hpp>

#include "park_hook.hpp"
#include "worker.hpp"

namespace weft {

namespace detail {

std::atomic<void (*)(char const* operation)> park_hook{nullptr};

} // namespace detail

namespace testing {
namespace {

std::atomic<at_park*> present{nullptr};

} // namespace

std::string_view park_point::fiber() const noexcept { return detail::current_fiber->name; }

void park_point::cancel() const {
    detail::cancel(detail::own_scope_of(*detail::current_fiber), "cancelled at a wait, for a test");
}

at_park::at_park(std::uint64_t which, std::function<void(park_point const&)> function)
    : which_(which), function_(std::move(function)) {
    if (detail::this_worker != nullptr)
        throw std::logic_error("weft::testing::at_park: made on a fiber; make it before weft::run");
    at_park* none = nullptr;
    if (!present.compare_exchange_strong(none, this))
        throw std::logic_error("weft::testing::at_park: there is one already");
    detail::park_hook = on_park;
}

at_park::~at_park() {
    detail::park_hook = nullptr;
    present = nullptr;
}

void at_park::on_park(char const* operation) {
    at_park& self = *present;
    if (self.count_++ == self.which_)
        self.function_(park_point(operation));
}

} // namespace testing

} // namespace weft
