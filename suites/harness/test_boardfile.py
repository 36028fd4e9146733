"""Board files: what is read, what is refused and in which words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from harness import boardfile
from harness.boardfile import Board, sense
from harness.errors import UseError

TYPE = """
features = ["line.rx_errors"]
[board]
description = "a board for tests"
arch = "x86_64"
os = "qnx-8.0"
[power]
off_time = 0.5
[timing]
boot = 3
factor = 2.0
[line.ser2]
device = "/dev/ser2"
[claims]
"timer8254.port61" = "yes"
"""

BENCH = """
extends = "pc"
[console.host]
url = "/dev/serial/by-id/one"
[power]
driver = "scpi"
resource = "TCPIP::bench::5555::SOCKET"
[line.ser2]
url = "/dev/serial/by-id/two"
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a board type; the only ones there are."""
    return _directory(tmp_path / "types", "HARNESS_BOARDS", monkeypatch)


@pytest.fixture
def benches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a bench file; the user's own directory is empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return _directory(tmp_path / "benches", "HARNESS_BENCHES", monkeypatch)


def _directory(path: Path, variable: str, monkeypatch: pytest.MonkeyPatch) -> Write:
    path.mkdir()
    monkeypatch.setenv(variable, str(path))

    def write(name: str, text: str) -> Path:
        (path / f"{name}.toml").write_text(text)
        return path / f"{name}.toml"

    return write


def refused(name: str) -> str:
    with pytest.raises(UseError) as caught:
        boardfile.load(name)
    return str(caught.value)


def test_a_board_type_is_read_with_defaults(types: Write) -> None:
    types("pc", TYPE)
    board = boardfile.load("pc")
    assert board.board.arch == "x86_64"
    assert board.mode == "hardware"
    assert board.power.off_time == 0.5
    assert board.console.host.baud == 115200
    assert board.has("line.rx_errors")
    assert not board.has("line.modem_in")
    assert board.claim("timer8254.port61") == "yes"
    assert board.claim("ser8250.divisor") == "unknown"


def test_deadlines_are_scaled_by_the_factor(types: Write) -> None:
    types("pc", TYPE)
    assert boardfile.load("pc").seconds("boot") == 6.0


def test_a_bench_file_is_laid_over_its_type(types: Write, benches: Write) -> None:
    types("pc", TYPE)
    benches("left-desk", BENCH)
    board = boardfile.load("left-desk")
    assert board.name == "left-desk"
    assert board.console.host.url == "/dev/serial/by-id/one"
    assert (board.power.driver, board.power.off_time) == ("scpi", 0.5)
    assert (board.line["ser2"].url, board.line["ser2"].device) == ("/dev/serial/by-id/two", "/dev/ser2")
    board.require_bench()


def test_a_bench_file_may_have_its_types_name(types: Write, benches: Write) -> None:
    types("pc", TYPE)
    benches("pc", BENCH)
    assert boardfile.load("pc").console.host.url == "/dev/serial/by-id/one"


def test_the_first_bench_directory_wins(types: Write, benches: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    types("pc", TYPE)
    first = benches("desk", BENCH).parent
    users = tmp_path / "config/harness/benches"
    users.mkdir(parents=True)
    (users / "desk.toml").write_text(BENCH.replace("by-id/one", "by-id/users"))
    (users / "other.toml").write_text(BENCH)
    assert boardfile.load("desk").console.host.url == "/dev/serial/by-id/one"
    assert [(found.name, found.path.parent) for found in boardfile.known_boards() if found.kind == "bench"] == [
        ("desk", first),
        ("other", users),
    ]
    monkeypatch.delenv("HARNESS_BENCHES")
    assert boardfile.load("desk").console.host.url == "/dev/serial/by-id/users"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[power]\ndrvier = 'scpi'", ": power.drvier is unknown; did you mean driver?"),
        ("[powr]", ": powr is unknown; did you mean power?"),
        ("[console.hots]\nurl = 'x'", ": console.hots is unknown; did you mean host?"),
        ("[line.ser3]\nbuad = 9600", ": line.ser3.buad is unknown; did you mean baud?"),
        ("[power]\nchannel = 'one'", ": power.channel must be int, not 'one'"),
        ("[power]\nreset_channel = 0", ": power.reset_channel must be int >= 1, not 0"),
        ("[ssh]\nport = 70000", ": ssh.port must be int <= 65535, not 70000"),
        ("[ssh]\noptions = 'x'", ": ssh.options must be a list, not 'x'"),
        ("[ssh]\noptions = ['x', 1]", ": ssh.options must be a list of str, not ['x', 1]"),
        ("[timing]\nboot = 0", ": timing.boot must be float > 0.0, not 0"),
        ("[timing]\nboot = true", ": timing.boot must be float, not True"),
        ("[board]\narch = 'arm'", ": board.arch must be one of x86_64, aarch64, not 'arm'"),
        ("[host]\ndigest = 'md5sum'", ": host.digest must be one of sha1sum, sha256sum, not 'md5sum'"),
        ("[guests.qnx]\nifs = 'i'\nprompt = ' '", ": guests.qnx.prompt must be one line with something to see on it, not ' '"),
        ("[guests.qnx]\nifs = 'i'\nprompt = ''", ": guests.qnx.prompt must be one line with something to see on it, not ''"),
        ("[guests.qnx]\nifs = 'i'\nprompt = \"a\\nb\"", ": guests.qnx.prompt must be one line with something to see on it, not 'a\\nb'"),
        (
            "[guests.qnx]\ncmdline = 'a\"b'",
            """: guests.qnx.cmdline must be one line without quotes (") and no backslash at its end, not 'a"b'""",
        ),
        ("[claims]\na = 'maybe'", ": claims.a must be one of yes, no, unknown, not 'maybe'"),
        ("[claims]\na.b = 'yes'", ": claims.a must be one of yes, no, unknown, not a table (a name with a dot in it needs quotes)"),
        ("launch = 'program'", ": launch must be a table, not 'program'"),
        ("[launch]\nready = 1\n[board]\ndescription = 'x'\narch = 'x86_64'\nos = 'y'", ": launch.command is missing; add it"),
        ("[launch]\ncommand = []", ": launch.command must be a list of length >= 1, not []"),
        ("", ": board is missing; add it"),
        ("[board]\ndescription = 'x'\nos = 'qnx-8.0'", ": board.arch is missing; add it"),
        ("extends = 'pc'", ": extends has no place in a board type; only a bench file extends one; a type is a variant_of another"),
        ("without = ['ssh']", ": without has no place here; it goes with variant_of"),
        ("variant_of = 'pc'", ": variant_of 'pc' leads back to this file; name a board type that stands by itself"),
        ("variant_of = 'pcc'", ": variant_of must name a board type, not 'pcc'; did you mean pc?"),
        ("[board]\ndescription = 'x'\narch = 'x86_64' 'y'", ":3: not TOML: "),
        ("[board", ":1: not TOML: "),
        ("[board]\n[board]", ":2: not TOML: "),
    ],
)
def test_a_mistake_is_named_with_file_key_and_next_step(types: Write, text: str, sentence: str) -> None:
    path = types("pc", text)
    said = refused("pc")
    assert said.startswith(f"{path}{sentence}")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[identity]\ncommand = ['id']", "identity.command decides nothing without identity.answer; add answer, or take command out"),
        ("[identity]\nanswer = 'one'", "identity.answer decides nothing without identity.command; add command, or take answer out"),
        ("[identity]\ncommand = ['id']\nanswer = ''", "identity.command decides nothing without identity.answer"),
        ("[identity]\ncommand = ['id']\nanswer = ' '", "identity.command decides nothing without identity.answer"),
        (f"[identity]\ncommand = ['id', '{'x' * 150}']\nanswer = 'one'", "identity.command is more than a console takes in a line"),
        ("[host]\nscratch = 'relative'", "host.scratch 'relative' is no place of its own; name a directory from the root"),
        ("[host]\nscratch = '/'", "host.scratch '/' is no place of its own"),
        ("[host]\nscratch = '//'", "host.scratch '//' is no place of its own"),
        ("[host]\nstore = '/data/..'", "host.store '/data/..' is no place of its own"),
        ("[power]\nchannel = 2\nreset_channel = 2", "power.reset_channel 2 is the channel that switches the board; give the relay's"),
    ],
)
def test_a_mistake_of_sense_is_named_in_the_bench_file(types: Write, benches: Write, text: str, sentence: str) -> None:
    types("pc", TYPE)
    path = benches("desk", f"extends = 'pc'\n{text}")
    assert refused("desk").startswith(f"{path}: {sentence}")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"line.rx_errors"', '"line.rx_error"', "features has no 'line.rx_error'; did you mean line.rx_errors?"),
        ('"line.rx_errors"', '"line.zzzzzzzzzz"', "features has no 'line.zzzzzzzzzz'; known here: cpu.fast_exits, "),
        ('"timer8254.port61"', '"timer8254.port_61"', "claims has no 'timer8254.port_61'; did you mean timer8254.port61?"),
    ],
)
def test_a_name_that_means_nothing_is_refused(types: Write, old: str, new: str, sentence: str) -> None:
    path = types("pc", TYPE.replace(old, new))
    assert refused("pc").startswith(f"{path}: {sentence}")


