#include <thread>
#include <utility>

#include <weft/detail/fiber_core.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/scope.hpp>
#include <weft/detail/task.hpp>
#include <weft/offload.hpp>
#include <weft/this_fiber.hpp>

namespace weft::this_fiber {

using detail::current_fiber;

void yield() noexcept {
    if (current_fiber != nullptr)
        detail::yield();
    else
        std::this_thread::yield();
}

void sleep_until(time_point deadline) {
    if (current_fiber == nullptr) {
        std::this_thread::sleep_until(deadline);
        return;
    }
    detail::throw_if_cancelled();
    if (detail::sleep_until({"sleep"}, deadline, detail::interruption::none, detail::own_cancellation()) ==
        detail::wake_cause::cancelled)
        detail::throw_cancelled();
}

std::uint64_t id() noexcept { return current_fiber != nullptr ? current_fiber->id : 0; }

std::string_view name() noexcept {
    if (current_fiber != nullptr)
        return current_fiber->name;
    return detail::current_offload != nullptr ? detail::current_offload->name() : std::string_view();
}

void set_name(std::string_view name) noexcept {
    if (current_fiber != nullptr)
        detail::set_name(*current_fiber, name);
}

time_point deadline() noexcept {
    if (current_fiber != nullptr)
        return detail::bounds_of(current_fiber->scope).deadline;
    return detail::current_offload != nullptr ? detail::current_offload->deadline() : never;
}

std::stop_token get_stop_token() {
    if (current_fiber != nullptr)
        return detail::stop_token_of(*current_fiber);
    return detail::current_offload != nullptr ? detail::current_offload->stop().get_token()
                                              : std::stop_token();
}

no_switch::no_switch(source_location place) noexcept : region_{.outer = nullptr, .place = place} {
    if (current_fiber != nullptr)
        region_.outer = std::exchange(current_fiber->no_switch, &region_);
}

no_switch::~no_switch() {
    if (current_fiber != nullptr)
        current_fiber->no_switch = region_.outer;
}

} // namespace weft::this_fiber
