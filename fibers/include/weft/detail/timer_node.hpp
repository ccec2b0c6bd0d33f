// timer_node: something of a worker's that is due at a time; what the worker's timer queue holds.
#pragma once

#include <cstddef>

#include <weft/clock.hpp>

namespace weft::detail {

struct timer_node {
    time_point deadline = never; // when it is to expire
    time_point queued = never; // where it sits in the queue, not later than `deadline`; never: it isn't in it
    std::size_t slot = 0;      // valid while queued != never
    // On the worker, but on no fiber: the deadline has passed. The node is out of the queue.
    void (*expire)(timer_node& self) noexcept = nullptr;
};

} // namespace weft::detail
