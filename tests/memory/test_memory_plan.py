import dataclasses
import json
import os

import pytest

from af3opt.host.gpus import Gpu
from af3opt.host.host import Memory
from af3opt.memory import (
    JobSize,
    KnownPrograms,
    MemoryShortageError,
    Program,
    Room,
    plan_memory,
    room_now,
)
from af3opt.memory.forecast import GIB, WEIGHT_BYTES, DeviceNeed, host_bytes
from af3opt.memory.plan import program_room

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


PROGRAM = Program(kind="engine-cpu-xla", family="f1", shapes="256 tokens, 16 rows")


def of_size(**shapes):
    """The same program for other shapes of the input."""
    return dataclasses.replace(PROGRAM, **shapes)


def test_compiled_programs_are_remembered(tmp_path):
    path = tmp_path / "home" / "programs.json"
    size = JobSize(tokens=256, samples=5)
    KnownPrograms(path).learn(PROGRAM, size, 2_000_000_000)
    known = KnownPrograms(path)
    assert known.need(PROGRAM, size) == DeviceNeed(2_000_000_000, "compiled")
    for tokens, basis in ((128, "larger"), (512, "smaller")):
        need = known.need(of_size(shapes="others"), JobSize(tokens=tokens, samples=5))
        growth = (1_150_000 * tokens + 9_600 * tokens**2) / (1_150_000 * 256 + 9_600 * 256**2)
        assert need.basis == basis
        assert need.bytes == pytest.approx(WEIGHT_BYTES + (2_000_000_000 - WEIGHT_BYTES) * growth)
        assert not need.certain
    # Fewer samples at once is another program; of another kind nothing is known.
    assert known.need(PROGRAM, JobSize(tokens=256, samples=4)).basis == "smaller"
    other = Program(kind="engine-gpu-xla", family="f2", shapes=PROGRAM.shapes)
    assert known.need(other, size).basis == "fitted"


def test_what_is_known_holds_for_that_program_alone(tmp_path):
    known = KnownPrograms(tmp_path / "programs.json")
    size = JobSize(tokens=256, samples=5)
    known.learn(PROGRAM, size, 1 << 50)
    assert known.need(PROGRAM, size).certain
    # Other MSA rows; another precision, optimisation, engine or JAX.
    assert not known.need(of_size(shapes="256 tokens, 1024 rows"), size).certain
    assert not known.need(of_size(family="f2"), size).certain
    assert known.need(of_size(family="f2"), size).basis == "fitted"
    # What can be told without JAX is enough for an estimate.
    assert known.need(Program(kind=PROGRAM.kind), size).basis == "smaller"


def test_of_a_small_model_only_the_part_that_grows_is_scaled(tmp_path):
    known = KnownPrograms(tmp_path / "programs.json")
    size = JobSize(tokens=100, samples=5)
    known.learn(PROGRAM, size, 500_000, weight_bytes=300_000)
    need = known.need(of_size(shapes="200"), JobSize(tokens=200, samples=5))
    assert 300_000 + 2 * 200_000 < need.bytes < 300_000 + 4 * 200_000


def test_a_peptide_refuses_no_protein(tmp_path):
    known = KnownPrograms(tmp_path / "programs.json")
    known.learn(of_size(shapes="16"), JobSize(tokens=16, samples=5), 2_000_000_000)
    size = JobSize(tokens=208, samples=5)
    need = known.need(of_size(shapes="208"), size)
    assert need.bytes < 25 * GIB
    plan = plan_memory(
        size, make_room(host=2), lambda _: DeviceNeed(404 * GIB, "smaller"), can_split_samples=True
    )
    assert plan.size == size
    assert "by estimate" in plan.warning


def test_a_refusal_is_proved_wrong_by_a_run(tmp_path):
    path = tmp_path / "programs.json"
    known = KnownPrograms(path)
    size = JobSize(tokens=256, samples=1)
    known.learn(PROGRAM, size, 8 * GIB)
    small = make_room(device=4)
    with pytest.raises(MemoryShortageError, match="--force_memory"):
        plan_memory(size, small, lambda one: known.need(PROGRAM, one), can_split_samples=True)
    forced = plan_memory(
        size, small, lambda one: known.need(PROGRAM, one), can_split_samples=True, force=True
    )
    assert forced.size == size
    assert forced.warning.startswith("tried by --force_memory: 256 tokens")
    known.ran(PROGRAM, forced.size, program_room(forced.size, small))
    again = KnownPrograms(path)
    assert again.need(PROGRAM, size) == DeviceNeed(4 * GIB, "measured")
    plan = plan_memory(size, small, lambda one: again.need(PROGRAM, one), can_split_samples=True)
    assert plan.warning == ""
    # In less room than it ever ran in, it is refused.
    with pytest.raises(MemoryShortageError):
        plan_memory(
            size, make_room(device=3), lambda one: again.need(PROGRAM, one), can_split_samples=True
        )
    # A run in more room than XLA reported proves nothing.
    again.ran(PROGRAM, size, 64 * GIB)
    assert again.need(PROGRAM, size).bytes == 4 * GIB


