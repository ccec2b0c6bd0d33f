// exception_group: what several fibers failed with, together.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace weft {

class exception_group : public std::exception {
public:
    struct failure {
        std::string fiber; // its name
        std::exception_ptr exception;
    };

    // In the order in which they happened; at least one.
    explicit exception_group(std::vector<failure> failures);

    [[nodiscard]] std::vector<failure> const& failures() const noexcept { return *failures_; }

    // A line for each failure: the fiber's name, and what the exception says.
    [[nodiscard]] char const* what() const noexcept override { return text_->c_str(); }

    // The first failure that is an E, in groups inside this one, too; null if none is. Valid as long as the group.
    template <class E> [[nodiscard]] E const* find() const {
        for (failure const& each : *failures_)
            try {
                std::rethrow_exception(each.exception);
            } catch (E const& found) {
                return &found; // the exception itself, which the failure keeps
            } catch (exception_group const& inner) {
                if (E const* const found = inner.find<E>())
                    return found;
            } catch (...) { // another kind
            }
        return nullptr;
    }

private:
    // Shared: copying an exception must not throw.
    std::shared_ptr<std::vector<failure> const> failures_;
    std::shared_ptr<std::string const> text_;
};

} // namespace weft
