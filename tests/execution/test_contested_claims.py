"""Claims made by several processes in step, and on file systems of all kinds."""

import errno
import multiprocessing
import os

import pytest

from af3opt.base.atomic import is_temporary, temporary_sibling
from af3opt.base.exclusive_file import has_hard_links
from af3opt.execution.claims.claim import current_holder, try_claim
from af3opt.execution.claims.holder import newest_claim, read_holder, this_process
from af3opt.execution.claims.verdicts import STALE_SECONDS
from af3opt.execution.job.claiming import remove_stale_temporaries

_ROUNDS = 400
_RIVALS = 4


def no_hard_links(number):
    def link(source, target):
        raise OSError(number, os.strerror(number), str(source), None, str(target))

    return link


_LINKS = {"hard links": os.link, "none": no_hard_links(errno.EPERM)}


def contend(root, barrier, results, links):
    """Claims and tidies as a job does; tells what went wrong and which rounds it won."""
    link, won, errors = _LINKS[links], [], []
    for number in range(_ROUNDS):
        directory = root / str(number)
        barrier.wait(60)
        try:
            claim = try_claim(directory, link=link)
            if claim is not None:
                won.append(number)
                remove_stale_temporaries(directory, claim)
        except OSError as error:
            errors.append(repr(error))
    results.put((won, errors))
    barrier.wait(60)  # Nobody ends, and so frees its claims, before all have tried.


@pytest.mark.parametrize("links", _LINKS)
def test_claims_in_step_fail_for_nobody_and_have_one_winner(tmp_path, links):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(_RIVALS), context.Queue()
    rivals = [
        context.Process(target=contend, args=(tmp_path, barrier, results, links))
        for _ in range(_RIVALS)
    ]
    for rival in rivals:
        rival.start()
    told = [results.get(timeout=120) for _ in rivals]
    for rival in rivals:
        rival.join(60)
    assert [error for _, errors in told for error in errors] == []
    assert sorted(number for won, _ in told for number in won) == list(range(_ROUNDS))
    for number in range(_ROUNDS):
        assert [path.name for path in (tmp_path / str(number)).iterdir()] == ["claim-0"]


def test_only_old_temporaries_of_claims_are_removed(tmp_path):
    claim = try_claim(tmp_path)
    young, old = (temporary_sibling(tmp_path / "claim") for _ in range(2))
    result = temporary_sibling(tmp_path / "seed-1.json")
    for path in (young, old, result):
        path.touch()
    then = (tmp_path / "claim-0").stat().st_mtime - STALE_SECONDS - 1
    os.utime(old, (then, then))
    remove_stale_temporaries(tmp_path, claim)
    assert sorted(tmp_path.iterdir()) == sorted([young, tmp_path / "claim-0"])


def test_a_temporary_that_somebody_removed_is_written_again(tmp_path):
    tries = []

    def link(source, target):
        tries.append(source)
        if len(tries) == 1:
            source.unlink()
        os.link(source, target)

    assert try_claim(tmp_path, link=link) is not None
    assert len(tries) == 2
    assert current_holder(tmp_path) == this_process()


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EIO, errno.EPERM])
def test_a_link_that_was_made_counts_whatever_is_answered(tmp_path, number):
    """NFS asks again when an answer is lost, and then finds its own link."""

    def link(source, target):
        os.link(source, target)
        no_hard_links(number)(source, target)

    claim = try_claim(tmp_path, link=link)
    assert claim is not None
    assert claim.is_current()
    assert not list(filter(is_temporary, tmp_path.iterdir()))
    # One that somebody else has made does not.
    assert try_claim(tmp_path, link=link) is None


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_without_hard_links_jobs_are_claimed_and_taken_over(tmp_path, number):
    claim = try_claim(tmp_path, link=no_hard_links(number))
    assert read_holder(tmp_path / "claim-0") == this_process()
    assert try_claim(tmp_path, link=no_hard_links(number)) is None
    claim.release()
    assert try_claim(tmp_path, link=no_hard_links(number)) is not None
    assert newest_claim(tmp_path).name == "claim-1"
    assert not has_hard_links(tmp_path, no_hard_links(number))
    assert has_hard_links(tmp_path)
    assert not list(filter(is_temporary, tmp_path.iterdir()))


def test_a_claim_that_is_about_to_be_filled_is_held(tmp_path):
    """Without hard links a claim is empty for a moment."""
    (tmp_path / "claim-0").touch()
    assert try_claim(tmp_path) is None


def test_other_errors_of_a_link_are_told(tmp_path):
    with pytest.raises(OSError, match="Input/output error"):
        try_claim(tmp_path, link=no_hard_links(errno.EIO))
    assert list(tmp_path.iterdir()) == []
