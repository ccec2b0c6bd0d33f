#include "unhandled.hpp"

#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <typeinfo>

#include "worker.hpp"
#include "worker_group.hpp"

namespace weft::detail {

std::string describe(std::exception_ptr const& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (std::exception const& e) {
        int status = 0;
        char* const name = abi::__cxa_demangle(typeid(e).name(), nullptr, nullptr, &status);
        std::string text = std::string(e.what()) + " (" + (name != nullptr ? name : typeid(e).name()) + ")";
        std::free(name);
        return text;
    } catch (...) {
        return "an exception that is no std::exception";
    }
}

void report_unhandled(std::string_view fiber, std::exception_ptr const& exception) noexcept {
    if (this_worker != nullptr)
        this_worker->group().options.on_unhandled(fiber, exception);
    else
        print_unhandled(fiber, exception);
}

void print_unhandled(std::string_view fiber, std::exception_ptr const& exception) {
    std::string const text = describe(exception);
    std::fprintf(stderr, "weft: fiber \"%.*s\" ended by an exception: %s\n", static_cast<int>(fiber.size()),
                 fiber.data(), text.c_str());
}

} // namespace weft::detail
