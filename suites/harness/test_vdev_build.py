"""`harness vdev build`, and vdev objects that do not fit their board: one sentence each, and nothing is changed."""

from __future__ import annotations

import os
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec
import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import boardfile
from harness.boardfile import Board
from harness.boardfile.schema import Build, HostProfile
from harness.errors import UseError
from harness.vdev import NoSources, NotAVdev, NotBuilt, VdevFile, build, collect
from harness.vdev.api import absent, declared, nearest
from suites.harness.bare_board import INCLUDE

SOURCE = """
#include <stdlib.h>
#include <string.h>
#include <qvm/log.h>
#include <qvm/vdev-core.h>
static int control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg) {
    (void)arg;
    vdev_logf(QL_QVM_INFO, vdp, "%u", ctrl);
    BODY
    return EOK;
}
static struct vdev_factory factory = {.control = control};
static void __attribute__((constructor)) begin(void) { vdev_register_factory(&factory, QVM_VDEV_ABI); }
"""

QNX_NOTE = """
__attribute__((section(".note.owner"), used, aligned(4))) static const struct {
    unsigned namesz, descsz, type; char name[4]; char desc[4]; } note = { 4, 4, 3, "QNX", "" };
"""


@pytest.fixture(scope="module")
def board() -> Board:
    return boardfile.load("virtual-x86_64")


def write(directory: Path, body: str = "", *, name: str = "vdev.c", source: str = SOURCE) -> Path:
    """A vdev's directory with one source file."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(source.replace("BODY", body))
    return directory


def harness(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from harness.cli import main; main()", "vdev", "build", *map(str, arguments)]
    return subprocess.run(command, cwd=boardfile.checkout(), capture_output=True, text=True, check=False)


def refused(ended: subprocess.CompletedProcess[str]) -> str:
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr
    return ended.stderr.removeprefix("harness: ")


def test_a_directory_of_sources_is_a_vdev_of_its_name(tmp_path: Path) -> None:
    """All its .c files, with a build id; the path is printed, and nothing else is left in the output."""
    write(tmp_path / "vdev-mine", "extern int answer(void); if (answer() != 42) return EINVAL;")
    write(tmp_path / "vdev-mine", name="more.c", source="int answer(void); int answer(void) { return 42; }")
    ended = harness(tmp_path / "vdev-mine", "--output", tmp_path / "out")
    assert (ended.returncode, ended.stderr) == (0, "")
    file = VdevFile.read(tmp_path / "out" / "vdev-mine.so", "x86_64")
    assert len(file.build_id) == 40
    assert ended.stdout.split() == [str(file.path), "x86_64", "build", "id", file.build_id]
    assert set(file.asked or ()) == {"vdev_logf", "vdev_register_factory"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["vdev-mine.so"]


def test_the_same_sources_give_the_same_object_in_any_directory(tmp_path: Path, board: Board) -> None:
    """So a vdev can be known by its hash, whoever built it. A file's name in the source is part of that."""
    for place in ("here", "elsewhere/and deep=er"):
        write(tmp_path / place / "mine", 'vdev_logf(QL_QVM_INFO, vdp, "%s", __FILE__);')
    first, second = (build(tmp_path / place / "mine", tmp_path / place / "out", board)[0] for place in ("here", "elsewhere/and deep=er"))
    assert first.file.path.read_bytes() == second.file.path.read_bytes()
    assert str(boardfile.checkout()).encode() not in first.file.path.read_bytes()


def test_a_directory_of_directories_is_several_vdevs(tmp_path: Path, board: Board) -> None:
    write(tmp_path / "all" / "one")
    write(tmp_path / "all" / "two")
    (tmp_path / "all" / "doc").mkdir()
    built = build(tmp_path / "all", tmp_path / "out", board)
    assert [(made.file.name, made.file.path) for made in built] == [(name, tmp_path / "out" / f"vdev-{name}.so") for name in ("one", "two")]


