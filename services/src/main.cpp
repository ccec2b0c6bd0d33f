// The weft program: its command line.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "doctor.hpp"
#include "echo.hpp"
#include "hello.hpp"
#include "log.hpp"
#include "run_command.hpp"
#include "service.hpp"
#include "usage.hpp"

namespace {

using namespace weft::services;
using weft::net::endpoint;

constexpr int usage_error = 2;

struct server_arguments {
    std::string listen;
    std::size_t workers = 1;
    std::size_t max_connections = 0;
    double drain = 30;
};

constexpr std::size_t most_workers = 256;
constexpr std::size_t most_connections = 100'000'000;
constexpr double longest_drain = 86'400;

// CLI::Range lets NaN pass.
std::string check_seconds(std::string const& text) {
    double value = 0;
    bool const number = CLI::detail::lexical_cast(text, value);
    if (number && value >= 0 && value <= longest_drain)
        return {};
    return fmt::format("'{}' is no number of seconds from 0 to {}", text, longest_drain);
}

CLI::Validator const seconds(check_seconds, "0..86400", "seconds");

void add_common_options(CLI::App& command, server_arguments& arguments) {
    command.add_option("--workers", arguments.workers, "Threads that serve, each with its own listener")
        ->type_name("N")
        ->check(CLI::Range(std::size_t{1}, most_workers))
        ->capture_default_str();
    command
        .add_option(
            "--max-connections", arguments.max_connections,
            "Connections served at once; further ones wait in the backlog [default: what ulimit -n allows]")
        ->type_name("N")
        ->check(CLI::Range(std::size_t{1}, most_connections));
    command
        .add_option(
            "--drain", arguments.drain,
            "Seconds that open connections get to finish after SIGINT or SIGTERM; a second signal ends at once")
        ->type_name("SECONDS")
        ->check(seconds)
        ->capture_default_str();
}

host_options options_of(server_arguments const& arguments) {
    return {.workers = arguments.workers,
            .max_connections = arguments.max_connections,
            .drain = std::chrono::milliseconds(std::llround(arguments.drain * 1000)),
            .show_try_lines = false};
}

std::string examples(std::string const& name, std::string const& try_it) {
    return fmt::format("Examples:\n"
                       "  weft {0}                               then: {1}\n"
                       "  weft {0} --listen 0.0.0.0:9000 --workers 2\n"
                       "  weft {0} --listen unix:/tmp/{0}.sock",
                       name, try_it);
}

CLI::App* add_server(CLI::App& program, std::string const& name, std::string const& about,
                     std::string const& listen, std::string const& try_it, server_arguments& arguments) {
    CLI::App* const command = program.add_subcommand(name, about);
    arguments.listen = listen;
    command
        ->add_option("--listen", arguments.listen,
                     "Where to listen: HOST:PORT (port 0: any free one) or unix:PATH")
        ->type_name("ADDRESS")
        ->capture_default_str();
    add_common_options(*command, arguments);
    command->footer(examples(name, try_it));
    return command;
}

int run_one(service (*make)(endpoint const&), server_arguments const& arguments) {
    return host({make(endpoint::parse(arguments.listen))}, options_of(arguments));
}

int run_all(server_arguments const& arguments) {
    host_options options = options_of(arguments);
    options.show_try_lines = true;
    return host(
        {echo_service(endpoint::parse("127.0.0.1:7000")), hello_service(endpoint::parse("127.0.0.1:8080"))},
        options);
}

CLI::App* add_run_command(CLI::App& program, run_command_options& options) {
    CLI::App* const command = program.add_subcommand(
        "run", "Run any program with its blocking calls patched, its main thread a fiber");
    command->add_flag("--stats", options.statistics, "At its exit, print on stderr how often it parked");
    command->add_flag(
        "--files", options.files,
        "Let other threads wait for disks and file locks (open, read, write, fsync, flock ...)");
    command->footer(
        "weft run [OPTIONS] [--] PROGRAM [ARGUMENT...]: the program must be linked dynamically. Processes\n"
        "that it starts are patched, too.\n"
        "Example: weft run --stats -- python3 server.py");
    return command;
}

CLI::App* add_doctor_command(CLI::App& program, doctor_options& options) {
    CLI::App* const command =
        program.add_subcommand("doctor", "Tell which blocking calls of a program stay unpatched");
    command->add_option("FILE", options.names, "Programs, scripts or shared libraries")
        ->type_name("")
        ->required();
    command->add_flag("--json", options.json, "Print one JSON document");
    command->add_flag("--files", options.diagnosis.files,
                      "As with weft run --files, or weft::patch({.files = true})");
    command
        ->add_option("--allow", options.diagnosis.allowed,
                     "A call, or a library with all its calls, that may stay unpatched (repeatable)")
        ->type_name("NAME")
        ->take_all()
        ->expected(1);
    command->footer(
        "For each file that the program would load, without running it:\n"
        "  patched       the fiber waits, others run\n"
        "  offloaded     another thread makes the call\n"
        "  blocking      the worker waits in libc, perhaps without end, and its fibers with it\n"
        "  unreachable   system calls past libc\n"
        "  pass-through  left to libc by design: what waits for the disk, for instance\n"
        "and in the end why. Reads of wide streams count as blocking in the FILE itself, if it has streams that are\n"
        "no files (stdin, fdopen, popen).\n"
        "\n"
        "Exit code: 0; 1 if something blocking stays unpatched, or nothing can be patched (statically linked);\n"
        "2 on wrong usage; 126 for a file that can't be examined, 127 for one that isn't there.\n"
        "\n"
        "Examples:\n"
        "  weft doctor psql /usr/lib/x86_64-linux-gnu/libpq.so.5\n"
        "  weft doctor --json --allow flock --allow libcrypto.so.3 ./server");
    return command;
}

// `weft run`'s program with its arguments, taken off `arguments`: from the first that is no option on, or after "--".
std::vector<std::string> take_program(std::vector<std::string>& arguments) {
    if (arguments.empty() || arguments.front() != "run")
        return {};
    auto const is_option = [](std::string const& word) { return word.starts_with("-") && word != "--"; };
    auto const end = std::find_if_not(arguments.begin() + 1, arguments.end(), is_option);
    std::vector<std::string> command(end, arguments.end());
    arguments.erase(end, arguments.end());
    if (!command.empty() && command.front() == "--")
        command.erase(command.begin());
    return command;
}

int run_program(run_command_options const& options) {
    if (!options.command.empty())
        return run_command(options);
    log_line("run: which program? Usage: weft run [OPTIONS] [--] PROGRAM [ARGUMENT...]");
    return usage_error;
}

} // namespace

