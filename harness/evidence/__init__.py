"""What a run leaves behind: its directory, its journal. The invariant: nothing here changes what the run does."""

from harness.evidence.journal import DAMAGED, PLANNED, VERDICT, Journal, read, without_verdict
from harness.evidence.outcomes import Outcome, Outcomes
from harness.evidence.run import Run
from harness.evidence.rundir import RunDirectory

__all__ = ["DAMAGED", "PLANNED", "VERDICT", "Journal", "Outcome", "Outcomes", "Run", "RunDirectory", "read", "without_verdict"]
