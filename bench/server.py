"""A process under measurement: started on a core, asked whether it answers, watched through /proc."""

import http.client
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import tokens

TICKS = os.sysconf("SC_CLK_TCK")
# Everything of the server under test on one core, everything that feeds it on the other.
PROXY, LOAD = 0, 1


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A process on a core of its own."""

    def __init__(self, name, command, core, log, port, environment=None, tls=True):
        self.name, self.command, self.core, self.log, self.port = name, command, core, log, port
        self.environment, self.tls = environment or {}, tls
        self.process = None

    def start(self):
        """Starts it and says how long it took until it answered, whatever it answered."""
        begun = time.perf_counter()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(self.core), *self.command],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **self.environment},
            )
        while True:
            try:
                self.ask()
                return time.perf_counter() - begun
            except (OSError, http.client.HTTPException):
                if self.process.poll() is not None:
                    raise RuntimeError(f"{self.name} ended: {Path(self.log).read_text()[-2000:]}") from None
                if time.perf_counter() - begun > 60:
                    raise RuntimeError(f"{self.name} does not answer") from None
                time.sleep(0.001)

    def ask(self):
        scheme = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        words = {"context": tokens.INSECURE} if self.tls else {}
        connection = scheme("localhost", self.port, timeout=10, **words)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def pids(self):
        """Its process and the processes under it."""
        found, parents = [self.process.pid], {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    stat = Path(f"/proc/{entry}/stat").read_text()
                except OSError:
                    continue
                parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
        for pid in found:
            found.extend(parents.get(pid, []))
        return found

    def cpu(self):
        """Seconds of processor time so far, user and system."""
        total = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def rest(self):
        """Waits until it has done what it does behind its answers: a twentieth of its core at most, for a second."""
        while True:
            before = self.cpu()
            time.sleep(1)
            if self.cpu() - before < 0.05:
                return

    def started(self, times=5):
        """Milliseconds from start to the first answer, so many times. Leaves it running."""
        taken = []
        for _ in range(times):
            self.stop()
            taken.append(self.start() * 1000)
        return taken

    def memory(self, which="VmRSS"):
        """MiB, now (VmRSS) or at most so far (VmHWM)."""
        total = 0
        for pid in self.pids():
            status = Path(f"/proc/{pid}/status").read_text()
            total += int(re.search(rf"{which}:\s+(\d+)", status).group(1))
        return total / 1024


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{words}: {done.stderr}")
    return done.stdout