int main(int argc, char** argv) {
    CLI::App program("Servers in plain blocking style that scale like event loops.", "weft");
    program.set_version_flag("--version", "weft " WEFT_VERSION);
    program.require_subcommand(1);
    program.footer("'weft COMMAND --help' tells of a command's options.");
    server_arguments echo;
    server_arguments hello;
    server_arguments all;
    CLI::App* const echo_command =
        add_server(program, "echo", "Send back what comes: the textbook's recv/send loop", "127.0.0.1:7000",
                   "echo hello | nc -N 127.0.0.1 7000", echo);
    CLI::App* const hello_command = add_server(program, "hello", "HTTP: GET /NAME answers \"Hello, NAME\"",
                                               "127.0.0.1:8080", "curl http://127.0.0.1:8080/World", hello);
    CLI::App* const serve_command = program.add_subcommand(
        "serve", "All bundled services, each at its usual address, with a line to try it");
    add_common_options(*serve_command, all);
    serve_command->footer("Examples:\n"
                          "  weft serve                then: curl http://127.0.0.1:8080/World\n"
                          "  weft serve --workers 2");
    doctor_options doctor;
    CLI::App* const doctor_command = add_doctor_command(program, doctor);
    run_command_options run;
    CLI::App* const run_command_parsed = add_run_command(program, run);
    std::vector<std::string> arguments(argv + 1, argv + argc);
    run.command = take_program(arguments);
    try {
        program.parse(
            std::vector<std::string>(arguments.rbegin(), arguments.rend())); // it takes them from the back
    } catch (CLI::ParseError const& error) {
        if (error.get_exit_code() == 0)
            return program.exit(error);
        log_line("{}", describe_usage_error(program, error, arguments));
        return usage_error;
    }
    try {
        if (echo_command->parsed())
            return run_one(echo_service, echo);
        if (hello_command->parsed())
            return run_one(hello_service, hello);
        if (serve_command->parsed())
            return run_all(all);
        if (doctor_command->parsed())
            return run_doctor(doctor);
        if (run_command_parsed->parsed())
            return run_program(run);
    } catch (std::invalid_argument const& error) {
        log_line("{}", error.what());
        return usage_error;
    } catch (std::exception const& error) {
        log_line("{}", error.what());
        return 1;
    }
    return 0;
}