def test_names_of_other_suites_are_theirs(types: Write) -> None:
    types("pc", TYPE.replace('"line.rx_errors"', '"crane.hook"').replace('"timer8254.port61"', '"mine.works"'))
    board = boardfile.load("pc")
    assert board.has("crane.hook")
    assert board.claim("mine.works") == "yes"


def test_what_the_suites_ask_for_is_known_and_written_down() -> None:
    root = boardfile.checkout()
    suites = "".join(path.read_text() for path in (root / "suites").rglob("*.py") if path.parent.name != "harness")
    readme = (root / "boards" / "README.md").read_text()
    features = {name for found in re.findall(r"needs\((.*?)\)|has\((.*?)\)", suites) for name in re.findall(r'"([^"]+)"', "".join(found))}
    assert features <= set(sense.FEATURES)
    assert set(re.findall(r"^\| `([a-z0-9_]+\.[a-z0-9_]+)` \|", readme, re.MULTILINE)) >= set(sense.FEATURES)
    assert set(re.findall(r'claimed\("([^"]+)"\)', suites)) <= set(sense.CLAIMS)
    real = [boardfile.read(found) for found in boardfile.known_boards() if found.kind == "type"]
    assert {claim for board in real for claim in board.claims} == set(sense.CLAIMS)


def test_a_file_of_the_checkout_is_named_from_its_root() -> None:
    assert boardfile.load("rpi4").files == ("boards/rpi4.toml",)


