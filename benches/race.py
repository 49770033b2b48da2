"""Two or more processes that do the same work in turn; while one works, the others are stopped.

A process that waits spins for a while (OpenMP's and rayon's threads both do) and would take a core from the
one that is timed: hence SIGSTOP and SIGCONT.
"""

import os
import signal
import statistics
import subprocess

# Seconds of a turn that are not counted, and that are; and the fewest repetitions of each. A process that goes on
# after others finds cold caches and sleeping threads: short work takes several repetitions to be what it is alone.
SECONDS, WARM, COUNTED = 0.1, 2, 3


class Worker:
    """A program that answers each line of its input by the seconds of one repetition."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.seconds = []
        self.once()
        self.process.send_signal(signal.SIGSTOP)

    def once(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def repeat(self, least):
        seconds = []
        while len(seconds) < least or sum(seconds) < SECONDS:
            seconds.append(self.once())
        return seconds

    def turn(self):
        self.process.send_signal(signal.SIGCONT)
        self.repeat(WARM)
        self.seconds += self.repeat(COUNTED)
        self.process.send_signal(signal.SIGSTOP)

    def end(self):
        """Ends the program; its greatest memory in bytes."""
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        self.process.stdout.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = status
        return usage.ru_maxrss * 1024


def race(commands, turns):
    """The seconds of each repetition, command by command."""
    workers = [Worker(command) for command in commands]
    for _ in range(turns):
        for worker in workers:
            worker.turn()
    seconds = [worker.seconds for worker in workers]
    for worker in workers:
        worker.end()
    return seconds


def spread(values):
    """Median and range."""
    return statistics.median(values), min(values), max(values)
