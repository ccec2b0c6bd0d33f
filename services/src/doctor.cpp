#include "doctor.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "diagnosis_json.hpp"
#include "diagnosis_text.hpp"
#include "log.hpp"
#include "program_file.hpp"

namespace weft::services {
namespace {

namespace json = boost::json;

bool print(std::string const& text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

} // namespace

int run_doctor(doctor_options const& options) {
    int refused = 0;
    bool unpatched = false;
    std::string text;
    json::array programs;
    for (std::string const& name : options.names) {
        try {
            diagnosis const found = diagnose(name, options.diagnosis);
            unpatched = unpatched || !found.obstacles.empty() || count_unpatched(found) > 0;
            text += text.empty() ? "" : "\n";
            text += describe(found);
            programs.push_back(to_json(found));
        } catch (program_error const& error) {
            log_line("doctor: {}", printable(error.what()));
            programs.push_back(json::object{{"name", printable(name)}, {"error", printable(error.what())}});
            refused = refused == 0 ? error.code : refused;
        }
    }
    if (options.json)
        text =
            json::serialize(json::object{{"weft", WEFT_VERSION}, {"programs", std::move(programs)}}) + '\n';
    if (!print(text)) {
        log_line("doctor: cannot write to standard output");
        return 1;
    }
    return refused != 0 ? refused : static_cast<int>(unpatched);
}

} // namespace weft::services
