"""Settings: precedence, absl syntax, one clear line for every mistake."""

import dataclasses
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from af3opt.base.errors import ExitCode, UsageError
from af3opt.search import kernel
from af3opt.settings.catalogue import Kind, Option, all_options
from af3opt.settings.presets import load_preset, shipped_presets
from af3opt.settings.settings import check_run_settings, format_settings, resolve_settings

PATH_TEXT = st.text(string.ascii_letters + string.digits + "_-./ é", min_size=1)
# tomllib, os.environ and argv agree on all text without controls and surrogates.
ANY_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="~"), min_size=1
)


def value_strategy(option: Option) -> st.SearchStrategy:
    spec = option.spec
    if option.name == "max_template_date":
        return st.dates().map(str)
    if spec.choices:
        return st.sampled_from(spec.choices)
    lower = int(spec.lower_bound) if spec.lower_bound is not None else None
    return {
        Kind.BOOLEAN: st.booleans(),
        Kind.INTEGER: st.integers(min_value=lower, max_value=2**53),
        Kind.FLOAT: st.floats(min_value=lower, allow_nan=False, allow_infinity=False),
        Kind.STRING: ANY_TEXT,
        Kind.PATH: PATH_TEXT.map(Path),
        Kind.STRINGS: st.lists(PATH_TEXT, min_size=1).map(tuple),
        Kind.NAMES: st.lists(st.text(string.ascii_lowercase + "_", min_size=1), min_size=1).map(
            tuple
        ),
        Kind.INTEGERS: st.sets(st.integers(1, 10**6), min_size=1).map(lambda s: tuple(sorted(s))),
    }[option.kind]


# config is not in here: its value names a preset that must exist.
OPTION_VALUES = st.sampled_from(
    [option for name, option in all_options().items() if name != "config"]
).flatmap(lambda option: st.tuples(st.just(option), value_strategy(option)))


def toml_text(value) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{', '.join(map(toml_text, value))}]"
        case str() | Path():
            return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


class TestRoundTrip:
    @given(OPTION_VALUES)
    def test_flag(self, option_value):
        option, value = option_value
        if option.kind is Kind.STRINGS:
            argv = [f"--{option.name}={item}" for item in value]
        else:
            argv = [f"--{option.name}={option.to_text(value)}"]
        settings = resolve_settings(argv, {})
        assert getattr(settings, option.name) == value
        assert settings.sources[option.name] == "flag"

    @given(OPTION_VALUES)
    def test_variable(self, option_value):
        option, value = option_value
        settings = resolve_settings([], {option.variable: option.to_text(value)})
        assert getattr(settings, option.name) == value
        assert settings.sources[option.name] == option.variable

    @given(OPTION_VALUES)
    def test_preset(self, tmp_path_factory, option_value):
        option, value = option_value
        preset = tmp_path_factory.mktemp("preset") / "site.toml"
        preset.write_text(f"{option.name} = {toml_text(value)}\n", encoding="utf-8")
        settings = resolve_settings([f"--config={preset}"], {})
        assert getattr(settings, option.name) == value
        assert settings.sources[option.name] == f"preset {preset}"


class TestAbslSyntax:
    @pytest.mark.parametrize(
        ("argv", "expected"),
        [
            (["--save_embeddings"], True),
            (["-save_embeddings"], True),
            (["--save_embeddings=true"], True),
            (["--save_embeddings=False"], False),
            (["--save_embeddings", "--nosave_embeddings"], False),
        ],
    )
    def test_booleans(self, argv, expected):
        assert resolve_settings(argv, {}).save_embeddings is expected

    def test_value_as_next_argument(self):
        assert resolve_settings(["--num_recycles", "3"], {}).num_recycles == 3

    def test_last_of_a_repeated_flag_counts_but_db_dir_collects(self):
        settings = resolve_settings(
            ["--num_recycles=1", "--num_recycles=2", "--db_dir=a", "--db_dir", "b"], {}
        )
        assert settings.num_recycles == 2
        assert settings.db_dir == ("a", "b")

    def test_names_are_separated_by_commas(self):
        flag = "--disable_optimizations="
        assert resolve_settings([f"{flag}a, b"], {}).disable_optimizations == ("a", "b")
        assert resolve_settings([flag], {}).disable_optimizations == ()
        with pytest.raises(UsageError, match="comma-separated names"):
            resolve_settings([f"{flag}a,,b"], {})

    def test_flagfile(self, tmp_path):
        flagfile = tmp_path / "flags"
        flagfile.write_text("# comment\n--num_recycles=4\n--nosave_terms_of_use\n")
        settings = resolve_settings([f"--flagfile={flagfile}"], {})
        assert settings.num_recycles == 4
        assert settings.save_terms_of_use is False

    def test_empty_value_unsets_what_a_preset_set(self):
        assert resolve_settings(["--config=cpu", "--jax_backend="], {}).jax_backend is None

    def test_tilde_is_expanded(self, monkeypatch):
        monkeypatch.setenv("HOME", "/home/user")
        settings = resolve_settings(["--model_dir=~/m", "--db_dir=~/d"], {})
        assert settings.model_dir == Path("/home/user/m")
        assert settings.db_dir == ("/home/user/d",)

    def test_global_absl_flags_stay_untouched(self):
        from absl import flags

        resolve_settings(["--num_recycles=4"], {})
        assert "num_recycles" not in flags.FLAGS