def test_a_file_that_is_no_text_is_refused(types: Write) -> None:
    types("pc", "").write_bytes(b"[board]\ndescription = '\xff'")
    assert "byte 23 is not UTF-8" in refused("pc")


def test_a_mistake_in_a_bench_file_names_the_bench_file(types: Write, benches: Write) -> None:
    types("pc", TYPE)
    path = benches("desk", "extends = 'pc'\n[ssh]\nhots = 'x'")
    assert refused("desk") == f"{path}: ssh.hots is unknown; did you mean host?"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("extends = 'pcc'", ": extends must name a board type, not 'pcc'; did you mean pc?"),
        ("extends = 3", ": extends must name a board type, not 3; known here: pc"),
        ("extends = '../pc'", ": extends must name a board type, not '../pc'"),
        ("", ": extends must name a board type"),
    ],
)
def test_a_bench_file_extends_a_board_type(types: Write, benches: Write, line: str, sentence: str) -> None:
    types("pc", TYPE)
    path = benches("desk", line)
    assert refused("desk").startswith(f"{path}{sentence}")


def test_a_board_type_may_be_a_variant_of_another(types: Write, benches: Write) -> None:
    types("pc", TYPE)
    types("quiet", "variant_of = 'pc'\nwithout = ['line.ser2', 'claims']\n[timing]\nfactor = 3.0\n")
    path = types("slow", "variant_of = 'quiet'\n[timing]\nboot = 77.0\n")
    slow = boardfile.load("slow")
    assert (slow.board.description, slow.timing.factor, slow.timing.boot) == ("a board for tests", 3.0, 77.0)
    assert not slow.line
    assert not slow.claims
    assert slow.files[-1] == str(path)
    benches("desk", BENCH.replace('"pc"', '"slow"').replace("[line.ser2]", "[line.ser2]\ndevice = '/dev/ser2'"))
    desk = boardfile.load("desk")
    assert (desk.line["ser2"].url, desk.timing.boot) == ("/dev/serial/by-id/two", 77.0)


@pytest.mark.parametrize("without", ["['console.hots']", "'console.host'", "[3]", "['host.qvm.x']"])
def test_a_variant_lacks_only_what_the_other_has(types: Write, without: str) -> None:
    base = types("pc", TYPE)
    path = types("quiet", f"variant_of = 'pc'\nwithout = {without}")
    assert refused("quiet").startswith(f"{path}: without must be a list of what {base} has; not ")


