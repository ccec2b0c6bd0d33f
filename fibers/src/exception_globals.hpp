// The C++ runtime keeps the exceptions being handled, and the count of those in flight, per thread. A fiber that
// yields inside a catch block needs its own: these functions let the scheduler swap them at each switch.
//
// From Boost 1.88 on, Boost.Context does it itself, and swapping twice would undo it.
#pragma once

#include <cxxabi.h>

#include <boost/version.hpp>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

class exception_globals {
public:
#if BOOST_VERSION < 108800
    // The calling thread's. Valid as long as the thread.
    exception_globals() noexcept : globals_(reinterpret_cast<exception_state*>(abi::__cxa_get_globals())) {}

    void swap(exception_state& out, exception_state const& in) const noexcept {
        out = *globals_;
        *globals_ = in;
    }

private:
    exception_state* globals_;
#else
    void swap(exception_state& /*out*/, exception_state const& /*in*/) const noexcept {}
#endif
};

} // namespace weft::detail
