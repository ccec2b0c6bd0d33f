#include "diagnosis_json.hpp"

#include <utility>

#include <boost/json/array.hpp>

#include "diagnosis_text.hpp"

namespace weft::services {
namespace {

namespace json = boost::json;

char const* name_of(call_state state) {
    switch (state) {
    case call_state::patched: return "patched";
    case call_state::offloaded: return "offloaded";
    case call_state::blocking: return "blocking";
    case call_state::raw: return "unreachable";
    case call_state::pass_through: return "pass-through";
    case call_state::elsewhere: break;
    }
    return "not libc's";
}

char const* name_of(elf_kind kind) {
    switch (kind) {
    case elf_kind::program: return "program";
    case elf_kind::static_program: return "static program";
    case elf_kind::library: break;
    }
    return "library";
}

json::array names(std::vector<std::string> const& all) {
    json::array list;
    for (std::string const& each : all)
        list.emplace_back(printable(each));
    return list;
}

json::object describe_call(call_finding const& call) {
    json::object object{{"name", call.name}, {"state", name_of(call.state)}};
    if (!call.group.empty())
        object["group"] = printable(call.group);
    if (!call.reason.empty())
        object["reason"] = call.reason;
    if (!call.place.empty())
        object["address"] = call.place;
    if (call.allowed)
        object["allowed"] = true;
    return object;
}

} // namespace

json::object to_json(diagnosis const& found) {
    json::array files;
    for (file_findings const& file : found.files) {
        json::array calls;
        for (call_finding const& call : file.calls)
            calls.push_back(describe_call(call));
        files.push_back(json::object{{"name", printable(file.name)},
                                     {"path", printable(file.path)},
                                     {"libc", file.is_libc},
                                     {"loads_more", file.loads_more},
                                     {"calls", std::move(calls)},
                                     {"replaced", names(file.replaced)},
                                     {"kept", names(file.kept)}});
    }
    return {{"name", printable(found.name)},        {"path", printable(found.path)},
            {"image", printable(found.image)},      {"kind", name_of(found.kind)},
            {"patch_layer", found.has_patch_layer}, {"obstacles", names(found.obstacles)},
            {"unpatched", count_unpatched(found)},  {"files", std::move(files)}};
}

} // namespace weft::services
