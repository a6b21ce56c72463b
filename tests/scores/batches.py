"""Output directories of several jobs, as upstream and as af3opt leave them."""

import json
import shutil

from af3opt.base.json_files import to_json
from af3opt.scores.reading.layout import find_sample_files
from af3opt.scores.samples import sample_scores
from tests.scores.models import write_model


def write_job(root, name, atoms, trusts, *, recorded=False, formulas=None):
    """Writes a job with a sample for each trust; the ranking score is the trust.

    Args:
        root: Output directory.
        name: The job's name.
        atoms: The complex.
        trusts: One a sample, seed 1.
        recorded: Leave a run record with the scores of interfaces.
        formulas: Another version of the formulas for that record.
    """
    directory = root / name
    rows, samples = ["seed,sample,ranking_score"], []
    for index, trust in enumerate(trusts):
        inner = directory / f"seed-1_sample-{index}"
        files = write_model(inner, atoms, trust)
        for path in (files.structure, files.confidences, files.summary):
            shutil.move(path, path.with_name(f"{name}_{inner.name}_{path.name}"))
        rows.append(f"1,{index},{trust}")
        if recorded:
            scores = json.loads(to_json(sample_scores(find_sample_files(inner, name))))
            scores["formulas"] = formulas or scores["formulas"]
            samples.append({"index": index, "interface_scores": scores})
    (directory / f"{name}_ranking_scores.csv").write_text("\n".join(rows) + "\n")
    if recorded:
        record = {"format": "af3opt-run-record/2", "seeds": [{"seed": 1, "samples": samples}]}
        (directory / f"{name}_af3opt.json").write_text(json.dumps(record))
    return directory