class TestPrecedence:
    def test_flag_variable_site_variable_preset_default(self, tmp_path):
        preset = tmp_path / "p.toml"
        preset.write_text('model_dir = "/preset"\nnum_recycles = 1\n')
        environ = {"AF3_MODEL_PARAMETERS_DIR": "/site", "AF3OPT_MODEL_DIR": "/variable"}
        argv = [f"--config={preset}", "--model_dir=/flag"]
        assert resolve_settings(argv, environ).model_dir == Path("/flag")
        assert resolve_settings(argv[:1], environ).model_dir == Path("/variable")
        del environ["AF3OPT_MODEL_DIR"]
        site = resolve_settings(argv[:1], environ)
        assert site.model_dir == Path("/site")
        assert site.sources["model_dir"] == "AF3_MODEL_PARAMETERS_DIR"
        assert resolve_settings(argv[:1], {}).model_dir == Path("/preset")
        assert resolve_settings([], {}).sources["model_dir"] == "default"

    def test_config_from_the_environment(self):
        settings = resolve_settings([], {"AF3OPT_CONFIG": "cpu"})
        assert settings.jax_backend == "cpu"
        assert settings.sources["jax_backend"] == "preset cpu"

    def test_config_flag_beats_the_variable(self):
        settings = resolve_settings(["--config=gpu-volta"], {"AF3OPT_CONFIG": "cpu"})
        assert settings.jax_backend == "gpu"

    def test_config_of_the_site_holds_for_what_the_own_one_does_not_say(self, tmp_path):
        site, own = tmp_path / "site.toml", tmp_path / "own.toml"
        site.write_text(
            'db_dir = ["/site"]\nnum_recycles = 3\n[environment]\nA = "site"\nB = "site"\n'
        )
        own.write_text('num_recycles = 4\n[environment]\nB = "own"\n')
        settings = resolve_settings([f"--config={own}"], {"AF3OPT_CONFIG": str(site)})
        assert settings.db_dir == ("/site",)
        assert settings.sources["db_dir"] == f"preset {site}"
        assert settings.num_recycles == 4
        assert settings.preset_environment == {"A": "site", "B": "own"}

    def test_an_empty_config_leaves_the_one_of_the_site(self):
        settings = resolve_settings(["--config="], {"AF3OPT_CONFIG": "cpu"})
        assert settings.jax_backend == "cpu"

    def test_databases_variable_lists_directories(self):
        settings = resolve_settings([], {"AF3_DATABASES_DIR": "/ssd:/disk"})
        assert settings.db_dir == ("/ssd", "/disk")

    def test_script_alias(self):
        script = resolve_settings([], {"AF3OPT_SCRIPT": "/s.py"})
        assert script.run_alphafold_script == Path("/s.py")
        both = {"AF3OPT_SCRIPT": "/s.py", "AF3OPT_RUN_ALPHAFOLD_SCRIPT": "/t.py"}
        assert resolve_settings([], both).run_alphafold_script == Path("/t.py")

    def test_empty_variable_counts_as_unset(self):
        assert resolve_settings([], {"AF3OPT_NUM_RECYCLES": ""}).num_recycles == 10

    def test_home_is_not_a_setting(self):
        assert resolve_settings([], {"AF3OPT_HOME": "/x"}).remarks == ()

    def test_an_unknown_variable_is_remarked_and_stops_nothing(self):
        settings = resolve_settings([], {"AF3OPT_NUMSEEDS": "1", "AF3OPT_NUM_RECYCLES": "2"})
        assert settings.num_recycles == 2
        assert settings.remarks == (
            "environment variable AF3OPT_NUMSEEDS has no effect: there is no such setting; the "
            "nearest is AF3OPT_NUM_SEEDS",
        )


