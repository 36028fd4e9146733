"""VM configurations: what is written is what was meant, what is read is what is written, and what cannot work is refused."""

from __future__ import annotations

import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from harness.vm import (
    Configuration,
    ConfigurationFault,
    ConfigurationSyntax,
    Cpu,
    Load,
    Logger,
    Option,
    Pass,
    Ram,
    Reserve,
    Rom,
    Set,
    Unsupported,
    Unwritable,
    Vdev,
    add_option,
    check,
    lint,
    linux_configuration,
    meaning,
    parse,
    vdev,
    with_base_options,
    write,
)
from harness.vm.grammar import ACTIONS, BLOBS, FLAGS, RESERVED, SEVERITIES, UNSUPPORTED

DOCUMENTED = """\
# the documented Linux example, with what the grammar allows
system linux-guest
ram 0,0xa0000   reserve loc 0xa0000,0x20000
rom 0xc0000,0x40000
ram 1m,1023m
cpu sched 8 sched 6
cpu
load ./linux
initrd load ./initrd.gz
cmdline "pmtmr=0 nolapic_timer console=ttyS0,115200n8 \\
root=/dev/vda1"
vdev ioapic loc 0xf8000000 intr apic name myioapic
vdev ser8250 intr myioapic:4
    log error,warning stderr   # two arguments
vdev timer8254 intr myioapic:0
vdev mc146818 reg 0x0b,0x02
vdev hpet legacy-free intr myioapic:0,myioapic:8
    tolerance 50
    loc 0xf8008000
pass loc pci:0:2.0=pci:0:2.0
unsupported reference abort logger error,warn stderr
set exit-on-halt off
"""


def linux() -> Configuration:
    return linux_configuration("guest-1", "/data/vmlinuz", "/data/initrd", "/dev/ser3", further_ports=["/dev/ser2"])


def test_the_documented_example_is_read_as_it_is_meant() -> None:
    """Contexts end at the next one, VM options do not end them, a backslash joins lines, a comment starts anywhere."""
    configuration = parse(DOCUMENTED).configuration
    assert configuration == Configuration(
        system="linux-guest",
        memory=(Ram(0xA0000, 0), Reserve(0xA0000, 0x20000), Rom(0xC0000, 0x40000), Ram(1023 << 20, 1 << 20)),
        cpus=(Cpu((Option("sched", ("8",)), Option("sched", ("6",)))), Cpu()),
        variables=(Set("exit-on-halt", "off"),),
        loggers=(Logger(("error", "warn"), "stderr"),),
        unsupported=(Unsupported("reference", "abort"),),
        tolerance=50,
        loads=(Load("./linux"), Load("./initrd.gz", "initrd")),
        cmdline="pmtmr=0 nolapic_timer console=ttyS0,115200n8 root=/dev/vda1",
        vdevs=(
            vdev("ioapic", loc="0xf8000000", intr="apic", name="myioapic"),
            Vdev("ser8250", (Option("intr", ("myioapic:4",)), Option("log", ("error,warning", "stderr")))),
            vdev("timer8254", intr="myioapic:0"),
            vdev("mc146818", reg="0x0b,0x02"),
            vdev("hpet", legacy_free=True, intr="myioapic:0,myioapic:8", loc="0xf8008000"),
        ),
        passes=(Pass((Option("loc", ("pci:0:2.0=pci:0:2.0",)),)),),
    )


def test_each_entry_is_found_at_its_line() -> None:
    lines = parse(DOCUMENTED).lines
    found = [lines[entry] for entry in (("memory", 1), ("cmdline", 0), ("vdevs", 1), ("passes", 0))]
    assert found == [3, 10, 13, 20]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "has no name"),
        ("cpu\nsystem a", 2, "must be the first entry"),
        ("system", 1, "the file ends where the argument of `system`"),
        ("system a\nrum 1m", 2, "'rum' is no option of a VM"),
        ("system a\nram one", 2, "'one' is not a number"),
        ("system a\nrom 1m", 2, "`rom` needs START,LENGTH"),
        ("system a\n\nreserve\ncpu", 3, "`reserve` needs `loc START,LENGTH`"),
        ("system a\nreserve loc 5", 2, "`reserve` needs `loc START,LENGTH`"),
        ('system a\ncmdline "open\n\n', 2, "no closing quote"),
        ('system a\ncpu\n"sched" 5', 3, "an option was expected"),
        ("system a\ncpu shed 5", 2, "'shed' is no option of `cpu`"),
        ("system a\nunsupported reference explode", 2, "none of abort, fail, ignore"),
        ("system a\nlogger error,wrong stderr", 2, "'wrong' is none of"),
        ("system a\nvdev ser8250\n hostdev", 3, "the argument of `hostdev`"),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigurationSyntax) as refusal:
        parse(text, "guest.qvmconf")
    assert str(refusal.value).startswith(f"guest.qvmconf:{line}: ")
    assert says in str(refusal.value)


