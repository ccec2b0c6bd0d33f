#include "dead_end.hpp"

#include <dirent.h>

#include <string>
#include <unordered_map>
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

// Who waits for whom.
class wait_graph {
public:
    explicit wait_graph(std::span<fiber_core const* const> fibers) : fibers_(fibers) {
        for (fiber_core const* const each : fibers)
            owners_.emplace(each->lock_owner, each);
    }

    [[nodiscard]] std::string describe_wait(fiber_core const& fiber) const {
        wait_reason const& reason = fiber.reason;
        if (reason.fiber() != nullptr)
            return "the end of " + describe(*reason.fiber());
        std::string text = reason.operation();
        if (reason.object() != nullptr) {
            std::string const object = reason.object()->describe();
            text = object.starts_with(text) ? object : text + " on " + object;
            if (fiber_core const* const holder = awaited(fiber))
                text += std::string(", held by \"") + holder->name + "\"";
            else if (int const unknown = reason.object()->holder())
                text += ", held by " + describe_owner(unknown);
        } else if (reason.subject() != -1) {
            text += " (" + std::to_string(reason.subject()) + ")";
        }
        return text;
    }

    // Those of a circle, in the order in which they wait for each other; empty if there is none.
    [[nodiscard]] std::vector<fiber_core const*> find_circle() const {
        std::unordered_map<fiber_core const*, fiber_core const*> found_from;
        for (fiber_core const* const start : fibers_) {
            fiber_core const* each = start;
            while (each != nullptr && found_from.emplace(each, start).second)
                each = awaited(*each);
            if (each != nullptr && found_from[each] == start)
                return circle_of(*each);
        }
        return {};
    }

private:
    // The fiber that must act for this one to go on; null if that isn't known, or is none of them.
    [[nodiscard]] fiber_core const* awaited(fiber_core const& fiber) const {
        wait_reason const& reason = fiber.reason;
        if (reason.object() == nullptr)
            return reason.fiber();
        auto const holder = owners_.find(reason.object()->holder());
        return holder != owners_.end() ? holder->second : nullptr;
    }

    [[nodiscard]] std::vector<fiber_core const*> circle_of(fiber_core const& one) const {
        std::vector<fiber_core const*> circle;
        fiber_core const* each = &one;
        do {
            circle.push_back(each);
            each = awaited(*each);
        } while (each != &one);
        return circle;
    }

    std::span<fiber_core const* const> fibers_;
    std::unordered_map<int, fiber_core const*> owners_;
};

} // namespace

std::string report_dead_end(std::span<fiber_core const* const> fibers) {
    std::string text = "weft: dead end: no fiber can ever run again, as each waits for another:";
    wait_graph const graph(fibers);
    std::size_t lines = 0;
    for (fiber_core const* const each : fibers) {
        if (++lines > most_lines) {
            text += "\n  ... and " + std::to_string(fibers.size() - most_lines) + " more";
            break;
        }
        text += "\n  " + describe(*each) + " waits for " + graph.describe_wait(*each);
    }
    auto const circle = graph.find_circle();
    if (circle.empty())
        return text;
    text += "\nin a circle:";
    for (fiber_core const* const each : circle)
        text += "\n  " + std::string("\"") + each->name + "\" waits for " + graph.describe_wait(*each);
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
