"""`weft run`: the program is itself in every way but for how its calls wait; what can't be patched is refused with a reason."""

import os
import pathlib
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import tty
import unittest

from support import WEFT, required_program, run_weft

PYTHON = "/usr/bin/python3"
STATISTICS = r"\Aweft: parked (\d+) times, (\d+) patched calls, (\d+) offloaded\n\Z"


class TheProgram(unittest.TestCase):
    def test_exit_status_and_streams_are_its_own(self):
        ended = subprocess.run([WEFT, "run", "--", "sh", "-c", "cat; echo problem >&2; exit 7"], input="words\n",
                               capture_output=True, text=True, timeout=10)
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (7, "words\n", "problem\n"))

    def test_the_process_is_its_own(self):
        process = subprocess.Popen([WEFT, "run", "sh", "-c", "echo $$"], stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.communicate(timeout=10)[0].strip(), str(process.pid))

    def test_a_signal_ends_it(self):
        ended = run_weft("run", "sh", "-c", "kill -TERM $$")
        self.assertEqual(ended.returncode, -signal.SIGTERM)

    def test_its_options_are_its_own(self):
        ended = run_weft("run", "--", PYTHON, "-c", "import sys; print(sys.argv[1:])", "--stats", "--", "-h")
        self.assertEqual(ended.stdout, "['--stats', '--', '-h']\n")

    def test_a_script_is_run_by_its_interpreter(self):
        with tempfile.TemporaryDirectory() as folder:
            script = pathlib.Path(folder, "script")
            script.write_text(f"#! {PYTHON} -u\nimport time\ntime.sleep(0.001)\nprint('run')\n")
            script.chmod(0o755)
            ended = run_weft("run", "--stats", str(script))
        self.assertEqual(ended.stdout, "run\n")
        self.assertRegex(ended.stderr, STATISTICS)

    def test_statistics_are_one_line_at_the_end(self):
        code = "import socket, time\na, b = socket.socketpair()\nb.sendall(b'x')\na.recv(1)\n" + "time.sleep(0.001)\n" * 5
        ended = run_weft("run", "--stats", PYTHON, "-c", code + "socket.getaddrinfo('localhost', 80)")
        self.assertRegex(ended.stderr, STATISTICS)
        parked, patched, offloaded = (int(word) for word in ended.stderr.split() if word.isdecimal())
        self.assertGreaterEqual(parked, 5)
        self.assertGreater(patched, parked)
        self.assertEqual(offloaded, 1)

    def test_statistics_come_from_one_process(self):
        ended = run_weft("run", "--stats", "sh", "-c", "true; /bin/true; " + f"{PYTHON} -c 'pass'; true")
        self.assertEqual(ended.stderr.count("parked"), 1)

    def test_a_handler_sees_what_it_would(self):
        # It may come before pause() is reached: so the handler ends the program.
        code = ("import signal, sys\n"
                "signal.signal(signal.SIGUSR1, lambda *_: sys.exit('handled'))\n"
                "print('ready', flush=True)\nsignal.pause()\n")
        process = subprocess.Popen([WEFT, "run", PYTHON, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(process.communicate(timeout=10)[1], "handled\n")
        self.assertEqual(process.returncode, 1)

    def test_tools_read_and_write_the_same(self):
        text = "".join(f"{i * 7919 % 10007} line {'x' * (i % 90)}\n" for i in range(20000)) + "no end"
        tools = (["sort"], ["sort", "-n"], ["sed", "-n", "$="], ["sed", "s/line/LINE/"], ["awk", "{ n += $1 } END { print n, NR }"],
                 ["grep", "-c", "x"], ["grep", "77"], ["wc"], ["cut", "-c1-5"], ["tr", "a-z", "A-Z"], ["uniq", "-c"], ["tac"], ["rev"],
                 ["head", "-c", "70001"], ["tail", "-n", "5000"], ["cat", "-n"], ["od", "-c"], ["fold", "-w", "7"], ["paste", "-", "-"],
                 ["perl", "-ne", "print if /9/"], ["md5sum"], ["xargs", "-n", "500"], ["nl"], ["base64"], ["split", "-n", "l/2/3"])
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "text")
            path.write_text(text)
            for tool in tools:
                if shutil.which(tool[0]) is None:
                    continue
                for by_file in (True, False):
                    with self.subTest(tool=tool, by_file=by_file), open(path, "rb") as file:
                        how = {"stdin": file} if by_file else {"input": text.encode()}
                        plain = subprocess.run(tool, capture_output=True, timeout=60, **how)
                        file.seek(0)
                        run = subprocess.run([WEFT, "run", *tool], capture_output=True, timeout=60, **how)
                        self.assertEqual((run.returncode, run.stderr), (plain.returncode, plain.stderr))
                        self.assertTrue(run.stdout == plain.stdout, "other output than without weft")

    def test_a_prompt_is_shown_before_the_answer_is_waited_for(self):
        code = b"""
            #include <stdio.h>
            int main(void) {
                char name[20];
                printf("name? ");
                if (fgets(name, 20, stdin) == NULL) return 1;
                printf("hello %s", name);
                return 0;
            }"""
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "program")
            subprocess.run([required_program("cc", "gcc"), "-x", "c", "-o", program, "-"], input=code, check=True)
            terminal, end = pty.openpty()
            tty.setraw(end)
            process = subprocess.Popen([WEFT, "run", program], stdin=end, stdout=end)
            self.assertEqual(os.read(terminal, 100), b"name? ")
            os.write(terminal, b"weft\n")
            self.assertEqual(os.read(terminal, 100), b"hello weft\n")
            self.assertEqual(process.wait(timeout=10), 0)
            os.close(end)
            os.close(terminal)

    def test_descriptors_are_numbered_as_without(self):
        code = "import os, time; time.sleep(0.001); print(os.open('/dev/null', os.O_RDONLY))"
        with_weft = run_weft("run", PYTHON, "-c", code).stdout
        without = subprocess.run([PYTHON, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
        self.assertEqual(with_weft, without)


    def test_a_recv_of_its_own(self):
        code = b"""
            #include <stdio.h>
            #include <sys/socket.h>
            ssize_t recv(int fd, void *to, size_t size, int flags) { return 42; }
            int main(void) { printf("%d\\n", (int)recv(0, 0, 0, 0)); return 0; }"""
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "program")
            subprocess.run([required_program("cc", "gcc"), "-rdynamic", "-x", "c", "-o", program, "-"], input=code, check=True)
            ended = run_weft("run", str(program))
        self.assertEqual((ended.returncode, ended.stdout), (0, "42\n"))

    def test_a_main_that_leaves_its_threads_running(self):
        code = """
            #include <pthread.h>
            #include <stdio.h>
            #include <unistd.h>
            static void cleanup(void *words) { puts(words); fflush(stdout); }
            static void *work(void *unused) { usleep(20000); puts("thread"); return unused; }
            int main(void) {
                pthread_t thread;
                pthread_create(&thread, NULL, work, NULL);
                pthread_cleanup_push(cleanup, "cleanup");
                pthread_exit(NULL);
                pthread_cleanup_pop(0);
            }"""
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "program")
            subprocess.run([required_program("cc", "gcc"), "-x", "c", "-o", program, "-"], input=code.encode(), check=True)
            ended = run_weft("run", str(program))
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, "cleanup\nthread\n", ""))


