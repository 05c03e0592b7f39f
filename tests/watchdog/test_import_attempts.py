"""Import attempts: a failure is remembered until the next attempt, and a repetition of it is no progress."""

from reconciler.watchdog.import_attempts import RETRY_MS, ImportAttempts


def test_a_failure_lasts_until_the_next_attempt_starts() -> None:
    attempts = ImportAttempts()
    assert attempts.may_start(0) and not attempts.failed
    attempts.start(0)
    attempts.finish(100, good=False)
    assert attempts.failed
    assert not attempts.may_start(100 + RETRY_MS - 1)
    assert attempts.may_start(100 + RETRY_MS)
    attempts.start(100 + RETRY_MS)
    assert not attempts.failed


def test_a_success_is_no_failure_and_unwanted_pools_forget_one() -> None:
    attempts = ImportAttempts()
    attempts.start(0)
    attempts.finish(10, good=True)
    assert not attempts.failed
    attempts.start(20)
    attempts.finish(30, good=False)
    attempts.forget_failure()
    assert not attempts.failed and attempts.may_start(31)


def test_only_an_attempt_that_runs_longer_than_a_failed_one_is_progress() -> None:
    attempts = ImportAttempts()
    assert not attempts.is_repetition(0, running=False)
    attempts.start(0)
    attempts.finish(100, good=False)
    assert attempts.is_repetition(150, running=False)
    attempts.start(1_000)
    assert attempts.is_repetition(1_100, running=True)
    assert not attempts.is_repetition(1_101, running=True)
    attempts.finish(1_050, good=False)
    attempts.start(2_000)
    assert attempts.is_repetition(2_100, running=True), "the longest failed attempt counts"
    attempts.forget_durations()
    assert not attempts.is_repetition(2_001, running=True)
