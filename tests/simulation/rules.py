"""The rules that hold in every world, whatever happens: the contract, as the oracle checks it."""

from enum import Enum


class Rule(Enum):
    """A rule of the contract."""

    # Answers to callers.
    FRESH = "a fresh answer is younger than TTL"
    STALE = "a stale answer is younger than TTL + STALE_WHILE_REVALIDATE"
    EXPIRED = "never older than TTL + STALE_IF_ERROR"
    AGE = "age counts from the start of the fetch"
    ACCURATE = "a cached block is what the upstream sent"
    LATEST_BLOCK = "the latest fetched block is served"
    LATEST_TOTAL = "the total is that of the latest fetch"
    ANSWER_TOTAL = "an answer has the latest total of its blocks"
    ROWS = "the rows are those of the window, in order"
    COMPLETE = "no row is missing"
    NO_DUPLICATE = "each order occurs once"
    CONSISTENT = "an answer not marked as inconsistent is consistent"
    FALSELY_INCONSISTENT = "a list that does not change is never marked as inconsistent"
    NO_CACHE = "no-cache fetches again"
    ONLY_IF_CACHED = "only-if-cached serves what is cached"
    ONLY_IF_CACHED_FETCH = "only-if-cached starts no fetch"
    ONLY_IF_CACHED_WAIT = "only-if-cached does not wait"
    STALE_IF_ERROR = "an error never replaces a cached answer"
    INTERNAL_ERROR = "every error is one of the contract"
    UNEXPLAINED_ERROR = "no error unless the upstream fails"
    EARLY_TIMEOUT = "no caller times out before DEADLINE"
    DEADLINE = "no caller waits longer than DEADLINE"
    MAX_STALE_WAIT = "no caller for whom an answer is cached waits longer than MAX_STALE_WAIT"
    FRESH_AFTER_OUTAGE = "all answers are fresh one TTL after an outage"
    RECOVERY = "once the upstream is healthy and unchanged, answers are fresh and correct"

    # Lists that change at random, with new orders at one end.
    EXPORT_LACKS = "an export not marked as inconsistent has each order that was there throughout"
    NO_REMOVED = "no answer has an order that never existed or was removed before its oldest fetch"
    FALSE_REMOVAL = "changes never report an existing order as removed"
    FOLLOWED = "whoever follows the changes has the list, once it rests"
    ALWAYS_ANSWERED = "whatever the list is like, it is answered"
    COST_AT_REST = "a list that rests costs N / 50 fetches, rounded up, and one more per TTL"

    PURGED = "after a purge nothing older is served unless the upstream fails or is slow"
    DROPPED = "nothing that was dropped is served"

    # Lists that are wrong for good, or wrong once.
    EVERY_ROW = "every row is served, also those that share an order number"
    ABSURD_TOTAL = "a total that was stated once has no effect after the next fetch"
    STRETCHED = "a total that was stated once does not change the TTL"

    # Worlds in which one thing goes wrong all the time.
    OWN_FAILURE = "an order that fails or does not exist has no effect on pages"
    REFRESHED = "background refreshes go on, however many callers there are"
    RIGHT_ORDER = "a single order has the number that was requested"
    SAME_POOL = "no token of another pool is used"
    MAX_PAUSE = "no pause that the upstream asks for is longer than a minute"
    NEW_KEY = "a new access key is used at once"

    # Fetches of blocks.
    SINGLE_FLIGHT = "at most one fetch per block at a time"
    SHARED_FLIGHT = "a caller that disconnects cancels no fetch"
    BACKOFF = "a failed fetch is not repeated during its backoff"
    BOUNDED = "the number of fetches per TTL is bounded"

    # Calls to the upstream.
    MAX_CONCURRENCY = "no more than MAX_CONCURRENCY calls in flight"
    MAX_RATE = "no more than MAX_RATE calls start within a second"
    RETRY_AFTER = "no call starts before Retry-After has passed"
    BREAKER_OPEN = "no call starts while the circuit breaker is open"
    ONE_PROBE = "one probe at a time while the circuit breaker is half-open"
    MAX_ATTEMPTS = "a fetch makes a limited number of attempts"
    MAX_REJECTIONS = "a fetch is repeated once after its token was rejected"
    CALLERS_FIRST = "callers do not wait for more background calls than have a share"
    ONE_RENEWAL = "one token renewal per access key at a time"
    TOKEN_REUSE = "a valid token is not renewed"

    # The end of a world.
    TERMINATION = "every world ends"
    EVERY_CALLER = "every caller gets an answer or an error"
    NOTHING_LEFT = "nothing is left in progress"
    NO_ASYNCIO_ERROR = "asyncio logs no error"
