import sys
import threading
import time
import types

import numpy as np
import pytest

from af3opt.host.host import Memory
from af3opt.memory import MemoryManager, StagePeak
from af3opt.memory.usage import available_bytes, device_memory

MIB = 1 << 20


class FakeDevice:
    platform = "gpu"

    def __init__(self, stats):
        self.stats = stats

    def memory_stats(self):
        return self.stats


def make_manager(device=None, limit=1 << 40):
    return MemoryManager(Memory(limit, "Slurm"), device=device)


def test_usage_is_of_this_process():
    usage = make_manager().get_memory_usage()
    assert usage.resident_bytes > 10 * MIB
    assert usage.limit_bytes == 1 << 40
    assert usage.device is None


def test_available_respects_the_limit():
    assert available_bytes(100, 150) == 0
    assert available_bytes(100, 40) == 60
    assert available_bytes(None, 0) > MIB


def test_sampling_goes_on_after_a_sample_that_failed(monkeypatch):
    from af3opt.memory import manager as module

    sampled, measure = threading.Event(), module.resident_bytes
    main, failures = threading.get_ident(), []

    def failing_first():
        if threading.get_ident() == main:
            return measure()
        if not failures:
            failures.append("once")
            raise OSError("not now")
        sampled.set()
        return 1 << 60

    monkeypatch.setattr(module, "resident_bytes", failing_first)
    manager = make_manager()
    with manager.monitor("stage"):
        assert sampled.wait(60)
    assert manager.take_peak("stage").host_bytes >= 1 << 60


def test_monitor_sees_memory_that_is_gone_at_the_end():
    manager = make_manager()
    before = manager.update("before").resident_bytes
    with manager.monitor("stage"):
        block = np.ones(200 * MIB, np.uint8)
        time.sleep(0.6)
        del block
    assert manager.peaks["stage"].host_bytes - before > 150 * MIB


def test_monitor_reports_when_the_block_raises():
    manager = make_manager()
    with pytest.raises(RuntimeError), manager.monitor("stage"):
        raise RuntimeError
    assert manager.peaks["stage"].host_bytes > 0


def test_device_peak_of_the_allocator_counts_for_the_stage_it_rose_in():
    device = FakeDevice({"bytes_in_use": 10, "peak_bytes_in_use": 20, "bytes_limit": 100})
    manager = make_manager(device)
    with manager.monitor("first"):
        device.stats = {**device.stats, "peak_bytes_in_use": 80}
    with manager.monitor("second"):
        pass
    assert manager.peaks["first"].device_bytes == 80
    assert manager.peaks["second"].device_bytes == 10


def test_device_may_become_known_later():
    manager = make_manager()
    assert manager.get_memory_usage().device is None
    manager.watch_device(FakeDevice({"bytes_in_use": 10, "bytes_limit": 100}))
    assert manager.get_memory_usage().device.used_bytes == 10


def test_peaks_can_be_forgotten():
    manager = make_manager()
    manager.update("stage")
    assert manager.take_peak("stage").host_bytes > 0
    assert not manager.peaks


def test_merging_peaks():
    merged = StagePeak(5, None).merged(StagePeak(3, 7))
    assert merged == StagePeak(5, 7)
    assert merged.merged(StagePeak(1, None)) == merged


def test_cpu_device_has_no_memory_of_its_own():
    device = FakeDevice(None)
    device.platform = "cpu"
    assert device_memory(device) is None


def test_driver_is_asked_when_jax_does_not_count(monkeypatch):
    class NVMLError(Exception):
        pass

    module = types.SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetMemoryInfo=lambda handle: types.SimpleNamespace(used=3, total=9),
    )
    monkeypatch.setitem(sys.modules, "pynvml", module)
    memory = device_memory(FakeDevice(None), "GPU-1")
    assert (memory.used_bytes, memory.limit_bytes, memory.source) == (3, 9, "nvml")
    assert device_memory(FakeDevice(None)) is None

    def fail():
        raise NVMLError

    module.nvmlInit = fail
    assert device_memory(FakeDevice(None), "GPU-1") is None


def test_cleanup_releases_buffers_of_finished_arrays():
    jax = pytest.importorskip("jax")
    manager = make_manager()
    # Written to, so that the pages are resident.
    finished = {"pair": jax.numpy.ones(100 * MIB, jax.numpy.uint8).block_until_ready(), "n": 3}
    freed = manager.cleanup(finished)
    assert finished["pair"].is_deleted()
    assert freed.host_bytes > 80 * MIB
    assert freed.device_bytes is None
    manager.cleanup(finished)


def test_cleanup_returns_heap_pages():
    manager = make_manager()
    # Below glibc's mmap threshold, and every other one is kept: only a trim returns the holes.
    blocks = [bytearray(60_000) for _ in range(3_000)]
    del blocks[::2]
    freed = manager.cleanup()
    assert len(blocks) == 1_500
    assert freed.host_bytes > 50 * MIB