def test_the_same_configuration_is_always_the_same_text() -> None:
    """Stable, one option a line, numbers as people write them: the text is evidence."""
    assert write(linux()) == (
        "system guest-1\n"
        "ram 0x0,640K\n"
        "reserve loc 0xa0000,128K\n"
        "rom 0xc0000,256K\n"
        "ram 0x100000,255M\n"
        "unsupported reference ignore\n"
        "cpu\n"
        "load /data/vmlinuz\n"
        "initrd load /data/initrd\n"
        'cmdline "pmtmr=0 nolapic_timer hpet=disable reboot=t pci=off console=ttyS0,115200n8"\n'
        "vdev ioapic\n    loc 0xf8000000\n    intr apic\n    name myioapic\n"
        "vdev ser8250\n    hostdev /dev/ser3\n    intr myioapic:4\n    name ttyS0\n"
        "vdev ser8250\n    loc io:0x2f8\n    hostdev /dev/ser2\n    intr myioapic:3\n    name ttyS1\n"
        "vdev timer8254\n    intr myioapic:0\n    name pit\n"
        "vdev 8259\n    loc 0x20\n"
        "vdev 8259\n    loc 0xa0\n"
    )


text = some.text(some.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters='"'), max_size=20).filter(
    lambda value: value[-1:] != "\\"
)
words = some.text(string.ascii_lowercase + "-", min_size=1, max_size=8).filter(lambda word: word not in RESERVED)
addresses, lengths = some.integers(0, 1 << 40), some.integers(1, 1 << 40)


def option(name: str) -> some.SearchStrategy[Option]:
    if name in FLAGS:
        return some.just(Option(name))
    return some.builds(Option, some.just(name), some.tuples(*[text] * (2 if name == "log" else 1)))


vdev_options = some.lists((words | some.sampled_from(sorted(FLAGS | {"log", "loc", "intr"}))).flatmap(option), max_size=4).map(tuple)
configurations = some.builds(
    Configuration,
    system=text,
    memory=some.lists(
        some.builds(Ram, length=lengths, start=some.none() | addresses)
        | some.builds(Rom, addresses, lengths)
        | some.builds(Reserve, addresses, lengths),
        max_size=4,
    ).map(tuple),
    cpus=some.lists(
        some.builds(Cpu, some.lists(some.sampled_from(["sched", "runmask"]).flatmap(option), max_size=2).map(tuple)), max_size=2
    ).map(tuple),
    variables=some.lists(some.builds(Set, text, text), max_size=2).map(tuple),
    loggers=some.lists(
        some.builds(Logger, some.lists(some.sampled_from(sorted(SEVERITIES)), min_size=1, max_size=3).map(tuple), some.just("slog")),
        max_size=2,
    ).map(tuple),
    unsupported=some.lists(
        some.builds(Unsupported, some.sampled_from(sorted(UNSUPPORTED)), some.sampled_from(sorted(ACTIONS))), max_size=2
    ).map(tuple),
    tolerance=some.none() | some.integers(0, 10**6),
    dump=some.none() | text,
    safety=some.booleans(),
    loads=some.lists(
        some.builds(
            Load, text.filter(lambda name: name[:1] not in string.digits), some.sampled_from(["", *sorted(BLOBS)]), some.none() | addresses
        ),
        max_size=3,
    ).map(tuple),
    cmdline=some.none() | text,
    vdevs=some.lists(some.builds(Vdev, text, vdev_options), max_size=4).map(tuple),
    passes=some.lists(
        some.builds(Pass, some.lists(some.sampled_from(["loc", "intr"]).flatmap(option), max_size=2).map(tuple)), max_size=2
    ).map(tuple),
    dryrun=some.booleans(),
)


@given(configurations)
def test_what_is_written_is_read_back(configuration: Configuration) -> None:
    """For every configuration that can be written at all."""
    assert parse(write(configuration)).configuration == configuration


@given(configurations)
def test_layout_means_nothing(configuration: Configuration) -> None:
    """All of it on one line is the same VM; so is a comment after every line."""
    lines = write(configuration).split("\n")
    assert parse(" ".join(lines)).configuration == configuration
    assert parse("\r\n".join(f"\t{line} # {line}" for line in lines)).configuration == configuration


@given(some.text(alphabet=string.printable, max_size=80))
def test_any_text_is_read_or_refused(garbage: str) -> None:
    """A file somebody else wrote never ends in a traceback."""
    try:
        parse(f"system a {garbage}")
    except ConfigurationSyntax as refusal:
        assert refusal.line >= 1


@pytest.mark.parametrize("value", ['a"b', "a\nb", "a\x00", "ends with \\"])
def test_what_no_file_can_hold_is_not_written(value: str) -> None:
    with pytest.raises(Unwritable):
        write(msgspec.structs.replace(linux(), cmdline=value))


@pytest.mark.parametrize("name", ["vdev", "ram", "load", "two words", ""])
def test_a_word_of_the_language_is_no_option_of_a_vdev(name: str) -> None:
    """qvm would read it as its own and build another VM."""
    with pytest.raises(Unwritable):
        write(add_option(linux(), "timer8254", name, "1"))


