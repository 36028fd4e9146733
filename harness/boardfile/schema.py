"""What may stand in a board file: one frozen struct per table.

The invariant: a `Board` holds nothing that its files (and, for a launched board, the launch line) did not say. No default is an
address, and what a board type leaves open stays open ("" or None) until a bench file or a launch closes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from harness.boardfile.places import checkout
from harness.errors import UseError

Seconds = Annotated[float, Meta(gt=0)]
Positive = Annotated[int, Meta(ge=1)]
Prompt = Annotated[
    str, Meta(pattern=r"\A[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*\Z", description="one line with something to see on it")
]
Quotable = Annotated[
    str, Meta(pattern=r'\A[^"\x00-\x1f\x7f]*(?<!\\)\Z', description='one line without quotes (") and no backslash at its end')
]
"""What a VM configuration can hold as a string."""
Claim = Literal["yes", "no", "unknown"]
Phase = Literal["power", "boot", "shell", "command", "ssh", "transfer", "qvm_start", "guest_boot", "guest_command", "guest_shutdown"]


class Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every table."""


class About(Table, frozen=True):
    """`[board]`: what every board of this type is."""

    description: str
    arch: Literal["x86_64", "aarch64"]
    os: str
    """The dialect its host speaks: "qnx-8.0"."""


class Launch(Table, frozen=True):
    """`[launch]`: the board is a program. It prints one JSON line of end points and ends when its standard input closes."""

    command: Annotated[tuple[str, ...], Meta(min_length=1)]
    """Argument list; `{python}` and `{name}` are replaced by the running interpreter and the board's name."""
    ready: Seconds = 10.0
    """Seconds until the JSON line has to be there."""


class Port(Table, frozen=True):
    """A serial port as the lab controller opens it."""

    url: str = ""
    """A pyserial URL or device: `/dev/serial/by-id/…`, `rfc2217://…`, `socket://…`."""
    baud: Positive = 115200


class Line(Port, frozen=True):
    """`[line.NAME]`: a serial line between the board and the lab controller that is nobody's console."""

    device: str = ""
    """Its name on the host: `/dev/ser2`."""


class Consoles(Table, frozen=True):
    """`[console.host]` and `[console.guest]`."""

    host: Port = Port()
    guest: Port = Port()


class Ssh(Table, frozen=True):
    """`[ssh]`: the host's OpenSSH server. Without `host` the board is driven by its console alone."""

    host: str = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 22
    user: str = "root"
    identity: str = ""
    """Private key file; empty: what the user's own ssh configuration says."""
    host_key: str = ""
    """`ssh-ed25519 AAAA…` to pin; empty: the first key seen is kept."""
    keys: Literal["kept", "per boot"] = "kept"
    """How long the host's keys live. Where they lie in RAM and nothing is pinned, the first key seen holds until the host is left."""
    config: Literal["user", "none"] = "user"
    """Whose ssh configuration holds beside this table: the user's and this machine's, which may know the way to a bench, or nobody's."""
    options: tuple[str, ...] = ()
    """Further `-o` options."""


class Power(Table, frozen=True):
    """`[power]`: the switch. Which drivers there are, `harness.power` knows."""

    driver: str = ""
    resource: str = ""
    """VISA resource of a bench supply."""
    channel: Positive = 1
    reset_channel: Positive | None = None
    """A relay on the board's reset line."""
    off_time: Annotated[float, Meta(ge=0)] = 1.0
    """Least seconds off between two power-ons."""


class HostProfile(Table, frozen=True):
    """`[host]`: the hypervisor host's places and tools."""

    banner: str = "Welcome to QNX"
    """Text on the console that proves that the host, not the firmware, is talking."""
    path: tuple[str, ...] = ("/proc/boot", "/sbin", "/bin", "/usr/bin", "/usr/sbin", "/usr/libexec")
    library_path: tuple[str, ...] = ("/proc/boot", "/lib", "/usr/lib", "/lib/dll", "/lib/dll/pci")
    scratch: str = "/data/harness"
    """What the harness puts there it takes away again."""
    store: str = "/data/guests"
    """Guest images, kept by hash."""
    qvm: str = "/sbin/qvm"
    vdev_directory: str = "/lib/dll"
    digest: Literal["sha1sum", "sha256sum"] = "sha1sum"
    """The tool by which the host proves what arrived: one of the two whose digests are taken of every vdev."""
    objects: Literal["qnx", "linux"] = "qnx"
    """The system whose shared objects its loader takes."""


class Identity(Table, frozen=True):
    """`[identity]`: what the host must say of itself before anything is written to it. What is empty is not asked.

    A board type says what such a host's `uname` prints, a bench file which of them it is.
    """

    system: str = ""
    """`uname -s`: QNX."""
    release: str = ""
    """`uname -r`, with wildcards as in file names: `8.0.*`."""
    machine: str = ""
    """`uname -m`, with wildcards: `RaspberryPi4B`."""
    command: tuple[str, ...] = ()
    """A command that only reads, and whose output holds something that this one board has: `["ifconfig", "genet0"]`."""
    answer: str = ""
    """What must stand in that output: a MAC address, a serial number."""


class GuestConsole(Table, frozen=True):
    """`[vm.console]`: how the console of a guest reaches the lab controller."""

    route: Literal["serial", "pty", "stdout"] = "serial"
    """"serial": by a cable (`[console.guest]`). "pty": `vm.console_device` is the master of a pty pair, the rest of the way is SSH.
    "stdout": `vm.console_device` is "-", qvm's standard input and output; the rest of the way is SSH."""
    slave: str = ""
    """The other end of that pair on the host: `/dev/ttyp0`."""


