"""Runs one command again and again by labgrid's own shell driver; started by test_noise.py with labgrid's own interpreter.

Arguments: the port, the number of runs, seconds for each, the command. It says `ready` when the shell is there, waits for a line, and
prints one JSON line of outcomes: `[status, lines]`, or the name of an exception.
"""

import json
import sys

from labgrid import Target
from labgrid.driver import SerialDriver, ShellDriver
from labgrid.resource import RawSerialPort


def main() -> None:
    port, runs, seconds, command = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    target = Target("noise")
    RawSerialPort(target, "port", port=port, speed=115200)
    SerialDriver(target, "serial")
    shell = ShellDriver(target, "shell", prompt=r"# ", login_prompt="login: ", username="root", login_timeout=10)
    target.activate(shell)
    print("ready", flush=True)
    sys.stdin.readline()
    outcomes: list[object] = []
    for _ in range(runs):
        try:
            lines, _errors, status = shell.run(command, timeout=seconds)
            outcomes.append([status, lines])
        except Exception as error:  # whatever it is, it is an honest failure
            outcomes.append(type(error).__name__)
    print(json.dumps(outcomes), flush=True)


if __name__ == "__main__":
    main()
