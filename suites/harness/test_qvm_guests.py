"""Guest images and what they are told, on a booted board: ELF, multiboot, raw bytes, data beside them."""

from __future__ import annotations

import pytest

from suites.harness.qvm_board import QvmBoard

HELLO = 'print "hello"\n stop\n'


@pytest.mark.parametrize("form", ["elf32", "elf64"])
def test_an_elf_image_runs_from_its_entry(qvm_board: QvmBoard, form: str) -> None:
    qvm_board.guest(HELLO, form=form)
    ended = qvm_board.run()
    assert (ended.status, ended.console, ended.messages) == (0, "hello\n", "")


def test_a_raw_image_starts_at_its_first_byte_where_it_is_told_to_be(qvm_board: QvmBoard) -> None:
    qvm_board.guest(HELLO, form="raw", at=0x200000)
    assert qvm_board.run(load="load 0x200000,guest").console == "hello\n"


def test_a_raw_image_without_an_address_is_in_the_first_free_place(qvm_board: QvmBoard) -> None:
    """The first RAM; `call` tells the guest where it is."""
    qvm_board.guest("call 1f\n1: pop %ebx\n sub $(1b - start), %ebx\n print_hex %ebx\n stop\n", form="raw", at=0)
    assert qvm_board.run().console == "00000000\n"


def test_a_multiboot_image_is_told_what_there_is(qvm_board: QvmBoard) -> None:
    """Magic, command line, memory sizes, one module, the map; by the addresses in its header, as ELF carries none of this."""
    qvm_board.guest(
        """
        print_hex %eax
        mov (%ebx), %eax
        print_hex %eax          # flags
        mov 4(%ebx), %eax
        print_hex %eax          # KiB of lower memory
        mov 8(%ebx), %eax
        print_hex %eax          # KiB of upper memory
        mov 16(%ebx), %esi
        call print_text
        print "."
        mov 20(%ebx), %eax
        print_hex %eax          # modules
        mov 24(%ebx), %edi
        mov (%edi), %esi
        call print_text
        mov 44(%ebx), %eax
        print_hex %eax          # length of the map
        mov 64(%ebx), %esi
        call print_text
        print "."
        stop
        """,
        form="raw",
        multiboot=0x10003,
    )
    qvm_board.put("module", b"from the module\n\0")
    ended = qvm_board.run('cmdline "one two"', "initrd load module")
    lines = ended.console.splitlines()
    assert lines == ["2badb002", "0000024d", "00000280", "00003bc0", "one two.", "00000001", "from the module", "00000048", "qvm."]


def test_data_is_where_it_was_told_to_be(qvm_board: QvmBoard) -> None:
    """In RAM, in ROM, and, bare and without an address, in the first free place: address 0, as the image is at 1 MiB."""
    qvm_board.guest(
        "mov $0x200000, %esi\n call print_text\n mov $0xc1000, %esi\n call print_text\n mov $0, %esi\n call print_text\n stop\n"
    )
    for name in ("one", "two", "three"):
        qvm_board.put(name, f"{name}\n\0".encode())
    ended = qvm_board.run("data load 0x200000,one", "data load 0xc1000,two", "load three")
    assert (ended.console, ended.messages) == ("one\ntwo\nthree\n", "")


def test_an_acpi_table_is_among_the_others(qvm_board: QvmBoard) -> None:
    """Found as firmware's are: the pointer in the BIOS area, the list of tables, the third of them."""
    qvm_board.guest(
        "mov 0xe0000, %edi\n print_hex %edi\n mov 0xe0018, %ebx\n mov 52(%ebx), %ebx\n mov (%ebx), %edi\n print_hex %edi\n stop\n"
    )
    table = bytearray(b"TEST" + (36).to_bytes(4, "little") + bytes(28))
    table[9] = -sum(table) & 0xFF
    qvm_board.put("table", bytes(table))
    assert qvm_board.run("acpi load table").console.split() == ["20445352", "54534554"]


def test_a_halt_leaves_the_guest_unless_told_otherwise(qvm_board: QvmBoard) -> None:
    """Off: the processor itself halts, and whoever asks sees a vCPU that seems to work."""
    qvm_board.guest('print "waiting"\n halt\n')
    spent = {}
    for setting in ("on", "off"):
        vm = qvm_board.start(f"set exit-on-halt {setting}")
        vm.await_console("waiting")
        script = 'cat "/proc/$1/stat"; sleep 1; cat "/proc/$1/stat"'
        before, after = (line.split() for line in qvm_board.host.run(["sh", "-c", script, "sh", str(vm.process.pid)]).text.splitlines())
        spent[setting] = sum(map(int, after[13:15])) - sum(map(int, before[13:15]))
        vm.signal("QUIT")
        assert vm.end().status == 3
    assert spent["on"] < 20 < spent["off"]  # hundredths of a second, of about a hundred
