// wait_all and wait_any: wait for several fibers, by their handles, whatever they return.
//
// They wait, and nothing else: results and exceptions stay for get(). On fibers and plain threads; weft::cancelled, if the caller is
// cancelled: the fibers go on. gather() and race() are for those that want the results.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>
#include <vector>

#include <weft/clock.hpp>
#include <weft/fiber_handle.hpp>

namespace weft {

namespace detail {

using handle_reference = std::reference_wrapper<fiber_handle>;

// The place of one that has ended; none if none had by then. Throws std::logic_error if a handle refers to no fiber.
std::optional<std::size_t> wait_any(std::span<handle_reference const> handles, time_point deadline);

template <class Range>
concept handle_range =
    std::ranges::forward_range<Range> && std::derived_from<std::ranges::range_value_t<Range>, fiber_handle>;

template <handle_range Range> std::vector<handle_reference> references(Range& handles) {
    return {std::ranges::begin(handles), std::ranges::end(handles)};
}

} // namespace detail

// Until all have ended.
template <detail::handle_range Range> void wait_all(Range& handles) {
    for (fiber_handle& each : handles)
        each.join();
}
template <std::derived_from<fiber_handle>... Handles> void wait_all(Handles&... handles) {
    (handles.join(), ...);
}

// Until one has ended, which it may have done before: its place, from 0; if several have, the first of them. Throws
// std::invalid_argument if there are none.
template <detail::handle_range Range> std::size_t wait_any(Range& handles) {
    return *detail::wait_any(detail::references(handles), never);
}
template <std::derived_from<fiber_handle>... Handles> std::size_t wait_any(Handles&... handles) {
    return *detail::wait_any(std::vector<detail::handle_reference>{handles...}, never);
}

// None if none had ended by then.
template <detail::handle_range Range>
std::optional<std::size_t> wait_any_until(Range& handles, time_point deadline) {
    return detail::wait_any(detail::references(handles), deadline);
}
template <detail::handle_range Range, class Rep, class Period>
std::optional<std::size_t> wait_any_for(Range& handles, std::chrono::duration<Rep, Period> duration) {
    return wait_any_until(handles, deadline_after(duration));
}

} // namespace weft
