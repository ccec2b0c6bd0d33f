// Python's urllib, in an interpreter inside the test.
//
// Python thinks in threads, each with a PyThreadState, of which the one that holds the GIL runs. Here each fiber has one. Around
// every call that may wait, Python gives the GIL back, remembers the state on its stack, which is the fiber's, and takes both
// up again afterwards; so other fibers' states run in between, on the same thread. What Python keeps by thread and not
// by state (threading.get_ident, the owner of an RLock) the fibers share.
//
// First, as Python.h asks for.
#include <Python.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/run.hpp>

#include "clients/concurrent_operations.hpp"

#if defined(__SANITIZE_ADDRESS__)
// Python 3.11 forgets some 24 kB when it ends; the same ones without weft, and without any fiber.
extern "C" char const* __lsan_default_suppressions() { return "leak:libpython3\n"; }
#endif

namespace {

constexpr char const* program = R"(
import urllib.request

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever the environment says

def get(url):
    with opener.open(url) as response:
        return response.status, response.read().decode()
)";

// Python, with that program loaded. While nobody uses it, nobody holds the GIL.
class interpreter {
public:
    interpreter() {
        PyConfig config;
        PyConfig_InitIsolatedConfig(&config);
        // Not that of the first python3 in PATH, which may be another version's.
        PyConfig_SetBytesString(&config, &config.home, PYTHON_PREFIX);
        PyStatus const status = Py_InitializeFromConfig(&config);
        PyConfig_Clear(&config);
        if (PyStatus_Exception(status) != 0)
            throw std::runtime_error(status.err_msg);
        auto* const names = PyModule_GetDict(PyImport_AddModule("__main__"));
        Py_XDECREF(PyRun_String(program, Py_file_input, names, names));
        get_ = PyDict_GetItemString(names, "get"); // theirs, as long as there is an interpreter
        if (PyErr_Occurred() != nullptr)
            PyErr_Print();
        main_ = PyEval_SaveThread();
    }
    interpreter(interpreter const&) = delete;
    interpreter& operator=(interpreter const&) = delete;
    ~interpreter() {
        PyEval_RestoreThread(main_);
        BOOST_TEST(Py_FinalizeEx() == 0);
    }

    [[nodiscard]] PyInterpreterState* state() const { return PyThreadState_GetInterpreter(main_); }
    [[nodiscard]] PyObject* get() const { return get_; }

private:
    PyObject* get_ = nullptr;
    PyThreadState* main_ = nullptr;
};

// What Python takes for a thread: one fiber's, at a time.
class python_thread {
public:
    explicit python_thread(interpreter const& python)
        : python_(&python), state_(PyThreadState_New(python.state())) {
        BOOST_REQUIRE(state_ != nullptr);
    }
    python_thread(python_thread&& other) noexcept
        : python_(other.python_), state_(std::exchange(other.state_, nullptr)) {}
    python_thread& operator=(python_thread&&) = delete;
    ~python_thread() {
        if (state_ == nullptr)
            return;
        PyEval_RestoreThread(state_);
        PyThreadState_Clear(state_);
        PyThreadState_DeleteCurrent();
    }

    // The body of the response.
    [[nodiscard]] std::string get(std::string const& path) const {
        std::string const url = "http://" + clients::server_host() + ":" + clients::server_port() + path;
        std::string body;
        long status = 0;
        PyEval_RestoreThread(state_);
        PyObject* const response = PyObject_CallFunction(python_->get(), "s", url.c_str());
        char const* text = nullptr;
        if (response != nullptr && PyArg_ParseTuple(response, "ls", &status, &text) != 0)
            body = text;
        else
            PyErr_Print();
        Py_XDECREF(response);
        PyEval_SaveThread();
        BOOST_TEST(status == 200);
        return body;
    }

private:
    interpreter const* python_;
    PyThreadState* state_;
};

} // namespace

BOOST_AUTO_TEST_CASE(requests_wait_side_by_side) {
    interpreter const python;
    weft::run([&python] {
        // The first request of all imports modules.
        auto threads = clients::connect_on_fibers([&python] {
            python_thread thread(python);
            BOOST_TEST(thread.get("/hello") == "hello\n");
            return thread;
        });
        clients::check_that_operations_wait_side_by_side(
            threads, [](python_thread const& thread, int number) {
                auto const n = std::to_string(number);
                bool const right = thread.get("/slow?n=" + n) == clients::repeated("answer " + n + "\n", 200);
                BOOST_TEST(right);
            });
    });
}
