#include <stdexcept>
#include <string>

#include <weft/patch.hpp>

#include "../disk.hpp"
#include "lock_layouts.hpp"
#include "patched_calls.hpp"

namespace weft {

void patch(patch_options const& options) {
    if (char const* const missed = detail::first_unpatched_call())
        throw std::runtime_error(
            "weft::patch: calls of " + std::string(missed) +
            " go to another library's function, not to weft's; link weft::patch into the "
            "program itself, and preload nothing that defines " +
            missed);
    if (char const* const unknown = detail::first_unknown_layout())
        throw std::runtime_error(
            "weft::patch: this libc keeps " + std::string(unknown) +
            " otherwise than glibc 2.34 to 2.41, so weft can't wait for it; build weft for this libc");
    detail::files_are_offloaded = options.files;
}

} // namespace weft
