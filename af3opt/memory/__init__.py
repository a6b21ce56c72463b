"""Memory: measured by stage, predicted before a job, given back after it."""

from af3opt.memory.manager import Freed, MemoryManager, StagePeak
from af3opt.memory.usage import DeviceMemory, MemoryUsage

__all__ = ["DeviceMemory", "Freed", "MemoryManager", "MemoryUsage", "StagePeak"]