def test_what_the_compiler_warns_of_is_shown(tmp_path: Path) -> None:
    ended = harness(write(tmp_path / "mine", "int unused;"), "--output", tmp_path / "out")
    assert ended.returncode == 0
    assert "vdev.c:9:9: warning: unused variable" in ended.stderr


def test_what_ends_qvm_and_what_is_not_qnxs_is_remarked(tmp_path: Path) -> None:
    sources = write(tmp_path / "mine", "if (ctrl > 99) abort();\n    if (*vdev_name(vdp) == 0) exit(1);")
    ended = harness(sources, "--output", tmp_path / "out")
    assert ended.returncode == 0
    assert [line.partition(".so: ")[2] for line in ended.stderr.splitlines()] == [
        "imports exit(): a call ends the whole qvm process",
        "imports abort(): a call ends the whole qvm process",
        "calls vdev_name(), which is this board's own, not QNX's",
    ]


def test_an_undocumented_function_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    """And with the compiler's own words on where it is; the object of an earlier build stays."""
    sources = write(tmp_path / "mine")
    assert harness(sources, "--output", tmp_path / "out").returncode == 0
    before = (tmp_path / "out" / "vdev-mine.so").read_bytes()
    write(sources, "guest_signal_intr(&vdp->v_intr, GIS_ON);")
    sentence = refused(harness(sources, "--output", tmp_path / "out"))
    assert sentence.startswith(
        f"vdev mine, as built from {sources}, needs guest_signal_intr(), which the documented vdev API does not have; "
        "did you mean guest_intr_signal, or is a library not linked?\n"
    )
    assert "vdev.c:9:5: warning: implicit declaration" in sentence
    assert (tmp_path / "out" / "vdev-mine.so").read_bytes() == before


def test_one_vdev_that_fails_leaves_the_output_as_it_was(tmp_path: Path, board: Board) -> None:
    write(tmp_path / "all" / "good")
    write(tmp_path / "all" / "worse", "this is no C")
    with pytest.raises(NotBuilt, match=r"vdev worse does not compile for virtual-x86_64; see what gcc says\n(?s:.*)vdev\.c:9:"):
        build(tmp_path / "all", tmp_path / "out", board)
    assert not (tmp_path / "out").exists()


def test_a_board_without_a_compiler_cannot_be_built_for(tmp_path: Path, board: Board) -> None:
    without = msgspec.structs.replace(board, build=Build())
    with pytest.raises(NotBuilt, match=r"boards/virtual-x86_64\.toml names no compiler for vdevs; add the table \[build\]"):
        build(write(tmp_path / "mine"), tmp_path / "out", without)
    missing = msgspec.structs.replace(board, build=Build(compiler=("no-such-qcc",)))
    with pytest.raises(NotBuilt, match=r"no-such-qcc, the compiler of boards/virtual-x86_64\.toml, cannot be started \(No such file"):
        build(write(tmp_path / "mine"), tmp_path / "out", missing)


@pytest.mark.parametrize("name", ["x86_64-pc", "rpi4"])
def test_a_real_board_s_vdevs_are_built_by_the_sdp(tmp_path: Path, name: str) -> None:
    """One sentence where there is none."""
    assert refused(harness(write(tmp_path / "mine"), "--output", tmp_path / "out", "--board", name)) == (
        f"qcc, the compiler of boards/{name}.toml, cannot be started (No such file or directory); install it, or prepare the environment "
        "it needs (qcc comes with QNX SDP, which has a script for that)\n"
    )


def test_an_output_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "file/vdev-mine.so cannot be written (File exists); give --output" in refused(
        harness(write(tmp_path / "mine"), "--output", tmp_path / "file")
    )


def test_what_holds_no_vdev_is_refused(tmp_path: Path, board: Board) -> None:
    with pytest.raises(NoSources, match="missing is not a directory"):
        build(tmp_path / "missing", tmp_path, board)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoSources, match=r"empty holds no \.c file"):
        build(tmp_path / "empty", tmp_path, board)
    write(tmp_path / "two" / "mine")
    write(tmp_path / "two" / "vdev-mine")
    with pytest.raises(NoSources, match=r"two/vdev-mine and .*/two/mine both are vdev mine"):
        build(tmp_path / "two", tmp_path, board)


