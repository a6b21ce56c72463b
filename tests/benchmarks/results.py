"""Made-up results of `af3opt bench`."""

from af3opt.benchmarks.results import BASELINE, COLD, WARM, CaseResult, Run, SuiteResult
from af3opt.benchmarks.stages import COMPILATION, FEATURISATION, INFERENCE


def make_case(name="a", baseline=(40.0, 44.0), cold=(10.0, 11.0), warm=(5.0, 4.0)):
    runs = [
        Run(
            role=role,
            repeat=repeat,
            wall_seconds=wall,
            cpu_seconds=wall,
            peak_bytes=2_000_000_000,
            stages={INFERENCE: wall * 0.8, COMPILATION: 1.0, FEATURISATION: wall * 0.1},
        )
        for role, walls in ((BASELINE, baseline), (COLD, cold), (WARM, warm))
        for repeat, wall in enumerate(walls)
    ]
    commands = {role: f"run {role}" for role in (BASELINE, COLD, WARM)}
    return CaseResult(name=name, description=f"case {name}", commands=commands, runs=runs)


def make_result(suite="quick", overrides=None):
    side = {"label": "x", "engine": "alphafold3 (fingerprint 1)", "versions": {"jax": "0.10.2"}}
    return SuiteResult(
        suite=suite,
        command="af3opt bench",
        started="2026-01-01T00:00:00+00:00",
        host={
            "cpu": "Some CPU",
            "usable_cores": 2,
            "bf16": [],
            "memory_gb": 25.0,
            "gpus": [],
            "system": "Linux",
            "load_average": 0.1,
        },
        baseline=side,
        subject=side,
        weights="random",
        overrides=overrides or {},
        backend="cpu",
        cases=[make_case(), make_case("b")],
    )
