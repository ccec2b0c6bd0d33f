"""`weft doctor`: what it says of programs and libraries that are made for it, and of files that are none."""

import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import unittest

from support import SANITIZED, TREE, WEFT, required_program, run_weft, seeded_random

PATCHED = dict(re.findall(r"^CALL\((\w+), (\w+)\)$", (TREE / "netio/src/patch/patched_calls.inc").read_text(), re.M))
UNPATCHED = [name for raw, plain in re.findall(r'unpatched_kind::.*?(?:R"\(([^)]*)\)"|"([\w ]+)")\}',
                                               (TREE / "services/src/unpatched_calls.cpp").read_text(), re.S)
             for name in (raw or plain).split()]

RAW_READ = {"x86_64": 'long n; __asm__ volatile("syscall" : "=a"(n) : "a"(0L), "D"(0L), "S"(b), "d"(1L) : "rcx", "r11", "memory");',
            "aarch64": 'register long n __asm__("x0") = 0; register long c __asm__("x8") = 63;'
                       'register char* p __asm__("x1") = b; register long s __asm__("x2") = 1;'
                       '__asm__ volatile("svc #0" : "+r"(n) : "r"(c), "r"(p), "r"(s) : "memory");'}[platform.machine()]

MAIN = "int main(int argc, char** argv) { (void)argc; (void)argv; %s return 0; }\n"


class DoctorTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="weft-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def compile(self, name, source, *options, compiler="cc"):
        """The path of what `source` becomes, as a C program; with -shared, as a library."""
        path = self.folder / name
        shared = ["-fPIC", f"-Wl,-soname,{name}"] if "-shared" in options else []
        language = "c" if compiler == "cc" else "c++"
        compiled = subprocess.run([required_program(compiler, "g++"), "-w", "-O1", "-x", language, "-o", path, "-", "-x", "none", *shared,
                        "-L", self.folder, "-Wl,-rpath," + str(self.folder), *options],
                       input=source, capture_output=True, text=True)
        self.assertEqual(compiled.returncode, 0, compiled.stderr)
        return str(path)

    def program(self, body, *options, **keywords):
        headers = "".join(f"#include <{name}>\n" for name in (
            "stdio.h", "stdlib.h", "unistd.h", "netdb.h", "sys/file.h", "sys/socket.h", "sys/syscall.h", "dlfcn.h", "termios.h", "wchar.h"))
        return self.compile("program", "#define _GNU_SOURCE\n" + headers + MAIN % body, *options, **keywords)

    def examine(self, *arguments, code):
        """The findings, from JSON; the text is compared to it."""
        ended = run_weft("doctor", "--json", *arguments)
        self.assertEqual((ended.returncode, ended.stderr), (code, ""), ended.stdout)
        programs = json.loads(ended.stdout)["programs"]
        text = run_weft("doctor", *arguments)
        self.assertEqual((text.returncode, text.stderr), (code, ""))
        self.assertEqual(self.states_in_text(text.stdout), [self.states(program) for program in programs], text.stdout)
        return programs[0] if len(programs) == 1 else programs

    @staticmethod
    def states(program):
        """{file: {call: state}}"""
        return {file["name"]: {call["name"]: "allowed" if call.get("allowed") else call["state"] for call in file["calls"]}
                for file in program["files"] if file["calls"]}

    @staticmethod
    def states_in_text(text):
        programs = []
        file = state = None
        for line in text.splitlines():
            if re.match(r"\S.*\Z", line) and (not programs or done):
                programs.append({})
                done = False
            elif re.match(r"\S", line):
                done = True
            elif match := re.match(r"  (\S+)\Z", line):
                file = match[1]
            elif match := re.match(r"    (\S.{12}) (\S.*)| {18}(\S.*)", line):
                state = match[1].strip() if match[1] else state
                if state in ("replaced", "its own"):
                    continue
                calls = programs[-1].setdefault(file, {})
                for word in re.split(r"[,;] ?", match[2] or match[3]):
                    name = re.sub(r" \(0x\w+\)|: of .*", "", word).rpartition(": ")[2]
                    if name:
                        calls[name] = state
        return programs


