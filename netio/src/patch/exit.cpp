// exit(3) on a fiber: see exit.hpp.
#include <cstdlib>

#include <weft/detail/exit.hpp>

#include "libc_function.hpp"

namespace {

constexpr weft::detail::libc_function<"exit", void(int)> libc_exit;

} // namespace

extern "C" void exit(int status) noexcept {
    if (weft::detail::on_spawned_fiber())
        weft::detail::exit_on_main(status);
    libc_exit(status);
    __builtin_unreachable();
}
