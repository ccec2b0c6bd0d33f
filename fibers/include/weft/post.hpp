// post: starts a fiber on another worker.
#pragma once

#include <cstddef>
#include <functional>

namespace weft {

// Starts `function` as a detached fiber of worker `worker` of this run. It counts as live from now on: weft::run waits
// for it. An exception that leaves it goes to run_options::on_unhandled. Callable on fibers only; throws
// std::logic_error elsewhere, std::out_of_range if there is no such worker.
void post(std::size_t worker, std::function<void()> function);

} // namespace weft