class Verdicts(DoctorTest):
    def assert_states(self, body, expected, *options, code, arguments=(), **keywords):
        found = self.examine(*arguments, self.program(body, *options, **keywords), code=code)
        actual = self.states(found).get("program", {})
        self.assertEqual({name: actual.get(name) for name in expected}, expected)
        self.assertEqual(found["unpatched"] > 0, code == 1)

    def test_patched_and_offloaded(self):
        self.assert_states("char b; recv(0, &b, 1, 0); getaddrinfo(0, 0, 0, 0);",
                           {"recv": "patched", "getaddrinfo": "offloaded"}, code=0)

    def test_what_does_not_wait_is_not_listed(self):
        self.assert_states("close(0); malloc(1); socket(0, 0, 0);", {"close": None, "malloc": None, "socket": None}, code=0)

    def test_reading_bytes_from_a_stream_is_patched(self):
        self.assert_states("char b[9]; fgets(b, 9, stdin);", {"fgets": "patched"}, code=0)
        self.assert_states("getchar();", {"getchar": "patched"}, "-fno-builtin", "-O0", code=0)

    def test_reading_wide_standard_input_blocks(self):
        self.assert_states("wchar_t b[9]; fgetws(b, 9, stdin);", {"fgetws": "blocking"}, code=1)
        self.assert_states("getwchar();", {"getwchar": "blocking"}, "-fno-builtin", "-O0", code=1)
        self.assert_states("wchar_t b[9]; fgetws(b, 9, fdopen(3, \"r\"));", {"fgetws": "blocking"}, code=1)

    def test_files_and_wide_output_pass_through(self):
        self.assert_states('wchar_t b[9]; fgetws(b, 9, fopen("f", "r")); fwprintf(stderr, L"%d", argc); pread(0, b, 1, 0);',
                           {"fgetws": "pass-through", "fopen": "pass-through", "fwprintf": "pass-through",
                            "pread": "pass-through"}, code=0)

    def test_waiting_for_other_processes_blocks(self):
        self.assert_states("flock(0, LOCK_EX);", {"flock": "blocking"}, code=1)

    def test_what_is_allowed_is_no_problem(self):
        for name in ("flock", "program"):
            self.assert_states("flock(0, LOCK_EX);", {"flock": "allowed"}, code=0, arguments=("--allow", name))
        self.assert_states("flock(0, LOCK_EX);", {"flock": "blocking"}, code=1, arguments=("--allow=lockf",))

    def test_the_reason_is_given(self):
        path = self.program("flock(0, LOCK_EX);")
        found = self.examine(path, code=1)
        call, = (call for call in found["files"][0]["calls"] if call["name"] == "flock")
        self.assertIn("other processes", call["reason"])
        self.assertIn(call["reason"], run_weft("doctor", path).stdout)

    def test_standard_input_of_the_cxx_library(self):
        source = "#include <iostream>\nint main() { int i; %s return 0; }"
        path = self.compile("program", source % "std::wcin >> i;", compiler="c++")
        self.assertEqual(self.states(self.examine(path, code=1))["program"]["std::wcin"], "blocking")
        path = self.compile("program", source % "std::cin >> i; std::cout << 1;", compiler="c++")
        found = self.states(self.examine(path, code=0))
        self.assertNotIn("std::wcin", found.get("program", {}))

    def test_every_patched_name(self):
        # An import by each name, whatever libc calls it.
        lines = [f'extern char call{i} __asm__("{name}");\n' for i, name in enumerate(PATCHED)]
        addresses = ", ".join(f"&call{i}" for i in range(len(PATCHED)))
        path = self.compile("libcalls.so", "".join(lines) + f"char* all[] = {{{addresses}}};", "-shared")
        kinds = {"parks": "patched", "offloads": "offloaded", "disk": "offloaded"}
        expected = {name: kinds[kind] for name, kind in PATCHED.items() if kind in kinds}
        self.assertEqual(self.states(self.examine("--files", path, code=0))["libcalls.so"], expected)
        for name, kind in PATCHED.items():
            if kind == "disk":
                expected[name] = "blocking" if "lock" in name else "pass-through"
        self.assertEqual(self.states(self.examine(path, code=1))["libcalls.so"], expected)

    def test_every_name_that_is_left_out(self):
        self.assertEqual([name for name in UNPATCHED if name in PATCHED], [],
                         "these are patched by now: take them out of services/src/unpatched_calls.cpp")
        self.assertEqual(len(UNPATCHED), len(set(UNPATCHED)), "a name is there twice")
        lines = [f'extern char call{i} __asm__("{name}");\n' for i, name in enumerate(UNPATCHED)]
        addresses = ", ".join(f"&call{i}" for i in range(len(UNPATCHED)))
        path = self.compile("libcalls.so", "".join(lines) + f"char* all[] = {{{addresses}}};", "-shared")
        states = self.states(self.examine(path, code=1))["libcalls.so"]
        self.assertEqual(states.keys(), set(UNPATCHED))
        self.assertEqual(set(states.values()), {"blocking", "pass-through"})