class TestAbslFlags:
    """run_alphafold.py takes them, so command lines that exist have them."""

    @pytest.mark.parametrize(
        ("flag", "debug", "quiet"),
        [
            ("--verbosity=1", True, False),
            ("--verbosity=debug", True, False),
            ("-v=2", True, False),
            ("--verbosity=0", False, False),
            ("--verbosity=INFO", False, False),
            ("--verbosity=-1", False, True),
            ("--verbosity=error", False, True),
        ],
    )
    def test_verbosity(self, flag, debug, quiet):
        settings = resolve_settings([flag], {})
        assert (settings.debug, settings.quiet) == (debug, quiet)

    def test_an_own_flag_wins_over_verbosity(self):
        assert resolve_settings(["--nodebug", "--verbosity=1"], {}).debug is False

    def test_where_the_log_goes_already(self):
        given = ["--logtostderr", "--alsologtostderr=false", "--noshowprefixforinfo"]
        assert resolve_settings(given, {}).remarks == ()

    def test_what_has_no_effect_is_said(self):
        (remark,) = resolve_settings(["--log_dir", "/logs"], {}).remarks
        assert remark.startswith("--log_dir has no effect: af3opt logs to standard error")

    def test_a_sites_script_gets_them_as_given(self):
        given = ["--run_alphafold_script=s.py", "--nologtostderr", "--log_dir=/logs", "-v=1"]
        settings = resolve_settings(given, {})
        assert settings.absl_flags == ("--logtostderr=false", "--log_dir=/logs", "--verbosity=1")
        assert settings.remarks == ()

    def test_the_scans_own_switch_is_not_a_setting(self):
        resolve_settings([], {kernel.ISA_VARIABLE: "avx2"})


@pytest.mark.parametrize(
    ("argv", "environ", "message"),
    [
        (["--use_msa_server"], {}, "--use_msa_server: af3opt sends no sequence to a server"),
        (["--nouse_msa_server"], {}, "--nouse_msa_server: af3opt sends no sequence to a server"),
        (["--msa-mode=x"], {}, "--msa-mode: af3opt sends no sequence to a server"),
        (["--json_pth=x"], {}, "flag --json_pth is unknown; the nearest valid one is --json_path"),
        (["--verbosity=loud"], {}, "--verbosity=loud: must be an integer or one of fatal, error"),
        (["--num_seeds=0"], {}, "--num_seeds=0: must be at least 1"),
        (["--num_seeds=x"], {}, "--num_seeds=x: must be an integer"),
        (["--rfam_z_value=inf"], {}, "--rfam_z_value=inf: must be a finite number"),
        ([], {"AF3OPT_NUM_SEEDS": "x"}, "AF3OPT_NUM_SEEDS=x: must be an integer"),
        (["--jax_backend=tpu"], {}, "--jax_backend=tpu: must be one of cpu, gpu, mps"),
        (["--buckets=256,128"], {}, "--buckets=256,128: must be strictly increasing"),
        (["--buckets=128,128"], {}, "must be strictly increasing"),
        (["--buckets=0,1"], {}, "must be positive"),
        (["--buckets=a"], {}, "must be comma-separated integers"),
        (["--max_template_date=2021-13-01"], {}, "must be a date written YYYY-MM-DD"),
        (["--save_pdb=maybe"], {}, "^--save_pdb=maybe: must be true or false"),
        (["--model_dir="], {}, "--model_dir=: must not be empty"),
        (["fold.json"], {}, "unexpected argument 'fold.json'"),
        (["--json_path"], {}, "Missing value for flag --json_path"),
        (["--flagfile=/does/not/exist"], {}, "Unable to open flagfile"),
        (["--config=gpu"], {}, "--config=gpu: no such preset; shipped are .*gpu-volta"),
        (["--config=/no/such.toml"], {}, "/no/such.toml: cannot be read: No such file"),
    ],
)
def test_mistakes_are_one_clear_line(argv, environ, message):
    with pytest.raises(UsageError, match=message) as caught:
        resolve_settings(argv, environ)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("num_recycle = 1", "setting num_recycle is unknown; .* is num_recycles"),
        ('num_recycles = "many"', "num_recycles: must be an integer"),
        ("num_recycles = true", "num_recycles: must be an integer"),
        ("save_pdb = 1", "save_pdb: must be true or false"),
        ("rfam_z_value = true", "rfam_z_value: must be a number"),
        ("buckets = [2, 1]", "buckets: must be strictly increasing"),
        ("buckets = []", "buckets: must not be an empty list"),
        ("model_dir = 3", "model_dir: must be a string"),
        ('config = "cpu"', "setting config is unknown"),
        ("num_recycles =", "not valid TOML"),
        pytest.param("num_recycles = " + "9" * 5000, "not valid TOML", id="long number"),
        pytest.param("x = " + "[" * 3000 + "]" * 3000, "not valid TOML", id="deep"),
        ('db_dir = ["\\u0000"]', "holds the character"),
        ('[environment]\nA = "x\\u0000"', "holds the character"),
        ("environment = 3", "environment must be a table"),
        ("[environment]\nX = 1", "environment.X must be a string"),
    ],
)
def test_preset_mistakes(tmp_path, content, message):
    preset = tmp_path / "p.toml"
    preset.write_text(content)
    with pytest.raises(UsageError, match=message):
        resolve_settings([f"--config={preset}"], {})


