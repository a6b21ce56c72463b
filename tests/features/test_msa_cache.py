"""The MSA cache searches a chain once, and never mixes databases, tools or options."""

import dataclasses

import pytest
import zstandard

from af3opt.base.key import CacheKey
from af3opt.caching.manager import CacheManager
from af3opt.schedulers.search_work import find_search_costs
from af3opt.settings.settings import resolve_settings

pytestmark = pytest.mark.engine


@dataclasses.dataclass
class _Config:
    jackhmmer_binary_path: str
    uniref90_database_path: str
    pdb_database_path: str
    max_template_date: str = "2021-09-30"
    uniref90_z_value: int | None = None
    jackhmmer_n_cpu: int = 8


class _Pipeline:
    """Stands in for the engine's pipeline: its searches are counted."""

    def __init__(self):
        self.searched = []
        self.during_search = lambda: None

    def process_protein_chain(self, chain):
        from af3opt.engine.modules import engine_module

        folding_input = engine_module("common.folding_input")
        self.searched.append(chain.id)
        self.during_search()
        return type(chain)(
            id=chain.id,
            sequence=chain.sequence,
            ptms=chain.ptms,
            unpaired_msa=f">query\n{chain.sequence}\n",
            paired_msa="",
            templates=[
                folding_input.Template(mmcif="data_x", query_to_template_map={3: 1, 1: 0}),
            ],
        )

    def process_rna_chain(self, chain):
        self.searched.append(chain.id)
        return type(chain)(
            id=chain.id,
            sequence=chain.sequence,
            modifications=chain.modifications,
            unpaired_msa=f">query\n{chain.sequence}\n",
        )


@pytest.fixture
def config(tmp_path):
    (tmp_path / "jackhmmer").write_bytes(b"program")
    (tmp_path / "uniref.fasta").write_bytes(b">a\nACDEF\n" * 100)
    (tmp_path / "mmcif").mkdir()
    return _Config(
        str(tmp_path / "jackhmmer"), str(tmp_path / "uniref.fasta"), str(tmp_path / "mmcif")
    )


@pytest.fixture
def searcher(engine, tmp_path):
    """Makes a pipeline with a cache, as a new process would."""
    from af3opt.features.msa_cache import MsaCache

    def make(config):
        cache = MsaCache(CacheManager("MSA cache", tmp_path / "cache"))
        return cache.pipeline_class(_Pipeline, config)()

    return make


def _protein(identifier, sequence="ACDEFGHIK", **given):
    from af3opt.engine.modules import engine_module

    chain = engine_module("common.folding_input").ProteinChain
    return chain(id=identifier, sequence=sequence, ptms=[], **given)


def test_the_same_chain_in_another_complex_is_not_searched_again(searcher, config):
    first, second = searcher(config), searcher(config)
    found = first.process_protein_chain(_protein("A"))
    again = second.process_protein_chain(_protein("C"))
    assert (first.searched, second.searched) == (["A"], [])
    assert again.id == "C"
    assert (again.unpaired_msa, again.paired_msa) == (found.unpaired_msa, found.paired_msa)
    assert list(again.templates) == list(found.templates)
    assert list(again.templates[0].query_to_template_map) == [3, 1]


def test_rna_is_kept_too(searcher, config):
    from af3opt.engine.modules import engine_module

    chain = engine_module("common.folding_input").RnaChain(
        id="R", sequence="ACGU", modifications=[]
    )
    searcher(config).process_rna_chain(chain)
    second = searcher(config)
    assert second.process_rna_chain(chain).unpaired_msa == ">query\nACGU\n"
    assert second.searched == []


