"""A guest without an operating system: a Linux image whose code is what a test says, one instruction after another.

Each method adds one step in 32-bit code with flat segments and no stack; the guest halts behind the last. What it reads it hands to
`vdev_api.c` (port 0x304), which logs it; `end` makes that vdev end the VM.
"""

from __future__ import annotations

import struct
from typing import Self

from suites.harness.qvm_local import bzimage

END, REPORT = 0x300, 0x304
"""Ports of vdev_api.c."""
UART, LCR = 0x3F8, 0x3FB
HALT = b"\xfa\xf4\xeb\xfd"  # cli; 1: hlt; jmp 1b


class BareGuest:
    """Steps of a guest; `image` is the file that `load` names."""

    def __init__(self) -> None:
        self._code = bytearray()

    @property
    def image(self) -> bytes:
        return bzimage(bytes(self._code) + HALT)

    def out(self, port: int, value: int) -> Self:
        """Writes a byte to a port."""
        return self._add(b"\x66\xba", struct.pack("<H", port), b"\xb0", bytes([value]), b"\xee")  # mov dx; mov al; out

    def port(self, port: int) -> Self:
        """Reads a byte from a port and reports it."""
        return self._add(b"\x66\xba", struct.pack("<H", port), b"\x31\xc0\xec")._report()  # mov dx; xor eax, eax; in

    def write(self, address: int, value: int, width: int = 1) -> Self:
        """Writes 1 or 4 bytes of memory."""
        code = (b"\xc6\x05", bytes([value])) if width == 1 else (b"\xc7\x05", struct.pack("<I", value))
        return self._add(code[0], struct.pack("<I", address), code[1])  # mov [address], value

    def read(self, address: int, width: int = 1) -> Self:
        """Reads 1 or 4 bytes of memory and reports them."""
        return self._add(b"\x0f\xb6\x05" if width == 1 else b"\x8b\x05", struct.pack("<I", address))._report()  # movzx or mov eax

    def uart(self, divisor: int = 1) -> Self:
        """Sets the UART to 8N1 at 115200 / `divisor` bit/s."""
        return self.out(LCR, 0x83).out(UART, divisor & 0xFF).out(UART + 1, divisor >> 8).out(LCR, 0x03)

    def say(self, text: bytes) -> Self:
        """Sends bytes by the UART, each when it takes one (THRE), and waits until they have left (TEMT)."""
        for byte in text:
            self._await(0x20).out(UART, byte)
        return self._await(0x40)

    def stream(self, length: int) -> Self:
        """Sends that many of the 61 characters from `0` on, over and over, each when the UART takes one, and waits until they have left."""
        begin = b"\x31\xdb\xb9" + struct.pack("<I", length)  # xor ebx, ebx; mov ecx, length
        ready = b"\x66\xba\xfd\x03\xec\xa8\x20\x74\xfb"  # mov dx, LSR; 1: in al, dx; test al, THRE; jz 1b
        send = b"\x66\xba\xf8\x03\x88\xd8\x04\x30\xee"  # mov dx, THR; mov al, bl; add al, '0'; out dx, al
        wrap = b"\x43\x83\xfb\x3d\x75\x02\x31\xdb\x49\x75"  # inc ebx; cmp ebx, 61; jne 2f; xor ebx, ebx; 2: dec ecx; jnz
        loop = ready + send + wrap
        return self._add(begin, loop, struct.pack("<b", -len(loop) - 1))._await(0x40)

    def _await(self, status: int) -> Self:
        return self._add(b"\x66\xba\xfd\x03\xec\xa8", bytes([status]), b"\x74\xfb")  # mov dx, LSR; 1: in al, dx; test al; jz 1b

    def echo(self, last: bytes) -> Self:
        """Sends back what the UART receives, up to and including a byte."""
        receive = b"\x66\xba\xfd\x03\xec\xa8\x01\x74\xfb\x66\xba\xf8\x03\xec\x88\xc3"  # wait for DR; in al, RBR; mov bl, al
        send = b"\x66\xba\xfd\x03\xec\xa8\x20\x74\xfb\x66\xba\xf8\x03\x88\xd8\xee\x80\xfb"  # wait for THRE; out THR, bl; cmp bl
        loop = receive + send + last
        return self._add(loop, b"\x75", struct.pack("<b", -len(loop) - 2))._await(0x40)  # jne

    def read_counter_2_for_ever(self, *, wait: int, report: int) -> Self:
        """Reads a byte from the port `wait`, latches counter 2 of the 8254, writes its count as 4 bytes to `report`, and again."""
        latch = b"\xb0\x80\xe6\x43\x31\xdb\xe4\x42\x88\xc3\xe4\x42\x88\xc7\x89\xd8"  # out CONTROL, 0x80; in bl; in bh; mov eax, ebx
        loop = b"\x66\xba" + struct.pack("<H", wait) + b"\xec" + latch + b"\x66\xba" + struct.pack("<H", report) + b"\xef"
        return self._add(loop, b"\xeb", struct.pack("<b", -len(loop) - 2))  # jmp

    def end(self, cause: int = 0) -> Self:
        """Ends the VM with the custom cause 32 + `cause`."""
        return self.out(END, cause)

    def _report(self) -> Self:
        return self._add(b"\x66\xba", struct.pack("<H", REPORT), b"\xef")  # mov dx; out dx, eax

    def _add(self, *code: bytes) -> Self:
        self._code += b"".join(code)
        return self