class Unreachable(DoctorTest):
    def assert_system_call(self, body, name, code=1, *options):
        found = self.states(self.examine(self.program(body, *options), code=code)).get("program", {})
        self.assertEqual([call for call, state in found.items() if state == "unreachable"], [name] if name else [])

    def test_a_static_program(self):
        for options in (["-static"], ["-static-pie"]):
            found = self.examine(self.program("", *options), code=1)
            self.assertEqual((found["kind"], found["files"]), ("static program", []))
            self.assertIn("statically linked", found["obstacles"][0])

    def test_the_instruction(self):
        self.assert_system_call("char b[9];" + RAW_READ, "read")

    def test_the_function(self):
        for options in (["-O0"], ["-O2"], ["-O2", "-fno-plt"], ["-O1", "-no-pie"]):
            if "-fno-plt" in options and platform.machine() != "x86_64":
                continue
            with self.subTest(options):
                self.assert_system_call("return syscall(SYS_io_uring_enter, 3, 0, 1, 1, 0, 0);", "io_uring_enter", 1, *options)
                self.assert_system_call("char b; return syscall(SYS_read, 0, &b, 1);", None, 0, *options)
                self.assert_system_call("return syscall(SYS_futex, argv, 0, 0, 0, 0, 0) + 1;", None, 0, *options)
                self.assert_system_call("return syscall(SYS_gettid) + 1;", None, 0, *options)

    def test_a_number_that_cannot_be_told(self):
        self.assert_system_call("return syscall(*(int*)argv);", None, 0, "-O2")

    @unittest.skipUnless(os.getuid() == 0, "only root can make a program run as somebody else")
    def test_a_program_with_other_rights(self):
        path = self.program("")
        os.chown(path, 65534, 65534)
        os.chmod(path, 0o4755)
        self.assertIn("set-user-ID", self.examine(path, code=1)["obstacles"][0])


