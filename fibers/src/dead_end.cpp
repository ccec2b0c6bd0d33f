#include "dead_end.hpp"

#include <dirent.h>

#include <algorithm>
#include <vector>

#include <weft/detail/helper_thread.hpp>
#include <weft/detail/offload.hpp>
#include <weft/detail/sync_object.hpp>

namespace weft::detail {
namespace {

constexpr std::size_t most_lines = 100;

std::string describe(fiber_core const& fiber) {
    std::string text = std::string("\"") + fiber.name + "\" (fiber " + std::to_string(fiber.id);
    if (*fiber.site.file_name() != '\0')
        text +=
            std::string(", spawned at ") + fiber.site.file_name() + ":" + std::to_string(fiber.site.line());
    return text + ")";
}

// The fiber that must act for this one to go on; null if that isn't known, or is none of them.
fiber_core const* awaited(fiber_core const& fiber, std::span<fiber_core const* const> all) noexcept {
    if (fiber.reason.fiber != nullptr)
        return fiber.reason.fiber;
    int const holder = fiber.reason.object != nullptr ? fiber.reason.object->holder() : 0;
    auto const found =
        std::find_if(all.begin(), all.end(), [&](auto const* each) { return each->lock_owner == holder; });
    return holder != 0 && found != all.end() ? *found : nullptr;
}

// Those of a circle, in the order in which they wait for each other; empty if there is none.
std::vector<fiber_core const*> find_circle(std::span<fiber_core const* const> all) {
    for (fiber_core const* const start : all) {
        std::vector<fiber_core const*> way;
        for (fiber_core const* each = start; each != nullptr; each = awaited(*each, all)) {
            auto const before = std::find(way.begin(), way.end(), each);
            if (before != way.end())
                return {before, way.end()};
            way.push_back(each);
        }
    }
    return {};
}

} // namespace

std::string describe_wait(fiber_core const& fiber, std::span<fiber_core const* const> all) {
    wait_reason const& reason = fiber.reason;
    if (reason.fiber != nullptr)
        return "the end of " + describe(*reason.fiber);
    std::string text = reason.operation;
    if (reason.object != nullptr) {
        std::string const object = reason.object->describe();
        text = object.starts_with(text) ? object : text + " on " + object;
        if (fiber_core const* const holder = awaited(fiber, all))
            text += std::string(", held by \"") + holder->name + "\"";
        else if (int const unknown = reason.object->holder())
            text += ", held by " + describe_owner(unknown);
    } else if (reason.subject != -1) {
        text += " (" + std::to_string(reason.subject) + ")";
    }
    return text;
}

std::string report_dead_end(std::span<fiber_core const* const> fibers) {
    std::string text = "weft: dead end: no fiber can ever run again, as each waits for another:";
    std::size_t lines = 0;
    for (fiber_core const* const each : fibers) {
        if (++lines > most_lines) {
            text += "\n  ... and " + std::to_string(fibers.size() - most_lines) + " more";
            break;
        }
        text += "\n  " + describe(*each) + " waits for " + describe_wait(*each, fibers);
    }
    auto const circle = find_circle(fibers);
    if (circle.empty())
        return text;
    text += "\nin a circle:";
    for (fiber_core const* const each : circle)
        text += "\n  " + std::string("\"") + each->name + "\" waits for " + describe_wait(*each, fibers);
    return text;
}

bool has_foreign_threads(std::size_t workers) {
    if (offloaded_calls() != 0)
        return true;
    DIR* const tasks = ::opendir("/proc/self/task");
    if (tasks == nullptr)
        return true;
    std::size_t count = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone
    while (dirent const* const each = ::readdir(tasks))
        count += each->d_name[0] != '.' ? 1 : 0;
    ::closedir(tasks);
    return count != workers + helper_count();
}

} // namespace weft::detail
