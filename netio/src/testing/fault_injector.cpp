#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

#include <weft/testing/fault_injector.hpp>

#include "fault_plan.hpp"

namespace weft::testing {
namespace {

using weft::detail::fault_plan;

void require_share(double rate, char const* name, bool all_allowed) {
    if (rate >= 0 && (all_allowed ? rate <= 1 : rate < 1)) // and not if it is no number
        return;
    throw std::invalid_argument(std::string("weft::testing::fault_injector: ") + name +
                                " must be from 0 to 1" +
                                (all_allowed ? "" : ", and less than 1, or no call would ever succeed"));
}

} // namespace

fault_injector::fault_injector(fault_options const& options)
    : seed_(options.seed), exceptions_(std::uncaught_exceptions()) {
    require_share(options.short_reads, "short_reads", true);
    require_share(options.short_writes, "short_writes", true);
    require_share(options.interruptions, "interruptions", false);
    require_share(options.would_block, "would_block", false);
    require_share(options.resets, "resets", true);
    require_share(options.delays, "delays", true);
    if (!fault_plan::only().begin(options))
        throw std::logic_error("weft::testing::fault_injector: there is one already; it has to end first");
}

fault_injector::~fault_injector() {
    fault_plan::only().end();
    if (std::uncaught_exceptions() > exceptions_)
        std::fprintf(stderr, "weft: faults were injected with WEFT_TEST_SEED=%u\n", seed_);
}

fault_counts fault_injector::counts() const noexcept { return fault_plan::only().counts(); }

} // namespace weft::testing
