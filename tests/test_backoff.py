"""How long a failed operation is not tried again, and the error raised until then."""

import gc
import weakref

from app.backoff import Failure, exponential_backoff
from app.upstream.errors import UpstreamThrottled

NOW = 1000.0


def failures_in_a_row(*errors: Exception) -> Failure:
    failure = None
    for error in errors:
        failure = Failure.after(failure, error, NOW, exponential_backoff)
    assert failure
    return failure


def test_the_backoff_is_1_second_and_doubles_to_5():
    error = OSError()
    counts = (1, 2, 3, 4, 5, 5000)
    assert [exponential_backoff(error, count) for count in counts] == [1, 2, 4, 5, 5, 5]


def test_failures_in_a_row_are_counted():
    failure = failures_in_a_row(OSError("first"), OSError("second"), OSError("third"))
    assert (failure.count, failure.retry_at) == (3, NOW + 4)
    assert str(failure.error) == "third"


def test_backing_off_ends_at_retry_at():
    failure = failures_in_a_row(OSError())
    assert failure.is_backing_off(NOW + 0.9)
    assert not failure.is_backing_off(NOW + 1)


def test_retry_after_counts_down_and_is_at_least_what_is_left_of_the_backoff():
    failure = failures_in_a_row(UpstreamThrottled("slow down", retry_after=0.5))
    retry_after = []
    for elapsed in (0, 0.25, 2):
        error = failure.error_at(NOW + elapsed)
        assert isinstance(error, UpstreamThrottled)
        retry_after.append(error.retry_after)
    assert retry_after == [1, 0.75, 0]


def test_each_caller_gets_a_copy_of_the_error():
    failure = failures_in_a_row(UpstreamThrottled("slow down"))
    assert failure.error_at(NOW) is not failure.error_at(NOW)


def test_an_error_without_a_retry_after_is_raised_as_it_is():
    error = OSError("down")
    assert failures_in_a_row(error).error_at(NOW) is error


def test_a_failure_does_not_keep_the_frames_of_the_call_alive():
    class Local:
        """Something that a frame of the call refers to."""

    references: list[weakref.ref[Local]] = []

    def call() -> None:
        local = Local()
        references.append(weakref.ref(local))
        raise UpstreamThrottled("slow down")

    try:
        call()
    except UpstreamThrottled as error:
        failure = failures_in_a_row(error)
    gc.collect()
    assert failure.error.__traceback__ is None
    assert references[0]() is None


def test_a_failure_is_not_backed_off_from_once_its_cause_may_have_been_removed():
    replaced = False
    error = UpstreamThrottled("slow down")
    error.is_outdated = lambda: replaced
    failure = failures_in_a_row(error, error, error)
    assert failure.is_backing_off(NOW)
    replaced = True
    assert not failure.is_backing_off(NOW)
    assert Failure.after(failure, OSError(), NOW, exponential_backoff).count == 1