class Refusals(unittest.TestCase):
    def assert_refused(self, code, reason, *arguments):
        ended = run_weft("run", *arguments)
        self.assertEqual((ended.returncode, ended.stdout), (code, ""))
        self.assertRegex(ended.stderr, r"\Aweft: .+\n\Z")  # one line
        self.assertIn(reason, ended.stderr)

    def test_what_is_not_there(self):
        self.assert_refused(127, "no such program on PATH", "no-such-program")
        self.assert_refused(127, "No such file", "/no/such/program")

    def test_what_cannot_be_run(self):
        self.assert_refused(126, "is a directory", "/")
        self.assert_refused(126, "Permission denied", "/etc/passwd")
        with tempfile.TemporaryDirectory() as folder:
            nonsense = pathlib.Path(folder, "nonsense")
            nonsense.write_text("neither\n")
            nonsense.chmod(0o755)
            self.assert_refused(126, "neither a script", str(nonsense))

    def test_a_static_program(self):
        compiler = required_program("cc", "gcc")
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "static")
            subprocess.run([compiler, "-static", "-x", "c", "-o", program, "-"], input=b"int main(void) { return 0; }",
                           check=True)
            self.assert_refused(126, "statically linked", str(program))

    @unittest.skipUnless(os.getuid() == 0, "only root can make a program run as somebody else")
    def test_a_program_with_other_rights(self):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "other")
            shutil.copy("/bin/true", program)
            os.chown(program, 65534, 65534)
            program.chmod(0o4755)
            self.assert_refused(126, "set-user-ID", str(program))

    def test_where_another_library_comes_first(self):
        library = pathlib.Path(WEFT).parent.parent / "lib" / "libweft_preload.so"
        code = b"#include <sys/socket.h>\nssize_t recv(int fd, void *to, size_t size, int flags) { return 0; }"
        with tempfile.TemporaryDirectory() as folder:
            other = pathlib.Path(folder, "libother.so")
            subprocess.run([required_program("cc", "gcc"), "-shared", "-fPIC", "-x", "c", "-o", other, "-"], input=code, check=True)
            names = f"{other}:{library}"
            # In the program that weft run was asked for, and in one that this one starts, which must not fail.
            inner = f"LD_PRELOAD={names} true; LD_PRELOAD={names} exec true"
            self.assert_refused(126, "calls of recv go to another library's function", "sh", "-c", inner)

    def test_a_program_that_has_weft_already(self):
        self.assert_refused(126, "linked with weft::patch", WEFT, "echo")

    def test_usage(self):
        self.assert_refused(2, "which program", )
        self.assert_refused(2, "--bogus", "--bogus", "true")


if __name__ == "__main__":
    sys.exit(unittest.main())
