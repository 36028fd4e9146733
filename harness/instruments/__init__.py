"""Instruments by VISA. Nothing outside this package touches a VISA session.

with Link("TCPIP::192.0.2.7::5555::SOCKET", "bench supply", events) as link:
    link.write(":OUTP CH1,ON", deadline)
    link.query(":OUTP? CH1", deadline)
"""

from harness.instruments.link import InstrumentRefused, InstrumentSilent, Link

__all__ = ["InstrumentRefused", "InstrumentSilent", "Link"]