def test_variants_of_each_other_are_refused(types: Write) -> None:
    types("one", "variant_of = 'two'")
    path = types("two", "variant_of = 'one'")
    assert refused("one") == f"{path}: variant_of 'one' leads back to this file; name a board type that stands by itself"


@pytest.fixture
def both(types: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Write:
    """Types and bench files in one directory."""
    monkeypatch.setenv("HARNESS_BENCHES", str(tmp_path / "types"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return types


def test_types_and_benches_may_share_a_directory(both: Write) -> None:
    both("pc", TYPE)
    both("desk", BENCH)
    assert [(found.name, found.kind) for found in boardfile.known_boards()] == [("pc", "type"), ("desk", "bench")]
    assert boardfile.load("desk").console.host.url == "/dev/serial/by-id/one"
    assert boardfile.load("pc").board.description == "a board for tests"


@pytest.mark.parametrize(("name", "what"), [("desk", "this file itself"), ("other", "{}/other.toml, a bench file")])
def test_a_bench_file_extends_no_bench_file(name: str, what: str, both: Write) -> None:
    both("pc", TYPE)
    both("other", BENCH)
    path = both("desk", BENCH.replace('"pc"', f'"{name}"'))
    said = f"{path}: extends must name a board type, and '{name}' is {what.format(path.parent)}; name the board type"
    assert refused("desk") == said


def test_an_unknown_board_lists_those_there_are(types: Write, benches: Write) -> None:
    types("rpi4", TYPE)
    types("virtual", TYPE)
    benches("desk", BENCH)
    assert refused("rpi5") == "board rpi5 is unknown; known here: desk, rpi4, virtual; did you mean rpi4?"
    assert refused("zzz") == "board zzz is unknown; known here: desk, rpi4, virtual"


@pytest.mark.parametrize("name", ["../pc", "/etc/passwd", "", ".", "pc\n"])
def test_a_name_is_no_path(types: Write, name: str) -> None:
    types("pc", TYPE)
    (types("other", TYPE).parent.parent / "pc.toml").write_text(TYPE)
    assert "is unknown" in refused(name)


@pytest.mark.usefixtures("types", "benches")
def test_without_any_board_file_the_sentence_says_where_they_come_from() -> None:
    assert "$HARNESS_BOARDS" in refused("pc")


def test_a_real_board_type_loads_but_is_no_bench() -> None:
    board = boardfile.load("rpi4")
    with pytest.raises(boardfile.NoBench) as caught:
        board.require_bench()
    said = str(caught.value)
    assert said == (
        "rpi4 is a board type, and nothing says where such a board stands; "
        "write a bench file with `harness bench new rpi4`, fill it in, and run with --board=my-rpi4"
    )


@pytest.mark.parametrize(
    ("cut", "missing"),
    [('url = "/dev/serial/by-id/one"', "console.host.url"), ('driver = "scpi"', "power.driver")],
)
def test_a_bench_file_that_says_too_little_is_told_what(types: Write, benches: Write, cut: str, missing: str) -> None:
    types("pc", TYPE)
    path = benches("desk", BENCH.replace(cut, ""))
    with pytest.raises(boardfile.NoBench, match=f"{path}: {missing} is missing"):
        boardfile.load("desk").require_bench()


def test_shipped_board_files_are_right_and_name_no_address() -> None:
    for found in boardfile.known_boards():
        if found.kind == "type":
            board = boardfile.read(found)
            assert (board.console.host.url, board.ssh.host, board.power.resource) == ("", "", "")


def test_the_bench_file_in_the_readme_works(benches: Write) -> None:
    example = re.search(r"```toml\n(.*?)```", (boardfile.checkout() / "boards/README.md").read_text(), re.DOTALL)
    assert example
    benches("left-desk", example[1])
    board = boardfile.load("left-desk")
    board.require_bench()
    assert board.ssh.host == "left-desk.lab"


def test_a_board_survives_being_handed_to_another_process(types: Write, benches: Write) -> None:
    types("pc", TYPE)
    benches("desk", BENCH)
    board = boardfile.load("desk")
    assert msgspec.json.decode(msgspec.json.encode(board), type=Board) == board
