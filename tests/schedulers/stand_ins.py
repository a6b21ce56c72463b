"""Stand-ins for PBS and LSF: commands that refuse what they do not know, and run what they take.

As a program it is one of the commands: `python -m tests.schedulers.stand_ins DIR qsub ...`.
Jobs are files below DIR. `Simulator` makes the commands and runs the jobs, task by task.
"""

import getopt
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

# Not from conftest: a command should start fast.
REPOSITORY = Path(__file__).parents[2]


class RefusedError(Exception):
    """The command does not take this."""


def matched(pattern, text, what):
    found = re.fullmatch(pattern, text)
    if found is None:
        raise RefusedError(f"illegal {what}: {text!r}")
    return found


class Jobs:
    """The jobs of a directory: id -> what is known of it."""

    def __init__(self, root):
        self.root = Path(root)
        (self.root / "jobs").mkdir(parents=True, exist_ok=True)

    def path(self, job):
        return self.root / "jobs" / f"{job.split('.')[0].replace('[]', '')}.json"

    def load(self, job):
        try:
            return json.loads(self.path(job).read_text())
        except FileNotFoundError:
            raise RefusedError(f"Unknown Job Id {job}") from None

    def save(self, content):
        self.path(content["id"]).write_text(json.dumps(content))

    def all(self):
        paths = sorted((self.root / "jobs").glob("*.json"), key=lambda path: int(path.stem))
        return [json.loads(path.read_text()) for path in paths]

    def new(self, kind, script, options, tasks, after):
        number = 1 + len(self.all())
        name = {"pbs": f"{number}[].head" if len(tasks) > 1 else f"{number}.head"}
        content = {
            **{"id": name.get(kind, str(number)), "kind": kind, "script": script},
            **{"options": options, "after": after, "elementwise": kind == "lsf"},
            **{"states": dict.fromkeys(map(str, tasks), "wait"), "codes": {}},
            **{"variables": dict(os.environ), "directory": str(Path.cwd())},
        }
        self.save(content)
        return content["id"]


# ---- PBS

_PBS_OPTIONS = "J:S:N:j:o:e:Vr:q:A:P:l:W:v:C:"


def directives(script, prefix):
    """Options in a script, up to its first command."""
    words = []
    for line in script.splitlines()[1:]:
        if prefix and line.startswith(f"{prefix} "):
            words += shlex.split(line.removeprefix(prefix))
        elif line.strip() and not line.startswith("#"):
            break
    return words


def pbs_options(words):
    try:
        pairs, operands = getopt.getopt(words, _PBS_OPTIONS)
    except getopt.GetoptError as error:
        raise RefusedError(f"usage: qsub: {error}") from error
    checks = {
        "-J": r"(\d+)-(\d+)(?::\d+)?(?:%\d+)?",
        "-S": r"/\S+",
        "-N": r"[A-Za-z][\w.+-]{0,229}",
        "-j": "oe|eo|n",
        "-r": "y|n",
        "-l": (
            r"select=\d+(:(ncpus|ngpus)=\d+|:mem=\d+[kmgt]?b)*"
            r"|walltime=\d+:[0-5]\d:[0-5]\d"
        ),
        "-W": r"depend=after(ok|any):\d+(\[\])?\.head(:\d+(\[\])?\.head)*",
        "-v": r"\w+=[^,]*(,\w+=[^,]*)*",
        "-C": ".*",
    }
    options = {}
    for name, value in pairs:
        matched(checks.get(name, ".*"), value, f"{name} value")
        options.setdefault(name, []).append(value)
    if "-J" in options:
        first, last = map(int, matched(checks["-J"], options["-J"][0], "-J").groups())
        if first >= last:
            raise RefusedError(f"illegal -J value {options['-J'][0]}")
    return options, operands


def qsub(jobs, words):
    given, operands = pbs_options(words)
    script = Path(operands[0]).read_text() if operands else sys.stdin.read()
    prefix = given.get("-C", ["#PBS"])[0]
    read, odd = pbs_options(directives(script, prefix))
    if odd or len(operands) > 1:
        raise RefusedError("usage: qsub")
    options = {**read, **given}
    after = [job for value in options.get("-W", ()) for job in value.split(":")[1:]]
    for job in after:
        jobs.load(job)
    tasks = [0]
    if "-J" in options:
        first, last = map(int, re.findall(r"\d+", options["-J"][0])[:2])
        tasks = list(range(first, last + 1))
    return jobs.new("pbs", script, options, tasks, after)


def qalter(jobs, words):
    options, operands = pbs_options(words)
    (job,) = operands
    content = jobs.load(job)
    if set(content["states"].values()) != {"wait"}:
        raise RefusedError("qalter: Cannot modify attribute while job running")
    content["after"] = options["-W"][0].split(":")[1:]
    for other in content["after"]:
        jobs.load(other)
    jobs.save(content)
    return ""


def qselect(jobs, words):
    options, operands = getopt.getopt(words, "Ts:")
    assert not operands
    matched("[BEHQRSTUW]+", dict(options)["-s"], "-s value")
    lines = []
    for job in jobs.all():
        alive = [task for task, state in job["states"].items() if state != "ended"]
        if alive:
            lines.append(job["id"])
            if "[]" in job["id"]:
                lines += [job["id"].replace("[]", f"[{task}]") for task in alive]
    return "\n".join(lines)


def qstat(jobs, words):
    options, (label,) = getopt.getopt(words, "fF:")
    assert dict(options) == {"-f": "", "-F": "json"}
    job = jobs.load(re.sub(r"\[\d+\]", "[]", label))
    limits = [value for value in job["options"]["-l"] if value.startswith("walltime")]
    facts = {"Resource_List": {"walltime": limits[0].partition("=")[2]}, "stime": time.ctime()}
    return json.dumps({"Jobs": {label: facts}})


