"""What a shared cache must survive: kills, races, damaged disks."""

import hashlib
import logging
import multiprocessing
import os
import random
import signal
import time

import pytest

from af3opt.base.key import CacheKey
from af3opt.caching.manager import CacheManager

_KILLS = 200
_PROCESSES = 8
_DAMAGED = 500
# Forked, so that a writer begins at once; of a server, since this process may have threads.
_FORK = multiprocessing.get_context("forkserver")
_FORK.set_forkserver_preload([__name__])


def _key(number):
    return CacheKey.of({"number": number})


def _payload(number):
    """A payload that only this key can have."""
    block = hashlib.sha256(str(number).encode()).digest()
    return block * (20 + 997 * (number % 13))


def _write_until_killed(root, start, begun):
    manager = CacheManager("test cache", root)
    number = start
    begun.release()
    while True:
        manager.put(_key(number % 40), [_payload(number % 40)])
        number += 1


def _read_all(manager):
    found = 0
    for number in range(40):
        payload = manager.get(_key(number))
        if payload is not None:
            assert bytes(payload) == _payload(number)
            found += 1
    return found


@pytest.mark.slow
def test_writers_killed_at_random_moments_leave_no_damaged_entry(tmp_path):
    generator = random.Random(1)
    manager = CacheManager("test cache", tmp_path)
    found = 0
    begun = _FORK.Semaphore(0)
    for attempt in range(_KILLS):
        writer = _FORK.Process(target=_write_until_killed, args=(tmp_path, attempt, begun))
        writer.start()
        assert begun.acquire(timeout=60)
        time.sleep(generator.uniform(0.001, 0.03))
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        if attempt % 20 == 19:
            # Renewed, so that later writers also create, not only replace.
            found += _read_all(manager)
            manager.clear()
        else:
            _read_all(manager)
    assert found > 0
    assert manager.stats().quarantined == 0


def _write_and_read(root, process, failures):
    generator = random.Random(process)
    manager = CacheManager("test cache", root, max_bytes=3_000_000)
    try:
        for _ in range(300):
            number = generator.randrange(12)
            if generator.random() < 0.4:
                assert manager.put(_key(number), [_payload(number)])
            else:
                payload = manager.get(_key(number))
                assert payload is None or bytes(payload) == _payload(number)
        assert manager.stats().quarantined == 0
    except BaseException as error:
        failures.put(repr(error))


@pytest.mark.slow
def test_processes_on_the_same_keys_never_get_a_wrong_hit(tmp_path):
    failures = _FORK.Queue()
    workers = [
        _FORK.Process(target=_write_and_read, args=(tmp_path, process, failures))
        for process in range(_PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * _PROCESSES
    assert failures.empty(), failures.get()


def test_every_flipped_bit_and_truncation_is_detected(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    generator = random.Random(2)
    manager = CacheManager("test cache", tmp_path)
    for number in range(_DAMAGED):
        payload = generator.randbytes(generator.randrange(1, 3000))
        manager.put(_key(number), [payload])
        path = manager.path_of(_key(number).digest)
        content = bytearray(path.read_bytes())
        if number % 2:
            content = content[: generator.randrange(len(content))]
        else:
            content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        path.write_bytes(content)
        assert manager.get(_key(number)) is None
    assert manager.stats().quarantined == _DAMAGED