# --- The API ---------------------------------------------------------------------


def test_qvm_offers_exactly_what_the_headers_declare(board: Board) -> None:
    """No function of its own stands in the way of a vdev's, and none of the API is missing."""
    with (INCLUDE.parents[2] / "build" / "virtual" / "qvm").open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".dynsym")
        assert isinstance(table, SymbolTableSection)
        functions = {
            symbol.name for symbol in table.iter_symbols() if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF"
        }
    known = declared(INCLUDE)
    assert {name for name in functions if not name.startswith("_")} == known
    assert set(board.build.own) < known


def test_declarations_are_found_in_any_layout(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.h").write_text(
        "#define NOT_ME(x) \\\n  not_me(x)\n/* nor_me(void); */ // nor_me_either(void);\n"
        "typedef void *(*callback_t)(void *);\nstruct s { int (*member)(int); };\n"
        "static inline int local(int x) { if (x) { return other(x); } return 0; }\n"
        "int\n  first (const struct s *,\n  int (*)(void));\n"
        "void second(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));\n"
    )
    assert declared(tmp_path) == {"first", "second"}


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("guest_signal_intr", "guest_intr_signal"), ("vdev_log", "vdev_logf"), ("gasp_set_region", "gasp_region_set"), ("sqrt", "")],
)
def test_the_nearest_name_is_found_by_letters_or_words(wrong: str, right: str) -> None:
    assert nearest(wrong, declared(INCLUDE)) == right


def test_what_is_absent_is_in_no_header_and_in_the_table() -> None:
    names = absent(INCLUDE)
    assert not [(name, have) for name in names for have in declared(INCLUDE) if fnmatchcase(have, name)]
    table = (boardfile.checkout() / "boards" / "virtual" / "README.md").read_text().partition("## What is ours, not QNX's")[2]
    assert not [name for name in names if f"`{name}`" not in table]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "vdev_path(vdp);",
            "needs vdev_path(), and virtual-x86_64 has not: it is documented by its name alone, without a signature; ",
        ),
        (
            "vio_read(0); vq_desc_get();",
            "needs vio_read() and vq_desc_get(), and virtual-x86_64 has not: each is for VIRTIO devices",
        ),
        ("vdev_path(vdp); no_such(vdp);", "needs no_such(), which the documented vdev API does not have; "),
    ],
)
def test_a_documented_function_that_is_absent_is_named_with_why(tmp_path: Path, board: Board, body: str, says: str) -> None:
    compiled(tmp_path / "vdev-mine.so", SOURCE.replace("BODY", body))
    with pytest.raises(NotAVdev) as refusal:
        collect(tmp_path, board)
    assert f"vdev-mine.so {says}" in str(refusal.value)


def test_every_reference_vdev_keeps_to_the_api(board: Board) -> None:
    vdevs = collect(board.root / board.vdevs.directory, board)
    assert [(vdev.name, vdev.system) for vdev in vdevs] == [(name, "linux") for name in ("8259", "ioapic", "ser8250", "timer8254")]


# --- Objects for another board -------------------------------------------------------