# ---- LSF


def bsub_options(words):
    checks = {
        "-J": r"[\w-]+\[1-(\d+)\](%\d+)?",
        "-o": r"\S.*",
        "-Q": r"\d+( \d+)*",
        "-q": r"\S+",
        "-P": r"\S+",
        "-n": r"\d+",
        "-R": r"span\[hosts=1\]|rusage\[mem=\d+[KMGT]B?\]",
        "-M": r"\d+[KMGT]B?",
        "-gpu": r"num=\d+",
        "-W": r"\d+:[0-5]\d|\d+",
        "-w": r"ended\((\d+)\[\*\]\)",
    }
    options = {}
    rest = list(words)
    while rest:
        name = rest.pop(0)
        if name == "-r":
            options[name] = [""]
            continue
        if name not in checks or not rest:
            raise RefusedError(f"{name}: Illegal option")
        value = rest.pop(0)
        matched(checks[name], value, f"{name} value")
        options.setdefault(name, []).append(value)
    return options


def bsub(jobs, words):
    script = sys.stdin.read()
    options = {**bsub_options(directives(script, "#BSUB")), **bsub_options(words)}
    count = int(re.search(r"\[1-(\d+)\]", options["-J"][0])[1])
    after = re.findall(r"\d+", options.get("-w", [""])[0])
    for job in after:
        if len(jobs.load(job)["states"]) != count:
            raise RefusedError("Job array dependency: sizes differ")
    job = jobs.new("lsf", script, options, range(1, count + 1), after)
    return f"Job <{job}> is submitted to queue <{options.get('-q', ['normal'])[0]}>."


def bjobs(jobs, words):
    if words[:3] == ["-noheader", "-o", "time_left"]:
        hours, minutes = jobs.load(words[3].partition("[")[0])["options"]["-W"][0].split(":")
        return f"{int(hours)}:{minutes} L"
    assert words[:4] == ["-noheader", "-a", "-u", "all"], words
    assert words[4:6] == ["-o", "jobid jobindex stat delimiter='|'"], words
    lines = []
    for label in words[6:]:
        try:
            job = jobs.load(matched(r"\d+", label, "job id")[0])
        except RefusedError:
            print(f"Job <{label}> is not found", file=sys.stderr)
            continue
        names = {"wait": "PEND", "ended": "DONE"}
        lines += [f"{label}|{task}|{names[state]}" for task, state in job["states"].items()]
    return "\n".join(lines)


COMMANDS = {
    "pbs": {"qsub": qsub, "qalter": qalter, "qselect": qselect, "qstat": qstat},
    "lsf": {"bsub": bsub, "bjobs": bjobs},
}


class Simulator:
    """A scheduler in this process: its commands on PATH, its jobs run one after another."""

    def __init__(self, kind, root):
        self.kind, self.jobs = kind, Jobs(root / "scheduler")
        self.bin = root / "commands"
        self.bin.mkdir()
        for name in COMMANDS[kind]:
            program = self.bin / name
            program.write_text(
                f"#!/bin/sh\nexport PYTHONPATH={REPOSITORY}\n"
                f"exec {sys.executable} -m tests.schedulers.stand_ins {kind} "
                f'{self.jobs.root} {name} "$@"\n'
            )
            program.chmod(0o755)
        self.ran = []

    def run(self, most=100):
        """Runs tasks until none may; returns nothing that waits for ever."""
        for _ in range(most):
            ready = [
                (job, task)
                for job in self.jobs.all()
                for task, state in job["states"].items()
                if state == "wait" and self._may_start(job, task)
            ]
            if not ready:
                return
            self._run(*ready[0])
        raise AssertionError("the tasks go round for ever")

    def _may_start(self, job, task):
        for other in job["after"]:
            states = self.jobs.load(other)["states"]
            needed = [states[task]] if job["elementwise"] else states.values()
            if any(state != "ended" for state in needed):
                return False
        return True

    def _run(self, job, task):
        script = self.jobs.root / "script"
        script.write_text(job["script"])
        variables = {**job["variables"], **self._own(job, task)}
        done = subprocess.run(
            ["bash", script], env=variables, cwd=job["directory"], capture_output=True, text=True
        )
        self.ran.append((job["id"], task, done.returncode, done.stdout + done.stderr))
        job = self.jobs.load(job["id"])
        job["codes"].setdefault(task, []).append(done.returncode)
        again = job["options"].get("-Q", [""])[0].split()
        if self.kind == "lsf" and str(done.returncode) in again:
            self.jobs.save(job)
            return
        job["states"][task] = "ended"
        self.jobs.save(job)

    def _own(self, job, task):
        if self.kind == "lsf":
            return {"LSB_JOBID": job["id"], "LSB_JOBINDEX": task, "LSB_JOBINDEX_STEP": "1"}
        own = {"PBS_JOBID": job["id"], "PBS_O_WORKDIR": job["directory"]}
        for pair in job["options"].get("-v", ()):
            own |= dict(item.split("=", 1) for item in pair.split(","))
        if "[]" in job["id"]:
            own |= {
                **{"PBS_JOBID": job["id"].replace("[]", f"[{task}]")},
                **{"PBS_ARRAY_ID": job["id"], "PBS_ARRAY_INDEX": task},
            }
        return own


def main(kind, root, name, *words):
    try:
        print(COMMANDS[kind][name](Jobs(root), list(words)))
    except RefusedError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
