#include <exception>
#include <utility>

#include <weft/detail/task.hpp>
#include <weft/gather.hpp>

#include "handle_access.hpp"

namespace weft::detail {

void cancel_others(std::span<handle_reference const> handles, std::size_t but, char const* reason) {
    for (std::size_t i = 0; i < handles.size(); ++i)
        if (i != but && !handles[i].get().done())
            handles[i].get().cancel(reason);
}

void wait_for_success(std::vector<handle_reference> handles) {
    auto const all = handles;
    while (!handles.empty()) {
        std::size_t const place = *wait_any(handles, never);
        fiber_core const& ended = handle_access::core(handles[place], "gather");
        if (ended.end != fiber_end::returned) {
            cancel_others(all, all.size(), "another one that was gathered with it has failed");
            std::rethrow_exception(std::exchange(ended.task->failure, nullptr));
        }
        handles.erase(handles.begin() + static_cast<std::ptrdiff_t>(place));
    }
}

} // namespace weft::detail
