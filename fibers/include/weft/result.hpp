// result<R>: what a fiber came to, a value or an exception, as a value that can be looked at without catching anything.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace weft {

template <class R = void> class [[nodiscard]] result {
    using stored =
        std::conditional_t<std::is_void_v<R>, std::nullptr_t,
                           std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R>>;

public:
    using value_type = R;

    // Of a function that returned. For void: result<>(std::in_place).
    template <class... Arguments>
    explicit result(std::in_place_t, Arguments&&... arguments) requires(!std::is_reference_v<R>)
        : value_(std::in_place, std::forward<Arguments>(arguments)...) {}
    result(std::in_place_t, std::conditional_t<std::is_reference_v<R>, R, std::nullptr_t> target) requires
        std::is_reference_v<R> : value_(std::addressof(target)) {}

    // Of one that threw. `error` must not be null.
    explicit result(std::exception_ptr error) noexcept : error_(std::move(error)) {}

    [[nodiscard]] bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return has_value(); }

    // The exception; null if there is a value.
    [[nodiscard]] std::exception_ptr const& error() const noexcept { return error_; }

    // The value, or the exception thrown.
    std::add_lvalue_reference_t<R> value() & {
        require();
        if constexpr (std::is_reference_v<R>)
            return **value_;
        else if constexpr (!std::is_void_v<R>)
            return *value_;
    }
    R value() && {
        require();
        if constexpr (std::is_reference_v<R>)
            return static_cast<R>(**value_);
        else if constexpr (!std::is_void_v<R>)
            return std::move(*value_);
    }

    // The value, or `other`.
    template <class Other>
    [[nodiscard]] R value_or(Other&& other) const& requires(!std::is_void_v<R> && !std::is_reference_v<R>) {
        return has_value() ? *value_ : static_cast<R>(std::forward<Other>(other));
    }

    // As value(), for who knows that there is one.
    std::add_lvalue_reference_t<R> operator*() & { return value(); }
    R operator*() && { return std::move(*this).value(); }
    auto* operator->() requires(!std::is_void_v<R>) { return std::addressof(value()); }

private:
    void require() const {
        if (error_)
            std::rethrow_exception(error_);
    }

    std::optional<stored> value_;
    std::exception_ptr error_;
};

} // namespace weft
