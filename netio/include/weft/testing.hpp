// The testing kit: time, chance and the outside world in a test's hands.
//
// virtual_clock: time that jumps to the next deadline. random_order, for_each_schedule: orders drawn by a seed. sequencer: turns in a given
// order. at_park: each wait, one by one. memory_stream: a connection without a socket. fault_injector: what system calls may do, drawn by a seed.
#pragma once

#include <weft/testing/at_park.hpp>
#include <weft/testing/fault_injector.hpp>
#include <weft/testing/memory_stream.hpp>
#include <weft/testing/random.hpp>
#include <weft/testing/random_order.hpp>
#include <weft/testing/schedules.hpp>
#include <weft/testing/seed.hpp>
#include <weft/testing/sequencer.hpp>
#include <weft/testing/virtual_clock.hpp>
