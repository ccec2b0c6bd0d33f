"""The servers that the tests of client libraries talk to: what each is made of, and how it is started on a port of 127.0.0.1.

All that a server keeps lies in a folder of its own, so that nothing of the system's is read or changed.
"""

import os
import pathlib
import pwd
import shutil
import subprocess


def program(name, package):
    """The path of a server's program. Debian keeps some of them outside of a user's PATH."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise SystemExit(f"{name} is missing; install it: apt-get install {package}")
    return path


class Server:
    """A server whose files are in `folder`. prepare() is called once, command() for each attempt to find a free port."""

    stop_gently = "SIGTERM"
    settings = {}  # more for the environment of the test

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        # Databases refuse to run as root, and the others need no rights either.
        self.account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None

    def identity(self):
        """For subprocess: as whom the server runs."""
        if self.account is None:
            return {}
        return {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}

    def prepare(self):
        pass

    def command(self, port):
        raise NotImplementedError

    def ready(self, port):
        """Asked until it is true, once the server accepts connections."""
        return True


class PostgreSQL(Server):
    stop_gently = "SIGINT"  # SIGTERM would wait for clients that a failed test has left

    def prepare(self):
        asked = subprocess.run([program("pg_config", "libpq-dev"), "--bindir"], capture_output=True, text=True, check=True)
        self.programs = pathlib.Path(asked.stdout.strip())
        if not (self.programs / "initdb").exists():
            raise SystemExit(f"initdb is not in {self.programs}; install it: apt-get install postgresql")
        self.data = self.folder / "data"
        subprocess.run([self.programs / "initdb", "--no-sync", "--auth=trust", "--username=weft", "--encoding=UTF8",
                        "--locale=C", "-D", self.data], stdout=subprocess.DEVNULL, check=True, **self.identity())

    def command(self, port):
        return [self.programs / "postgres", "-D", self.data, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
                "-c", "unix_socket_directories=", "-c", "max_connections=120", "-c", "fsync=off"]

    def ready(self, port):
        # At first it accepts connections to say that it is starting up.
        return subprocess.run([self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode == 0


class MariaDB(Server):
    """Without tables of users and rights, so that it needs no folder with a database made before."""

    def command(self, port):
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        if self.account is not None:
            os.chown(data, self.account.pw_uid, self.account.pw_gid)
        return [program("mariadbd", "mariadb-server-core"), "--no-defaults", f"--datadir={data}", "--skip-grant-tables",
                "--bind-address=127.0.0.1", f"--port={port}", f"--socket={self.folder}/socket", f"--tmpdir={self.folder}",
                "--max-connections=120", "--innodb-buffer-pool-size=8M"]


class Redis(Server):
    def command(self, port):
        # It looks for clients that have waited long enough hz times a second.
        return [program("redis-server", "redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--save", "",
                "--hz", "100", "--dir", self.folder]


class Nginx(Server):
    """Of itself nginx can't take its time over an answer; the echo module can."""

    module = "/usr/lib/nginx/modules/ngx_http_echo_module.so"

    def prepare(self):
        if not os.path.exists(self.module):
            raise SystemExit(f"{self.module} is missing; install it: apt-get install libnginx-mod-http-echo")

    def command(self, port):
        paths = "".join(f"{kind}_temp_path {self.folder};\n" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        configuration = self.folder / "nginx.conf"
        # One process: workers would outlive a master that is killed.
        configuration.write_text(f"""
            load_module {self.module};
            daemon off;
            master_process off;
            pid {self.folder}/pid;
            error_log stderr;
            events {{ worker_connections 1024; }}
            http {{
                access_log off;
                {paths}
                server {{
                    listen 127.0.0.1:{port} backlog=1024;
                    location = /hello {{ echo hello; }}
                    location = /slow {{
                        echo_sleep 0.1;
                        echo_duplicate 200 "answer $arg_n\\n";
                    }}
                }}
            }}
        """)
        return [program("nginx", "nginx"), "-e", "stderr", "-p", self.folder, "-c", configuration]


class Sshd(Server):
    """Lets in whoever runs the test, with a key made for it: only root could let in somebody else."""

    def __init__(self, folder):
        super().__init__(folder)
        self.account = None

    def prepare(self):
        for name in ["host_key", "client_key"]:
            subprocess.run([program("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name],
                           check=True)
        self.settings = {"WEFT_TEST_USER": pwd.getpwuid(os.geteuid()).pw_name,
                         "WEFT_TEST_KEY": str(self.folder / "client_key")}
        if os.geteuid() == 0:
            # Where Debian's sshd locks up the processes that it doesn't trust; made by its unit when that starts.
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)

    def command(self, port):
        configuration = self.folder / "sshd_config"
        # SHLVL: bash reads the user's .bashrc if sshd seems to have started it, but not if a shell did.
        configuration.write_text(f"""
            ListenAddress 127.0.0.1:{port}
            HostKey {self.folder}/host_key
            AuthorizedKeysFile {self.folder}/client_key.pub
            PidFile none
            StrictModes no
            LogLevel ERROR
            UsePAM no
            PermitRootLogin prohibit-password
            PasswordAuthentication no
            PermitUserRC no
            MaxStartups 200
            PerSourceMaxStartups none
            PrintMotd no
            PrintLastLog no
            SetEnv SHLVL=2
        """)
        return [program("sshd", "openssh-server"), "-D", "-e", "-f", configuration]


KINDS = {"postgresql": PostgreSQL, "mariadb": MariaDB, "redis": Redis, "nginx": Nginx, "sshd": Sshd}
