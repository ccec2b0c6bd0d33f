// gather: runs several functions at once, and returns what all of them return. map: one function for many values, a few at once.
//
//     auto [user, orders] = weft::gather([&] { return load_user(id); }, [&] { return load_orders(id); });
//     std::vector<page> pages = weft::map(urls, fetch, 10); // at most ten at once
//
// The results come in the order in which the functions, or values, were given; of one that returns void, std::monostate. The first exception
// ends it: the others are cancelled and waited for, and the exception is thrown as it is. If the caller is cancelled, so are they; weft::cancelled
// is thrown when they have ended.
//
// On fibers only: std::logic_error.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <weft/as_completed.hpp>
#include <weft/fiber.hpp>
#include <weft/wait.hpp>

namespace weft {

namespace detail {

template <class R> using value_of = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

template <class R> value_of<R> get_value(fiber<R>& from) {
    if constexpr (std::is_void_v<R>) {
        from.get();
        return {};
    } else {
        return from.get();
    }
}

// Cancels those handles' fibers whose place isn't `but`.
void cancel_others(std::span<handle_reference const> handles, std::size_t but, char const* reason);

// Until all have ended, or one has failed: then the others are cancelled, and it is thrown.
void wait_for_success(std::vector<handle_reference> handles);

// A fiber as it is, a function as a fiber.
template <class R> fiber<R> as_fiber(fiber<R>&& one) { return std::move(one); }
template <class F> auto as_fiber(F&& function) { return spawn(std::forward<F>(function)); }

} // namespace detail

// Functions, or fibers that are moved in.
template <class First, class... Rest>
    requires(!std::ranges::range<First>)
auto gather(First&& first, Rest&&... rest) {
    std::tuple fibers{detail::as_fiber(std::forward<First>(first)),
                      detail::as_fiber(std::forward<Rest>(rest))...};
    return std::apply(
        [](auto&... each) {
            detail::wait_for_success({each...});
            return std::tuple{detail::get_value(each)...};
        },
        fibers);
}

// All of those fibers.
template <class R> void gather(std::vector<fiber<R>>& fibers) = delete; // it takes them over: std::move them
template <class R> auto gather(std::vector<fiber<R>>&& fibers) {
    std::vector<std::optional<detail::value_of<R>>> found(fibers.size());
    completed_fibers<R> all(std::move(fibers));
    while (auto const place = all.next())
        found[*place].emplace(detail::get_value(all[*place]));
    std::vector<detail::value_of<R>> values;
    values.reserve(found.size());
    for (auto& each : found)
        values.push_back(std::move(*each));
    return values;
}

// function(value) for each value of `inputs`, at most `limit` at once, by as many fibers. Throws std::invalid_argument if the limit is 0.
template <std::ranges::forward_range Inputs, class F>
auto map(Inputs&& inputs, F&& function, std::size_t limit) {
    using value = std::ranges::range_reference_t<Inputs>;
    using result = detail::value_of<std::invoke_result_t<F&, value>>;
    if (limit == 0)
        throw std::invalid_argument("weft::map: with a limit of 0, nothing would ever begin");
    auto next = std::ranges::begin(inputs);
    auto const end = std::ranges::end(inputs);
    auto const count = static_cast<std::size_t>(std::ranges::distance(inputs));
    std::vector<std::optional<result>> found(count);
    std::size_t begun = 0;
    auto const work = [&] {
        while (next != end) {
            std::size_t const place = begun++;
            auto const mine = next++;
            if constexpr (std::is_void_v<std::invoke_result_t<F&, value>>) {
                function(*mine);
                found[place].emplace();
            } else {
                found[place].emplace(function(*mine));
            }
        }
    };
    std::vector<fiber<>> workers;
    for (std::size_t i = 0; i < std::min(limit, count); ++i)
        workers.push_back(spawn(work));
    gather(std::move(workers));
    std::vector<result> values;
    values.reserve(count);
    for (auto& each : found)
        values.push_back(std::move(*each));
    return values;
}

} // namespace weft