class Libraries(DoctorTest):
    def test_each_with_its_own_calls(self):
        self.compile("libone.so", "int flock(int, int); int one(void) { return flock(0, 2); }", "-shared")
        path = self.program("int one(void); one(); sleep(1);", "-lone")
        found = self.states(self.examine(path, code=1))
        self.assertEqual((found["program"]["sleep"], found["libone.so"]["flock"]), ("patched", "blocking"))
        self.assertNotIn("flock", found["program"])

    def test_reads_of_libraries_are_taken_for_files(self):
        source = "#include <stdio.h>\n#include <wchar.h>\nint one(char* b) { return fgetws((wchar_t*)b, 9, stdin) != 0; }"
        library = self.compile("libone.so", source, "-shared")
        path = self.program("int one(char*); one(*argv);", "-lone")
        self.assertEqual(self.states(self.examine(path, code=0))["libone.so"]["fgetws"], "pass-through")
        found = self.examine(library, code=1)
        self.assertEqual(self.states(found)["libone.so"]["fgetws"], "blocking")
        self.assertEqual(found["kind"], "library")

    def test_several(self):
        library = self.compile("libone.so", "int flock(int, int); int one(void) { return flock(0, 2); }", "-shared")
        path = self.program("sleep(1);")
        self.assertEqual([found["unpatched"] for found in self.examine(path, library, code=1)], [0, 1])

    def test_what_others_define_is_not_libcs(self):
        self.compile("libone.so", "int tcdrain(int a) { return 0; }", "-shared")
        found = self.states(self.examine(self.program("tcdrain(0);", "-lone"), code=0))
        self.assertEqual(found["program"]["tcdrain"], "not libc's")

    def test_weft_takes_the_place_of_what_libraries_define(self):
        self.compile("libone.so", "long read(int a, void* b, long c) { return 0; } int one(void) { return 0; }", "-shared")
        found = self.examine(self.program("int one(void); char b; one(); read(0, &b, 1);", "-lone"), code=0)
        self.assertEqual(found["files"][1]["replaced"], ["read"])
        self.assertEqual(self.states(found)["program"]["read"], "patched")

    def test_what_the_program_defines_comes_first(self):
        self.compile("libone.so", "long read(int, void*, long); int one(char* b) { return read(0, b, 1); }", "-shared")
        path = self.compile("program", "long read(int a, void* b, long c) { return 0; } int one(char*);"
                            + MAIN % "one(*argv);", "-rdynamic", "-lone")
        found = self.examine(path, code=0)
        self.assertEqual(found["files"][0]["kept"], ["read"])
        self.assertEqual(self.states(found)["libone.so"]["read"], "not libc's")

    def test_loading_more_is_told(self):
        found = self.examine(self.program('dlopen("libone.so", RTLD_NOW);'), code=0)
        self.assertTrue(found["files"][0]["loads_more"])
        self.assertRegex(run_weft("doctor", found["path"]).stdout, r"load more at run time \(dlopen\): program;")

    def test_a_missing_library_is_named(self):
        library = self.compile("libone.so", "int one(void) { return 0; }", "-shared")
        path = self.program("int one(void); one();", "-lone")
        os.remove(library)
        ended = run_weft("doctor", path)
        self.assertEqual((ended.returncode, ended.stdout), (126, ""))
        self.assertRegex(ended.stderr, r"\Aweft: doctor: .*libone\.so.*\n\Z")

    def test_weft_itself(self):
        ended = run_weft("doctor", "--json", WEFT)
        found, = json.loads(ended.stdout)["programs"]
        self.assertTrue(found["patch_layer"])
        self.assertEqual([file["replaced"] + file["kept"] for file in found["files"] if file["replaced"] + file["kept"]], [])
        self.assertEqual(self.states(found)["libstdc++.so.6"]["read"], "patched")

    def test_scripts(self):
        script = self.folder / "script"
        for first_line in ("#!/bin/sh -e", "#!/usr/bin/env -S X=1 sh -e"):
            script.write_text(first_line + "\ntrue\n")
            script.chmod(0o755)
            found = self.examine(str(script), code=self.examine("sh", code=run_weft("doctor", "sh").returncode)["unpatched"] > 0)
            self.assertEqual(found["path"], str(script))
            self.assertEqual(os.path.basename(found["image"]), "sh")


