"""VM configurations (model, writer, parser, lint), the documented Linux example, and the qvm process."""

from harness.vm.lint import ConfigurationFault, Finding, check, lint
from harness.vm.linux import linux_configuration
from harness.vm.model import Configuration, Cpu, Load, Logger, Option, Pass, Ram, Reserve, Rom, Set, Unsupported, Vdev, add_option, vdev
from harness.vm.parser import ConfigurationSyntax, Parsed, parse, with_base_options
from harness.vm.qvm import (
    ConfigurationRefused,
    DryrunResult,
    Ending,
    HypervisorDisabled,
    NoQvm,
    Qvm,
    QvmEnded,
    QvmStuck,
    SystemBusy,
)
from harness.vm.status import meaning
from harness.vm.writer import Unwritable, write, write_option

__all__ = [
    "Configuration",
    "ConfigurationFault",
    "ConfigurationRefused",
    "ConfigurationSyntax",
    "Cpu",
    "DryrunResult",
    "Ending",
    "Finding",
    "HypervisorDisabled",
    "Load",
    "Logger",
    "NoQvm",
    "Option",
    "Parsed",
    "Pass",
    "Qvm",
    "QvmEnded",
    "QvmStuck",
    "Ram",
    "Reserve",
    "Rom",
    "Set",
    "SystemBusy",
    "Unsupported",
    "Unwritable",
    "Vdev",
    "add_option",
    "check",
    "linux_configuration",
    "lint",
    "meaning",
    "parse",
    "vdev",
    "with_base_options",
    "write",
    "write_option",
]
