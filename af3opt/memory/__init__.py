"""Memory: measured by stage, predicted before a job, given back after it."""

from af3opt.memory.forecast import JobSize
from af3opt.memory.known_programs import KnownPrograms, Program
from af3opt.memory.manager import Freed, MemoryManager, StagePeak
from af3opt.memory.plan import MemoryPlan, MemoryShortageError, Room, plan_memory, room_now
from af3opt.memory.usage import DeviceMemory, MemoryUsage

__all__ = [
    "DeviceMemory",
    "Freed",
    "JobSize",
    "KnownPrograms",
    "MemoryManager",
    "MemoryPlan",
    "MemoryShortageError",
    "MemoryUsage",
    "Program",
    "Room",
    "StagePeak",
    "plan_memory",
    "room_now",
]
