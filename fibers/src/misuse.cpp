#include <cstdio>
#include <cstdlib>

#include <weft/detail/misuse.hpp>

namespace weft::detail {

void fail_misuse(char const* what) noexcept {
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

} // namespace weft::detail
