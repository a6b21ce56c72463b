import os

import pytest

from af3opt.host.gpus import Gpu
from af3opt.host.host import Memory
from af3opt.memory import JobSize, KnownPrograms, MemoryShortageError, Room, plan_memory, room_now
from af3opt.memory.forecast import GIB, DeviceNeed, host_bytes

SIZE = JobSize(tokens=1024, samples=5, seeds_in_flight=3)


def make_room(host=64, device=None, **more):
    return Room(
        host_bytes=int(host * GIB),
        host_limit=Memory(64 * GIB, "Slurm"),
        device_bytes=None if device is None else int(device * GIB),
        **more,
    )


def by_samples(gib_per_sample, basis="compiled"):
    return lambda size: DeviceNeed(int(size.samples * gib_per_sample * GIB), basis)


def test_host_arrays_are_counted_by_shape():
    single = JobSize(tokens=1024, samples=5)
    pairs = 1024**2
    assert host_bytes(single) == 16384 * 3 * 1024 + pairs * (4 + 4 * 4 * 5 + 12)
    assert host_bytes(SIZE) == 3 * host_bytes(single)
    saving = JobSize(tokens=1024, samples=5, embeddings=True, distogram=True)
    assert host_bytes(saving) - host_bytes(single) == pairs * 192 * 6


def test_job_that_fits_is_left_alone():
    plan = plan_memory(SIZE, make_room(), by_samples(1), can_split_samples=True)
    assert (plan.size, plan.warning) == (SIZE, "")


def test_first_remedy_is_one_seed_at_a_time():
    host = 2 * host_bytes(SIZE) / 3 / GIB
    plan = plan_memory(SIZE, make_room(host, device=8), by_samples(1), can_split_samples=True)
    assert plan.size == JobSize(tokens=1024, samples=5)
    assert plan.warning == "to save memory: one seed at a time"


def test_then_fewer_samples_at_a_time():
    plan = plan_memory(SIZE, make_room(device=3.5), by_samples(1), can_split_samples=True)
    assert plan.size.samples == 3
    assert "3 of 5 samples at a time" in plan.warning


def test_unified_memory_is_room_on_the_host():
    def plan(host):
        room = make_room(host=host, device=3.5, unified=True)
        return plan_memory(SIZE, room, by_samples(1), can_split_samples=False)

    assert plan(host=64).size == SIZE
    with pytest.raises(MemoryShortageError):
        plan(host=1)


@pytest.mark.parametrize(("host", "unified", "helps"), [(64, False, True), (0.1, False, False)])
def test_a_refusal_tells_whether_spilling_would_help(host, unified, helps):
    room = make_room(host=host, device=3.5, unified=unified)
    with pytest.raises(MemoryShortageError) as refusal:
        plan_memory(SIZE, room, by_samples(4), can_split_samples=True)
    assert refusal.value.spilling_helps is helps


def test_refusal_names_the_numbers():
    with pytest.raises(MemoryShortageError) as refusal:
        plan_memory(SIZE, make_room(host=2), by_samples(8), can_split_samples=True)
    text = str(refusal.value)
    assert "\n" not in text
    for part in (
        "1024 tokens with 1 sample(s)", "8.1 GiB of host memory", "2.0 GiB available",
        "64.0 GiB (Slurm)", "--mem",
    ):  # fmt: skip
        assert part in text


def test_an_estimate_alone_does_not_refuse():
    plan = plan_memory(
        SIZE, make_room(host=4), by_samples(8, basis="smaller"), can_split_samples=True
    )
    assert plan.size == SIZE
    assert "by estimate" in plan.warning


def test_arrays_that_cannot_be_on_the_host_refuse_whatever_the_program_needs():
    with pytest.raises(MemoryShortageError):
        plan_memory(
            SIZE, make_room(host=0.01), by_samples(0.0, basis="published"), can_split_samples=True
        )


def test_room_is_what_is_left_of_the_limit():
    gpu = Gpu(0, "GPU-1", "Test", 8.0, 1000, "1")
    room = room_now(Memory(1 << 50, "Slurm"), gpu)
    assert 0 < room.host_bytes < 1 << 50
    assert room.device_bytes == 950 << 20
    on_cpu = room_now(Memory(1, "Slurm"), None)
    assert (on_cpu.host_bytes, on_cpu.device_bytes) == (0, None)


def test_compiled_programs_are_remembered(tmp_path):
    path = tmp_path / "home" / "programs.json"
    size = JobSize(tokens=256, samples=5)
    KnownPrograms(path).learn("cpu", size, 1000)
    known = KnownPrograms(path)
    assert known.need("cpu", size) == DeviceNeed(1000, "compiled")
    assert known.need("cpu", JobSize(tokens=128, samples=5)) == DeviceNeed(1000, "larger")
    assert known.need("cpu", JobSize(tokens=512, samples=5)) == DeviceNeed(8000, "smaller")
    for other in (JobSize(tokens=256, samples=4), JobSize(tokens=256, samples=5, distogram=True)):
        assert known.need("cpu", other).basis == "fitted"


def test_without_knowledge_flash_attention_follows_the_published_size():
    known = KnownPrograms()
    for tokens, work in ((5120, 78_600_000_000), (2560, 78_600_000_000 // 4)):
        need = known.need("gpu", JobSize(tokens=tokens, samples=5), flash_attention=True)
        assert need == DeviceNeed(1_400_000_000 + work, "published")


@pytest.mark.parametrize(
    ("tokens", "reported"),
    [(128, 321_469_656), (256, 935_359_680), (512, 3_110_390_016), (1024, 11_222_436_032)],
)
def test_without_knowledge_portable_attention_follows_the_reports(tokens, reported):
    need = KnownPrograms().need("cpu", JobSize(tokens=tokens, samples=5))
    assert need.basis == "fitted"
    assert need.bytes - 1_400_000_000 == pytest.approx(reported, rel=0.06)


def test_damaged_knowledge_is_forgotten(tmp_path):
    path = tmp_path / "programs.json"
    path.write_text('{"cpu|5": {"a": 1}}')
    assert KnownPrograms(path).need("cpu", SIZE).basis == "fitted"


@pytest.mark.parametrize(
    "size", ["Infinity", "1e999", "NaN", "-5", "0", '"x"', "[]", "9" * 400 + ".0", "[" * 100_000]
)
def test_a_damaged_memory_of_programs_is_forgotten(size, tmp_path):
    path = tmp_path / "programs.json"
    job = JobSize(tokens=256, samples=5)
    KnownPrograms(path).learn("kind", job, 10**9)
    assert KnownPrograms(path).need("kind", job).basis == "compiled"
    path.write_text(path.read_text().replace(str(10**9), size))
    assert KnownPrograms(path).need("kind", job).basis == "fitted"


def test_programs_are_learned_from_files_of_ones_own_only(tmp_path):
    path = tmp_path / "programs.json"
    job = JobSize(tokens=256, samples=5)
    KnownPrograms(path).learn("kind", job, 10**9)
    path.chmod(0o666)
    assert KnownPrograms(path).need("kind", job).basis == "fitted"
    path.unlink()
    os.mkfifo(path)
    assert KnownPrograms(path).need("kind", job).basis == "fitted"