def compiled(path: Path, source: str, *flags: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.with_suffix(".c")
    text.write_text(source)
    subprocess.run(["gcc", "-w", "-shared", "-fPIC", f"-I{INCLUDE}", "-o", path, text, *flags], check=True)
    return path


def test_an_object_with_an_undocumented_symbol_is_refused(tmp_path: Path, board: Board) -> None:
    """Before anything is copied: on the board qvm could only say that its loader failed."""
    compiled(tmp_path / "vdev-mine.so", SOURCE.replace("BODY", "guest_errf(vdp); guest_mutex(vdp);"))
    with pytest.raises(NotAVdev) as refusal:
        collect(tmp_path, board)
    assert f"{tmp_path}/vdev-mine.so needs guest_errf() and guest_mutex(), which the documented vdev API does not have" in str(
        refusal.value
    )


def test_an_object_whose_libraries_tell_no_versions_is_given_the_benefit_of_the_doubt(tmp_path: Path, board: Board) -> None:
    """A symbol may be that library's."""
    compiled(tmp_path / "lib" / "libplain.so", "void plain(void) {}")
    compiled(tmp_path / "vdev-mine.so", SOURCE.replace("BODY", "plain();"), f"-L{tmp_path}/lib", "-lplain")
    [file] = collect(tmp_path, board)
    assert file.asked is None
    assert {"plain", "vdev_logf"} <= set(file.undefined)


def test_an_object_for_qnx_is_refused_by_a_board_of_linux_and_the_reverse(tmp_path: Path, board: Board) -> None:
    """A note of QNX's linker, or the versions of the GNU C library, tell what an object was linked for."""
    qnx = msgspec.structs.replace(board, name="pc", host=HostProfile(), build=Build())
    for_qnx = compiled(tmp_path / "qnx" / "vdev-mine.so", SOURCE.replace("BODY", "") + QNX_NOTE)
    for_linux = compiled(tmp_path / "linux" / "vdev-mine.so", SOURCE.replace("BODY", "exit(1);"))
    for file, target, says in (
        (for_qnx, board, "is an object for QNX, the host of virtual-x86_64 loads those for Linux"),
        (for_linux, qnx, "is an object for Linux, the host of pc loads those for QNX"),
    ):
        with pytest.raises(NotAVdev) as refusal:
            collect(file.parent, target)
        assert str(refusal.value) == f"{file} {says}; build its sources for this board: `harness vdev build DIR --board {target.name}`"
    assert [file.name for file in collect(for_qnx.parent, qnx)] == ["mine"]


def test_two_files_of_one_type_are_refused(tmp_path: Path, board: Board) -> None:
    """The safety variant is the same type under another name."""
    object = compiled(tmp_path / "vdev-mine.so", SOURCE.replace("BODY", ""))
    (tmp_path / "vdev-mine-safety.so").write_bytes(object.read_bytes())
    with pytest.raises(NotAVdev, match=r"vdev-mine\.so and .*/vdev-mine-safety\.so are of one type; leave one"):
        collect(tmp_path, board)


# --- Hostile names ---------------------------------------------------------------------

NAMES = st.binary(min_size=1, max_size=60).filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b".."))
LIKELY = ["$(reboot)", "a b", "x\ny", "-rf", "`id`", "a;b", "é", "\udcff", "x" * 150, "'", '"', "timer8254", "a.so.1", "\u202eos."]
HOSTILE = st.one_of(NAMES.map(os.fsdecode), st.sampled_from(LIKELY))


def one_line(error: UseError) -> None:
    text = str(error)
    assert "\n" not in text
    assert text.isprintable()


@given(name=HOSTILE)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_hostile_file_name_is_a_vdev_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """Only letters, digits and `_ . + -` ever reach a host; everything else is refused in one printable line."""
    directory = tmp_path_factory.mktemp("vdevs")
    path = directory / f"vdev-{name}.so"
    path.write_bytes((boardfile.checkout() / "build/virtual/vdevs/vdev-8259.so").read_bytes())
    try:
        [file] = collect(directory)
    except NotAVdev as error:
        one_line(error)
    else:
        assert file.name == name
        assert name.isascii()
        assert all(c.isalnum() or c in "_.+-" for c in name)


@given(name=HOSTILE)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_hostile_directory_name_is_a_sentence(tmp_path_factory: pytest.TempPathFactory, board: Board, name: str) -> None:
    """For sources whose directory gives the vdev its name, and for a directory of vdevs that is not there."""
    directory = tmp_path_factory.mktemp("sources") / name
    with pytest.raises(NotAVdev) as missing:
        collect(directory / "missing")
    one_line(missing.value)
    with pytest.raises(NoSources) as absent:
        build(directory / "missing", directory, board)
    one_line(absent.value)