class Refusals(DoctorTest):
    def assert_refused(self, code, reason, *arguments):
        ended = run_weft("doctor", *arguments)
        self.assertEqual((ended.returncode, ended.stdout), (code, ""))
        self.assertRegex(ended.stderr, r"\Aweft: .+\n\Z")  # one line
        self.assertIn(reason, ended.stderr)

    def test_usage(self):
        self.assert_refused(2, "FILE is required")
        self.assert_refused(2, "'--json'", "--jsn", "sh")
        self.assert_refused(2, "--allow", "sh", "--allow")

    def test_help(self):
        ended = run_weft("doctor", "--help")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        for expected in ("--json", "--allow", "pass-through", "Exit code", "weft doctor"):
            self.assertIn(expected, ended.stdout)
        self.assertIn("doctor", run_weft("--help").stdout)

    def test_a_program_may_be_called_like_a_command(self):
        self.assertEqual(os.path.basename(self.examine("echo", code=0)["path"]), "echo")

    def test_what_is_not_there(self):
        self.assert_refused(127, "no such program on PATH", "no-such-program")
        self.assert_refused(127, "No such file", "/no/such/program")

    def test_what_is_no_program(self):
        self.assert_refused(126, "neither a script", "/etc/passwd")
        self.assert_refused(126, "is a directory", "/")
        self.assert_refused(126, "no regular file", "/dev/null")
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        self.assert_refused(126, "no regular file", str(fifo))
        self.assert_refused(126, "neither a program nor a shared library",
                            self.compile("object.o", "int i;", "-c"))

    def test_another_dynamic_linker_is_not_run(self):
        loader = self.folder / "loader"
        loader.write_text(f"#!/bin/sh\ntouch {self.folder}/run\n")
        loader.chmod(0o755)
        path = self.program("", f"-Wl,--dynamic-linker={loader}")
        self.assert_refused(126, "asks for the dynamic linker", path)
        self.assertFalse((self.folder / "run").exists())

    def test_the_others_are_examined_all_the_same(self):
        ended = run_weft("doctor", "--json", "/no/such/program", self.program("sleep(1);"))
        self.assertEqual(ended.returncode, 127)
        missing, found = json.loads(ended.stdout)["programs"]
        self.assertIn("No such file", missing["error"])
        self.assertEqual(self.states(found)["program"], {"sleep": "patched"})

    def test_names_cannot_confuse_a_terminal(self):
        path = self.folder / "a\x1b[31m\n\udcff\u00e9"
        os.rename(self.program("sleep(1);"), path)
        ended = run_weft("doctor", str(path))
        self.assertIn("a\\x1b[31m\\x0a\\xff\u00e9: no blocking", ended.stdout)
        self.assertTrue(all(line.isprintable() for line in ended.stdout.split("\n")))
        found, = json.loads(run_weft("doctor", "--json", str(path)).stdout)["programs"]
        self.assertTrue(found["path"].endswith("a\\x1b[31m\\x0a\\xff\u00e9"))
        ended = run_weft("doctor", str(path) + "-")
        self.assertRegex(ended.stderr, r"\Aweft: .+\\x1b.*\n\Z")

    def test_damaged_files(self):
        choice = seeded_random()
        whole = pathlib.Path(self.program('char b; read(0, &b, 1); syscall(SYS_read); printf("%d", argc);')).read_bytes()
        damaged = self.folder / "damaged"
        sections = len(whole) - 64 * 40  # the table of sections is at the end
        for attempt in range(100 if SANITIZED else 300):
            content = bytearray(whole)
            if attempt % 3 == 0:
                del content[choice.randrange(len(content)):]
            for _ in range(choice.randrange(1, 8) if attempt % 3 else 0):
                place = choice.choice((choice.randrange(64), choice.randrange(1024), choice.randrange(len(content)),
                                       choice.randrange(sections, len(content))))
                content[place] = choice.choice((0, 0xff, 0x7f, 0x80, content[place] ^ (1 << choice.randrange(8))))
            damaged.write_bytes(content)
            damaged.chmod(0o755)
            with self.subTest(attempt=attempt):
                ended = run_weft("doctor", "--json", str(damaged))
                self.assertIn(ended.returncode, (0, 1, 126), ended)
                self.assertNotRegex(ended.stderr, "Sanitizer|runtime error|terminate called")
                self.assertEqual(ended.returncode == 126, "error" in json.loads(ended.stdout)["programs"][0])
                self.assertRegex(ended.stderr, r"\A(weft: doctor: .+\n)?\Z")


if __name__ == "__main__":
    sys.exit(unittest.main())
