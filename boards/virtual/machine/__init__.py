"""A QEMU machine as a thing on a bench: switched by a bench supply, wired by four serial lines, reached over SSH.

`python -m boards.virtual.machine --name NAME` speaks the launch protocol: one JSON line of end points, then alive until its
standard input closes. `lines` are the wires, `qemu` the process behind the supply's output, `supply` the instrument, `state` what
survives.
"""