class TestPresets:
    @pytest.mark.parametrize("name", shipped_presets())
    def test_every_shipped_preset_resolves(self, name):
        settings = resolve_settings([f"--config={name}"], {})
        preset = load_preset(name)
        assert preset.settings
        for key in preset.settings:
            assert settings.sources[key] == f"preset {name}"

    def test_expected_presets_are_shipped(self):
        assert set(shipped_presets()) >= {
            "cpu", "cpu-mkl", "gpu-24gb", "gpu-ampere", "gpu-hopper", "gpu-volta", "low-memory",
        }  # fmt: skip

    def test_unquoted_date(self, tmp_path):
        preset = tmp_path / "p.toml"
        preset.write_text("max_template_date = 2020-01-02\n")
        assert resolve_settings([f"--config={preset}"], {}).max_template_date == "2020-01-02"

    def test_environment_table(self):
        settings = resolve_settings(["--config=cpu-mkl"], {})
        assert settings.preset_environment["MKL_DYNAMIC"] == "FALSE"


class TestRunChecks:
    @pytest.fixture
    def good(self, tmp_path):
        (tmp_path / "in.json").write_text("{}")
        return [f"--json_path={tmp_path / 'in.json'}", f"--output_dir={tmp_path / 'out'}"]

    def test_good(self, good, tmp_path):
        check_run_settings(resolve_settings(good, {}))
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("extra", "message"),
        [
            (["--input_dir=."], "exactly one of --json_path and --input_dir"),
            (["--json_path=/dev/null"], "--json_path=/dev/null: is not a file"),
            (["--json_path="], "exactly one of --json_path and --input_dir"),
            (["--json_path=/no.json"], "--json_path=/no.json: no such file"),
            (["--json_path=", "--input_dir=/no"], "--input_dir=/no: no such directory"),
            (["--output_dir="], "--output_dir is required"),
            (["--norun_inference", "--norun_data_pipeline"], "nothing to do"),
            (["--debug", "--quiet"], "--debug and --quiet contradict"),
            (["--script_flags=--x"], "--script_flags needs --run_alphafold_script"),
            (["--run_alphafold_script=x", "--dry_run"], "--dry_run needs af3opt's own runner"),
            (["--run_alphafold_script=x", "--gpus=all"], "--gpus needs af3opt's own runner"),
        ],
    )
    def test_bad(self, good, extra, message):
        with pytest.raises(UsageError, match=message):
            check_run_settings(resolve_settings([*good, *extra], {}))


def test_print_settings_lists_every_option_with_its_source():
    settings = resolve_settings(["--num_recycles=3"], {"AF3OPT_QUIET": "1"})
    lines = format_settings(settings).splitlines()
    assert len(lines) == len(all_options())
    assert any(line.split() == ["num_recycles", "=", "3", "#", "flag"] for line in lines)
    assert any(line.split() == ["quiet", "=", "true", "#", "AF3OPT_QUIET"] for line in lines)
    assert any(line.split() == ["num_seeds", "=", "(unset)", "#", "default"] for line in lines)


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        resolve_settings([], {}).num_recycles = 3
