#include <weft/detail/lock_owner.hpp>
#include <weft/detail/sync_object.hpp>

namespace weft::detail {

std::string sync_object::describe() const {
    std::string text = kind_;
    if (*name_ != '\0')
        text.append(" \"").append(name_).append("\"");
    return text;
}

std::string sync_object::complain(char const* what) const { return "weft::" + describe() + ": " + what; }

std::string describe_owner(int owner) {
    int const first = fiber_lock_owner(0);
    return owner >= first ? "fiber " + std::to_string(owner - first) : "thread " + std::to_string(owner);
}

} // namespace weft::detail
