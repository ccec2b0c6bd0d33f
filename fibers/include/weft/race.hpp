// race: runs several functions at once; the first that ends wins.
//
//     page const first = weft::race([&] { return fetch(here); }, [&] { return fetch(there); });
//
// Returns what the winner returns, or throws what it throws, once the others have ended: they are cancelled. If all return the same type, it is that; else
// a std::variant, whose index() is the winner's place, with std::monostate for void. If the caller is cancelled, so are they; weft::cancelled is
// thrown when they have ended.
//
// On fibers only: std::logic_error.
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <weft/gather.hpp>

namespace weft {

namespace detail {

template <class First, class... Rest> inline constexpr bool all_same = (std::is_same_v<First, Rest> && ...);

template <class Result, std::size_t Place, class First, class... Rest>
Result winner(std::size_t place, First& first, Rest&... rest) {
    if constexpr (sizeof...(Rest) > 0)
        if (place != Place)
            return winner<Result, Place + 1>(place, rest...);
    using value = value_of<typename First::result_type>;
    if constexpr (std::is_void_v<Result>)
        first.get();
    else if constexpr (std::is_same_v<Result, value>)
        return first.get();
    else
        return Result(std::in_place_index<Place>, get_value(first));
}

template <class... R>
using race_result = std::conditional_t<all_same<R...>, std::tuple_element_t<0, std::tuple<R...>>,
                                       std::variant<value_of<R>...>>;

} // namespace detail

// Functions, or fibers that are moved in.
template <class... Racers>
    requires(sizeof...(Racers) > 0)
auto race(Racers&&... racers) {
    std::tuple fibers{detail::as_fiber(std::forward<Racers>(racers))...};
    return std::apply(
        [](auto&... each) {
            using result =
                detail::race_result<typename std::remove_reference_t<decltype(each)>::result_type...>;
            std::size_t const first = wait_any(each...);
            detail::cancel_others(std::vector<detail::handle_reference>{each...}, first,
                                  "another one has won the race");
            return detail::winner<result, 0>(first, each...);
        },
        fibers);
}

} // namespace weft
