// switch_exchange: makes another library's variables of a thread variables of its fibers.
//
// A library may keep in a thread_local variable what the present call is inside of, as Asio does with the io_contexts that the thread
// runs. With several fibers on a thread that is wrong: each is inside of calls of its own, and leaves them in an order of its own.
// thread_local variables are common to the fibers of a worker otherwise, on purpose.
#pragma once

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

// Stores the library's variables of this thread in `leaving`, and sets them to `next`. Called at every switch, on the fiber that is
// left: it must not wait, nor allocate.
using switch_exchange = void (*)(library_state& leaving, library_state const& next) noexcept;

// From now on, the switches of all workers make `exchange`; null: none. There is one for the process, the latest. Any thread. To be called
// before a fiber is inside of the library: by a static initializer.
void exchange_at_switches(switch_exchange exchange) noexcept;

} // namespace weft::detail
