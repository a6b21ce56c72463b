"""The executables of one model: one for each set of padded shapes and number of samples."""

from af3opt.engine.protocols import Features, Parameters
from af3opt.inference.compiled import (
    BatchSignature,
    CompiledModel,
    CompileReport,
    ModelCompiler,
    batch_signature,
)
from af3opt.inference.model_inputs import model_parameters
from af3opt.inference.weights import ModelWeights, abstract_parameters
from af3opt.memory import JobSize, KnownPrograms, Program


class ModelsByShape:
    """Makes each executable when it is first needed, and keeps it.

    Attributes:
        reports: What making each took, in the order they were needed.
        seconds: What making them took until now.
    """

    def __init__(self, compiler: ModelCompiler, weights: ModelWeights) -> None:
        """Compiles nothing yet.

        Args:
            compiler: Makes executables.
            weights: Tell the shapes of the parameters; they need not be loaded for that.
        """
        self._compiler = compiler
        self._weights = weights
        self._models: dict[tuple[BatchSignature, int], CompiledModel] = {}
        self._programs: dict[BatchSignature, Program] = {}
        self.reports: list[CompileReport] = []
        self.seconds = 0.0

    def get(self, features: Features, samples_at_once: int) -> CompiledModel:
        """The executable for the shapes of some features; see `ModelCompiler.compile`."""
        key = (batch_signature(features), samples_at_once)
        if key not in self._models:
            model = self._compiler.compile(self._parameters(), features, samples_at_once)
            self._learn_memory(features, model.report, samples_at_once)
            self.reports.append(model.report)
            self._keep(features, samples_at_once, model)
        return self._models[key]

    def make_again(self, features: Features, samples_at_once: int, problem: str) -> CompiledModel:
        """Makes an executable anew because the stored one does not run.

        Args:
            features: See `get`.
            samples_at_once: See `get`.
            problem: What went wrong with the stored one, for the log.
        """
        model = self._compiler.compile_again(self._parameters(), features, samples_at_once, problem)
        self._keep(features, samples_at_once, model)
        return model

    def drop(self, features: Features, samples_at_once: int) -> None:
        """Lets an executable go that is of no use any more."""
        self._models.pop((batch_signature(features), samples_at_once), None)

    def program(self, features: Features) -> Program:
        """What decides the memory of the executable for the shapes of some features."""
        signature = batch_signature(features)
        if signature not in self._programs:
            self._programs[signature] = self._compiler.program(self._parameters(), features)
        return self._programs[signature]

    def _keep(self, features: Features, samples_at_once: int, model: CompiledModel) -> None:
        self.seconds += model.report.seconds
        self._models[(batch_signature(features), samples_at_once)] = model

    def _parameters(self) -> Parameters:
        layout = self._weights.describe()
        return model_parameters(abstract_parameters(layout), self._compiler.optimizations)

    def _learn_memory(
        self, features: Features, report: CompileReport, samples_at_once: int
    ) -> None:
        """Keeps what XLA says the program needs, for plans made before later jobs."""
        if report.total_bytes is not None and report.argument_bytes is not None:
            # XLA takes only the parameters that the program reads.
            weight_bytes = report.argument_bytes - sum(one.nbytes for one in features.values())
            config = self._compiler.config
            size = JobSize(
                tokens=report.num_tokens,
                samples=samples_at_once,
                embeddings=config.return_embeddings,
                distogram=config.return_distogram,
            )
            KnownPrograms().learn(
                self.program(features), size, report.total_bytes, weight_bytes=weight_bytes
            )