def test_a_file_name_that_looks_like_an_address_is_not_written() -> None:
    with pytest.raises(Unwritable):
        write(msgspec.structs.replace(linux(), loads=(Load("5,image"),)))


def test_an_option_is_added_to_every_vdev_of_its_type() -> None:
    """How a run tries an option: last, so that it wins, and nowhere else."""
    changed = add_option(linux(), "ser8250", "batch", "500")
    added = [entry.type for entry, before in zip(changed.vdevs, linux().vdevs, strict=True) if entry != before]
    assert added == ["ser8250", "ser8250"]
    assert all(entry.options[-1] == Option("batch", ("500",)) for entry in changed.vdevs if entry.type == "ser8250")
    assert add_option(linux(), "virtio-blk", "legacy") == linux()


def test_the_last_of_an_option_given_twice_counts() -> None:
    assert vdev("ser8250", intr="myioapic:4").value("intr") == "myioapic:4"
    assert add_option(linux(), "ser8250", "intr", "myioapic:7").vdevs[1].value("intr") == "myioapic:7"


def test_a_boards_options_reach_every_configuration() -> None:
    changed = with_base_options(linux(), {"tolerance": "10", "logger": "error,warn stderr"})
    assert (changed.tolerance, changed.loggers) == (10, (Logger(("error", "warn"), "stderr"),))
    assert changed.vdevs == linux().vdevs
    with pytest.raises(ConfigurationSyntax, match="base_options"):
        with_base_options(linux(), {"tolerance": "much"})


def changed(**fields: Any) -> Configuration:
    return msgspec.structs.replace(linux(), **fields)


def with_vdev(*more: Vdev) -> Configuration:
    return changed(vdevs=(*linux().vdevs, *more))


@pytest.mark.parametrize(
    ("configuration", "says"),
    [
        pytest.param(changed(system="a/b"), "cannot be a directory", id="system"),
        pytest.param(changed(memory=()), "has no `ram`", id="no-ram"),
        pytest.param(changed(memory=(Ram(1 << 20, 0), Ram(4096, 0xFF000))), "overlap at mem:0xff000", id="ram-overlap"),
        pytest.param(changed(memory=(Ram(8 << 20, 0), Rom(0x1000, 16), Rom(0x2000, 16))), "overlap at mem:0x2000", id="inside-the-first"),
        pytest.param(
            changed(memory=(Ram(1 << 20, 0), Reserve(8 << 20, 4096), Ram(1 << 20), Rom(0x101000, 16))),
            "overlap at mem:0x101000",
            id="after-ram",
        ),
        pytest.param(changed(loads=(Load("/i", "initrd"),)), "`load FILE` is missing", id="no-image"),
        pytest.param(changed(loads=(Load("/k"), Load("/i", "picture"))), "no kind of blob", id="blob"),
        pytest.param(changed(cmdline='a "b"'), "quote or a line break", id="cmdline"),
        pytest.param(with_vdev(vdev("shmem", name="pit")), "name pit is given to two vdevs", id="name-twice"),
        pytest.param(with_vdev(vdev("shmem", name="a:b")), "holds a colon", id="colon"),
        pytest.param(with_vdev(vdev("ser8250", loc="0x3e8", intr="pic:4")), "no vdev has the name pic", id="unknown-pic"),
        pytest.param(with_vdev(vdev("ser8250", loc="0x3e8")), "vdev ser8250 needs `intr`", id="no-intr"),
        pytest.param(with_vdev(vdev("ser8250", intr="myioapic:5")), "overlap at io:0x3f8", id="default-loc"),
        pytest.param(with_vdev(vdev("ser8250", loc="0x3f4", intr="myioapic:5")), "overlap at io:0x3f8", id="loc-overlap"),
        pytest.param(with_vdev(vdev("pl011", loc="0x200000", intr="myioapic:5")), "overlap at mem:0x200000", id="in-ram"),
    ],
)
def test_what_cannot_work_is_found_before_qvm_sees_it(configuration: Configuration, says: str) -> None:
    findings = lint(configuration)
    assert [finding for finding in findings if says in finding.what], findings
    with pytest.raises(ConfigurationFault):
        check(configuration)


def test_the_documented_examples_have_no_findings() -> None:
    check(linux())
    check(parse(DOCUMENTED).configuration)


def test_a_finding_names_file_and_line() -> None:
    parsed = parse(DOCUMENTED.replace("intr myioapic:4", "intr mypic:4"), "guest.qvmconf")
    with pytest.raises(ConfigurationFault, match=r"guest\.qvmconf:13: `intr mypic:4` of vdev ser8250 names no PIC"):
        check(parsed.configuration, parsed.file, parsed.lines)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "normal shutdown"),
        (3, "power cut"),
        (4, "watchdog"),
        (5, "unsupported"),
        (6, "vdev error"),
        (33, "cause 33"),
        (65, "configuration"),
        (96, "after the guest started"),
        (139, "signal 11"),
        (137, "killed by the host (SIGKILL), usually for want of memory"),
        (1, "not a documented"),
    ],
)
def test_an_exit_status_has_words(status: int, words: str) -> None:
    assert words in meaning(status)
