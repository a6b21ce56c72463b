"""Progress: bars at a terminal, lines in a log, times for the next run."""

from af3opt.progress.display import open_display
from af3opt.progress.learned import LearnedTimes, Workload
from af3opt.progress.reporter import JobReport, Reporter

__all__ = ["JobReport", "LearnedTimes", "Reporter", "Workload", "open_display"]