def test_room_of_a_program_on_the_host_is_what_the_arrays_leave():
    assert program_room(SIZE, make_room(host=64)) == 64 * GIB - host_bytes(SIZE)
    assert program_room(SIZE, make_room(host=0.01)) == 0
    assert program_room(SIZE, make_room(device=8)) == 8 * GIB


def test_programs_of_the_first_layout_are_estimates(tmp_path):
    path = tmp_path / "programs.json"
    path.write_text(json.dumps({f"{PROGRAM.kind}|5+distogram": {"256": 2_000_000_000}}))
    known = KnownPrograms(path)
    size = JobSize(tokens=256, samples=5, distogram=True)
    assert known.need(PROGRAM, size) == DeviceNeed(2_000_000_000, "smaller")
    assert known.need(PROGRAM, JobSize(tokens=256, samples=5)).basis == "fitted"
    known.learn(PROGRAM, size, 1_900_000_000)
    assert KnownPrograms(path).need(PROGRAM, size) == DeviceNeed(1_900_000_000, "compiled")


FLASH = Program(kind="engine-gpu-triton", flash_attention=True)


def test_without_knowledge_flash_attention_follows_the_published_size():
    known = KnownPrograms()
    for tokens, work in ((5120, 78_600_000_000), (2560, 78_600_000_000 // 4)):
        need = known.need(FLASH, JobSize(tokens=tokens, samples=5))
        assert need == DeviceNeed(1_400_000_000 + work, "published")


@pytest.mark.parametrize(
    ("tokens", "reported"),
    [(128, 321_469_656), (256, 935_359_680), (512, 3_110_390_016), (1024, 11_222_436_032)],
)
def test_without_knowledge_portable_attention_follows_the_reports(tokens, reported):
    need = KnownPrograms().need(PROGRAM, JobSize(tokens=tokens, samples=5))
    assert need.basis == "fitted"
    assert need.bytes - 1_400_000_000 == pytest.approx(reported, rel=0.06)


@pytest.mark.parametrize(
    "text",
    [
        *('{"cpu|5": {"a": 1}}', "{}", "[]", "", "{" * 50_000, '{"cpu|5": {"256": Infinity}}'),
        *('{"cpu|x": {"256": 1}}', '{"cpu|5": {"0": 1}}', '{"cpu|5": {"256": -1}}'),
        '{"format": "af3opt-programs/2", "programs": [{}]}',
        '{"format": "af3opt-programs/2", "programs": {}}',
    ],
)
def test_damaged_knowledge_is_forgotten(tmp_path, text):
    path = tmp_path / "programs.json"
    path.write_text(text)
    assert KnownPrograms(path).need(PROGRAM, SIZE).basis == "fitted"


@pytest.mark.parametrize(
    "size", ["Infinity", "1e999", "NaN", "-5", "0", '"x"', "[]", "9" * 400 + ".0", "[" * 100_000]
)
def test_a_damaged_memory_of_programs_is_forgotten(size, tmp_path):
    path = tmp_path / "programs.json"
    job = JobSize(tokens=256, samples=5)
    KnownPrograms(path).learn(PROGRAM, job, 10**9)
    assert KnownPrograms(path).need(PROGRAM, job).basis == "compiled"
    path.write_text(path.read_text().replace(f'"bytes": {10**9}', f'"bytes": {size}'))
    assert KnownPrograms(path).need(PROGRAM, job).basis == "fitted"


def test_programs_are_learned_from_files_of_ones_own_only(tmp_path):
    path = tmp_path / "programs.json"
    job = JobSize(tokens=256, samples=5)
    KnownPrograms(path).learn(PROGRAM, job, 10**9)
    path.chmod(0o666)
    assert KnownPrograms(path).need(PROGRAM, job).basis == "fitted"
    path.unlink()
    os.mkfifo(path)
    assert KnownPrograms(path).need(PROGRAM, job).basis == "fitted"