@pytest.mark.parametrize(
    "change",
    [
        {"max_template_date": "2020-01-01"},
        {"uniref90_z_value": 5},
        {"uniref90_database_path": "other.fasta"},
        {"jackhmmer_binary_path": "other_program"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_options_databases_and_programs_search_again(searcher, config, tmp_path, change):
    (tmp_path / "other.fasta").write_bytes(b">a\nACDEF\n" * 99)
    (tmp_path / "other_program").write_bytes(b"another program")
    searcher(config).process_protein_chain(_protein("A"))
    paths = {name: str(tmp_path / value) for name, value in change.items() if "path" in name}
    pipeline = searcher(dataclasses.replace(config, **(change | paths)))
    pipeline.process_protein_chain(_protein("A"))
    assert pipeline.searched == ["A"]


def test_a_database_rebuilt_in_place_searches_again(searcher, config, tmp_path):
    searcher(config).process_protein_chain(_protein("A"))
    database = tmp_path / "uniref.fasta"
    database.write_bytes(database.read_bytes().replace(b"ACDEF", b"ACDEG"))
    pipeline = searcher(config)
    pipeline.process_protein_chain(_protein("A"))
    assert pipeline.searched == ["A"]


def test_a_database_replaced_during_a_batch_is_searched_again(searcher, config, tmp_path):
    pipeline = searcher(config)
    pipeline.process_protein_chain(_protein("A"))
    (tmp_path / "uniref.fasta").write_bytes(b">b\nGHIKL\n" * 100)
    pipeline.process_protein_chain(_protein("B"))
    assert pipeline.searched == ["A", "B"]
    # And what was found in it is kept under its own name.
    (again := searcher(config)).process_protein_chain(_protein("C"))
    assert again.searched == []


def test_what_was_searched_in_a_database_while_it_changed_is_not_kept(
    searcher, config, tmp_path, caplog
):
    pipeline = searcher(config)
    database = tmp_path / "uniref.fasta"
    pipeline.during_search = lambda: database.write_bytes(database.read_bytes())
    assert pipeline.process_protein_chain(_protein("A")).templates
    assert "changed during its search" in caplog.text
    pipeline.during_search = lambda: None
    pipeline.process_protein_chain(_protein("B"))
    assert pipeline.searched == ["A", "B"]


def test_a_copy_of_the_database_elsewhere_is_the_same(searcher, config, tmp_path):
    searcher(config).process_protein_chain(_protein("A"))
    copy = tmp_path / "scratch.fasta"
    copy.write_bytes((tmp_path / "uniref.fasta").read_bytes())
    pipeline = searcher(dataclasses.replace(config, uniref90_database_path=str(copy)))
    pipeline.process_protein_chain(_protein("A"))
    assert pipeline.searched == []


def test_the_number_of_processors_does_not_matter(searcher, config):
    searcher(config).process_protein_chain(_protein("A"))
    pipeline = searcher(dataclasses.replace(config, jackhmmer_n_cpu=1))
    pipeline.process_protein_chain(_protein("A"))
    assert pipeline.searched == []


def test_an_alignment_of_the_users_own_is_part_of_the_identity(searcher, config):
    given = {"unpaired_msa": ">query\nACDEFGHIK\n", "paired_msa": ""}
    searcher(config).process_protein_chain(_protein("A"))
    pipeline = searcher(config)
    pipeline.process_protein_chain(_protein("A", **given))
    assert pipeline.searched == ["A"]


def test_a_chain_that_brings_everything_is_not_stored(searcher, config, tmp_path):
    pipeline = searcher(config)
    chain = _protein("A", unpaired_msa="", paired_msa="", templates=[])
    pipeline.process_protein_chain(chain)
    assert CacheManager("MSA cache", tmp_path / "cache").stats().entries == 0


def _frame(text):
    return zstandard.ZstdCompressor().compress(text)


FORGED = {
    "no frame": b"junk",
    "deep": _frame(b"[" * 100_000),
    "no object": _frame(b"[]"),
    "wrong type": _frame(b'{"unpaired_msa": 5}'),
    "another sequence": _frame(b'{"sequence": "AAAA"}'),
    "template of no text": _frame(b'{"templates": [[1, [[0, 0]]]]}'),
    "template without pairs": _frame(b'{"templates": [["data_x"]]}'),
    "pairs of text": _frame(b'{"templates": [["data_x", [["a", "b"]]]]}'),
    "templates of no list": _frame(b'{"templates": 7}'),
    # Says that a terabyte follows.
    "huge": b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little") + b"\x01\x00\x00",
    "infinite": _frame(b'{"unpaired_msa": Infinity}'),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_results_are_searched_again(name, searcher, config, tmp_path, caplog):
    searcher(config).process_protein_chain(_protein("A"))
    manager = CacheManager("MSA cache", tmp_path / "cache")
    (info,) = manager.entries()
    manager.put(CacheKey.of(info.header.material), [FORGED[name]])
    again = searcher(config)
    assert again.process_protein_chain(_protein("A")).templates
    assert again.searched == ["A"]
    assert "cannot be decoded" in caplog.text


def test_how_long_a_search_took_is_kept(searcher, config, tmp_path, monkeypatch):
    """Arrays of searches are balanced by it."""
    ticks = iter([100.0, 112.5])
    monkeypatch.setattr("af3opt.features.msa_cache.time.monotonic", lambda: next(ticks))
    searcher(config).process_protein_chain(_protein("A"))
    settings = resolve_settings([f"--msa_cache_dir={tmp_path / 'cache'}"], {})
    costs = find_search_costs(settings)
    assert costs.rate == pytest.approx(12.5 / (9 * 900e-9))
    assert "1 search(es)" in costs.source


def test_chains_that_share_a_pass_share_its_time(engine, config, tmp_path, monkeypatch):
    from af3opt.features.msa_cache import MsaCache

    ticks = iter([100.0, 140.0, 200.0, 205.0])
    monkeypatch.setattr("af3opt.features.msa_cache.time.monotonic", lambda: next(ticks))
    cache = MsaCache(CacheManager("MSA cache", tmp_path / "cache"))
    pipeline = cache.pipeline_class(_Pipeline, config)()
    with cache.side_by_side(8):
        pipeline.process_protein_chain(_protein("A"))
    pipeline.process_protein_chain(_protein("A", "ACDEFGHIKL"))
    headers = [entry.header for entry in cache.manager.entries()]
    seconds = {one.material["residues"]: one.information["seconds"] for one in headers}
    assert seconds == {9: 5.0, 10: 5.0}


def test_a_search_that_failed_in_this_run_is_not_tried(engine, config, tmp_path):
    from af3opt.features.msa_cache import MsaCache

    cache = MsaCache(CacheManager("MSA cache", tmp_path / "cache"))
    pipeline = cache.pipeline_class(_Pipeline, config)()
    failed = cache.missing(_protein("A"))
    cache.known_failure = lambda key: "no licence" if key == failed else None
    with pytest.raises(RuntimeError, match="no licence"):
        pipeline.process_protein_chain(_protein("A"))
    pipeline.process_protein_chain(_protein("B", "ACDEFGHIKL"))
    assert pipeline.searched == ["B"]