class Vm(Table, frozen=True):
    """`[vm]`: what every VM configuration on this board needs."""

    console_device: str = ""
    """The host device the guest's console is bridged to: `/dev/ser3`."""
    console: GuestConsole = GuestConsole()
    base_options: dict[str, str] = {}
    """VM options every configuration gets: option name to the rest of its line."""


class QnxImage(Table, frozen=True):
    """`[guests.qnx]`: a QNX guest's image, which a bench file names; none comes with the harness."""

    ifs: str
    """The image file system on the lab controller: `~/images/guest-1.ifs`. Its console is /dev/ser1 at 115200."""
    prompt: Prompt = "# "
    """What its shell prints when it is ready."""
    cmdline: Quotable = ""
    """The `cmdline` of its VM configuration."""


class Guests(Table, frozen=True):
    """`[guests.NAME]`: guests that the user supplies."""

    qnx: QnxImage | None = None


class Vdevs(Table, frozen=True):
    """`[vdevs]`: the objects under test on the lab controller."""

    directory: str = ""
    """Where they are when the user does not say `--vdevs=DIR`, from the checkout; empty: the host's own stay in use."""


class Build(Table, frozen=True):
    """`[build]`: how `harness vdev build` makes a vdev for this board."""

    compiler: tuple[str, ...] = ()
    """The compiler and its flags for a shared object, started in the checkout; the sources and `-o` are added."""
    headers: str = ""
    """The headers of the vdev API, from the checkout: what they declare is all that a vdev may ask of qvm. Empty: the compiler has
    them, and no symbol is refused."""
    own: tuple[str, ...] = ()
    """Functions of these headers that are not QNX's: calling one is remarked."""


class Reference(Table, frozen=True):
    """`[reference]`: the clock that a board's time is compared with."""

    clock: Literal["lab controller", "host"] = "lab controller"
    """"host" where host and guests share a time that is not the lab controller's."""


class Timing(Table, frozen=True):
    """`[timing]`: the deadline of each phase in seconds, and one factor over all of them for a slow lab controller."""

    factor: Seconds = 1.0
    power: Seconds = 5.0
    boot: Seconds = 60.0
    shell: Seconds = 10.0
    command: Seconds = 10.0
    ssh: Seconds = 60.0
    transfer: Seconds = 60.0
    qvm_start: Seconds = 10.0
    guest_boot: Seconds = 120.0
    guest_command: Seconds = 20.0
    guest_shutdown: Seconds = 30.0


class Tables(Table, frozen=True):
    """The tables of a board type, a bench file over it, and a launch line over both."""

    board: About
    launch: Launch | None = None
    console: Consoles = Consoles()
    line: dict[str, Line] = {}
    ssh: Ssh = Ssh()
    power: Power = Power()
    host: HostProfile = HostProfile()
    identity: Identity = Identity()
    vm: Vm = Vm()
    vdevs: Vdevs = Vdevs()
    guests: Guests = Guests()
    build: Build = Build()
    reference: Reference = Reference()
    timing: Timing = Timing()
    features: tuple[str, ...] = ()
    """What this board can do that not every board can, as boards/README.md lists it: `line.rx_errors`."""
    claims: dict[str, Claim] = {}
    """What its documentation leaves open about a vdev, decided or not: `timer8254.port61`."""


class NoBench(UseError):
    """The name is a board type's: it says what such a board is, not where one stands. A bench file is missing or says too little."""


class Board(Tables, frozen=True, kw_only=True):
    """A board or bench by its name, with everything known about it."""

    name: str
    files: tuple[str, ...]
    """Where it was read from, the board type first; as a person would name the files."""

    @property
    def root(self) -> Path:
        """The checkout: what its relative paths start from, and where a launch command runs."""
        return checkout()

    @property
    def mode(self) -> Literal["hardware", "virtual"]:
        """What to expect before the host has been asked: a board that is launched is made of software."""
        return "virtual" if self.launch else "hardware"

    @property
    def lock_directory(self) -> Path | None:
        """Where its lease lies: a launched board belongs to its checkout, a real one (None) to the whole machine."""
        return self.root / "build" / "benches" if self.launch else None

    def seconds(self, phase: Phase) -> float:
        """The deadline of a phase, the factor applied."""
        value: float = getattr(self.timing, phase)
        return value * self.timing.factor

    def has(self, feature: str) -> bool:
        """Whether `features` names it."""
        return feature in self.features

    def claim(self, name: str) -> Claim:
        """What is claimed of a vdev; what nobody wrote down is unknown."""
        return self.claims.get(name, "unknown")

    def require_bench(self) -> None:
        """Raises `NoBench` unless it can be reached: it is a program to launch, or its files name a console and a power switch."""
        if self.launch or (self.console.host.url and self.power.driver):
            return
        if len(self.files) > 1:
            missing = "power.driver" if self.console.host.url else "console.host.url"
            raise NoBench(f"{self.files[-1]}: {missing} is missing", "add it; without it the bench cannot be driven")
        raise NoBench(
            f"{self.name} is a board type, and nothing says where such a board stands",
            f"write a bench file with `harness bench new {self.name}`, fill it in, and run with --board=my-{self.name}",
        )
