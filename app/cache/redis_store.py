"""A store in Redis or Valkey. Each operation is one script, and so atomic and one round trip.

redis-py is imported with this module, which is imported only if the store is configured. Its
defaults would let one command take a minute: 5 s timeouts and 10 retries. Here a command fails
after `TIMEOUT_SECONDS`, once.
"""

from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from app.cache.store import (
    COUNTER_SECONDS,
    LEASE_SECONDS,
    MAX_CLOCK_STEP,
    MAX_STEPS,
    MAX_STEPS_BYTES,
    MAX_VALUE_BYTES,
    MEMBER_SECONDS,
    Exchange,
    Lease,
    Purge,
    Step,
    StoredValue,
    StoreError,
    Wanted,
)

TIMEOUT_SECONDS: Final = 0.25
"""Seconds for a connect, and for the answer to a command."""

MAX_CONNECTIONS: Final = 16

# Times are microseconds. Lua's numbers are exact for them, but not the text it makes of them.
_NOW = """
local function text(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
"""
_VALUE = """
local function load(key, purged)
  local value = redis.call('HMGET', key, 'sequence', 'completed', 'started', 'early', 'data')
  if not value[1] then return nil end
  local age = now - tonumber(value[3])
  if age < -%d then return nil end
  local sequence = tonumber(value[1])
  return {sequence = sequence, age = math.max(age, 0), early = value[4] == '1',
    reply = {value[5], sequence, tonumber(value[2]), math.max(age, 0), tonumber(value[4]),
      sequence <= purged and 1 or 0}}
end
""" % (MAX_CLOCK_STEP * 1_000_000)  # noqa: UP031  braces are Lua's

READ = (
    _NOW
    + _VALUE
    + """
local purged = tonumber(redis.call('GET', KEYS[1]) or 0)
local replies = {}
for index = 2, #KEYS do
  local value = load(KEYS[index], purged)
  replies[index - 1] = value and value.reply or false
end
return replies
"""
)
ACQUIRE = (
    _NOW
    + _VALUE
    + """
local purged = tonumber(redis.call('GET', KEYS[4]) or 0)
local value = load(KEYS[1], purged)
if value and value.age < tonumber(ARGV[1]) and value.sequence > purged
    and value.sequence > tonumber(value.early and ARGV[3] or ARGV[2]) then
  return value.reply
end
if redis.call('EXISTS', KEYS[2]) == 1 then return false end
local sequence = math.max(tonumber(redis.call('GET', KEYS[3]) or 0), tonumber(ARGV[4]), purged) + 1
redis.call('SET', KEYS[3], text(sequence), 'PX', ARGV[6])
redis.call('SET', KEYS[2], text(sequence), 'PX', ARGV[5])
return {sequence, now, value and value.sequence or 0, value and value.age or 0}
"""
)
RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
"""
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
PUBLISH = (
    RELEASE
    + """
local latest = math.max(tonumber(redis.call('GET', KEYS[3]) or 0), tonumber(ARGV[1]))
local stored = tonumber(redis.call('HGET', KEYS[2], 'sequence') or 0)
local purged = tonumber(redis.call('GET', KEYS[4]) or 0)
if tonumber(ARGV[1]) > stored and tonumber(ARGV[1]) > purged and ARGV[5] ~= '' then
  redis.call('HSET', KEYS[2], 'sequence', ARGV[1], 'completed', string.format('%.0f', latest),
    'started', ARGV[2], 'early', ARGV[3], 'data', ARGV[5])
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
return latest
"""
)
PURGE = """
local sequence = tonumber(redis.call('GET', KEYS[1]) or 0) + 1
redis.call('SET', KEYS[1], string.format('%.0f', sequence), 'PX', ARGV[2])
redis.call('SET', KEYS[2], string.format('%.0f', sequence), 'PX', ARGV[2])
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
return sequence
"""
ADD_STEP = """
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then
  redis.call('RPUSH', KEYS[2], ARGV[1])
  local bytes = redis.call('INCRBY', KEYS[3], #ARGV[2])
  while redis.call('LLEN', KEYS[2]) > tonumber(ARGV[3]) or bytes > tonumber(ARGV[4]) do
    local oldest = redis.call('LPOP', KEYS[2])
    bytes = redis.call('DECRBY', KEYS[3], redis.call('HSTRLEN', KEYS[1], oldest))
    redis.call('HDEL', KEYS[1], oldest)
  end
end
for index = 1, 3 do redis.call('PEXPIRE', KEYS[index], ARGV[5]) end
"""
STEPS = """
local names = redis.call('LRANGE', KEYS[2], 0, -1)
local steps = {}
for index, name in ipairs(names) do
  steps[2 * index - 1] = name
  steps[2 * index] = redis.call('HGET', KEYS[1], name)
end
return steps
"""
EXCHANGE = (
    _NOW
    + """
redis.call('ZADD', KEYS[1], text(now), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now - tonumber(ARGV[3])))
for _, member in ipairs(gone) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('HDEL', KEYS[2], member)
end
for index = 1, 2 do redis.call('PEXPIRE', KEYS[index], ARGV[4]) end
return {redis.call('ZCARD', KEYS[1]), tonumber(redis.call('GET', KEYS[3]) or 0),
  tonumber(redis.call('GET', KEYS[4]) or 0), redis.call('HGETALL', KEYS[2])}
"""
)
SCANNED_AT_ONCE = 500


class RedisStore:
    """The store at a `redis://` or `rediss://` URL, to which it connects when first used.

    A connect, and each command, may take `timeout` seconds.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT_SECONDS) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
            protocol=2,
            driver_info=None,  # no CLIENT SETINFO at each connect
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self._client: Redis = Redis(connection_pool=pool)
        self._scripts: dict[str, Any] = {}

    async def read(self, space: str, keys: Sequence[str]) -> list[StoredValue | None]:
        names = [f"{space}purged", *(f"{space}value:{key}" for key in keys)]
        replies = await self._run(READ, names)
        return [_value(reply) if reply else None for reply in replies]

    async def acquire(self, space: str, key: str, wanted: Wanted) -> StoredValue | Lease | None:
        names = [f"{space}value:{key}", f"{space}lease:{key}", f"{space}counter", f"{space}purged"]
        reply = await self._run(
            ACQUIRE,
            names,
            _microseconds(wanted.max_age),
            wanted.after,
            wanted.after_early,
            wanted.latest_sequence,
            _milliseconds(LEASE_SECONDS),
            _milliseconds(COUNTER_SECONDS),
        )
        if reply is None:
            return None
        if isinstance(reply[0], bytes):
            return _value(reply)
        sequence, now, replaced_sequence, replaced_age = reply
        return Lease(sequence, now / 1e6, replaced_sequence, replaced_age / 1e6)

    async def renew(self, space: str, key: str, lease: Lease) -> None:
        await self._run(
            RENEW, [f"{space}lease:{key}"], lease.sequence, _milliseconds(LEASE_SECONDS)
        )

    async def publish(
        self, space: str, key: str, lease: Lease, data: bytes, *, early: bool, lifetime: float
    ) -> int:
        names = [f"{space}lease:{key}", f"{space}value:{key}", f"{space}counter", f"{space}purged"]
        latest: int = await self._run(
            PUBLISH,
            names,
            lease.sequence,
            _microseconds(lease.started_at),
            int(early),
            _milliseconds(lifetime),
            data if len(data) <= MAX_VALUE_BYTES else b"",
        )
        return latest

    async def release(self, space: str, key: str, lease: Lease) -> None:
        await self._run(RELEASE, [f"{space}lease:{key}"], lease.sequence)

    async def purge(self, space: str, *, drop: bool) -> int:
        names = [f"{space}counter", f"{space}purged", f"{space}dropped"]
        number: int = await self._run(PURGE, names, int(drop), _milliseconds(COUNTER_SECONDS))
        if not drop:
            return number
        try:
            async for name in self._client.scan_iter(f"{_literal(space)}value:*", SCANNED_AT_ONCE):
                await self._client.unlink(name)
        except RedisError as error:
            raise StoreError(type(error).__name__) from None
        return number

    async def add_step(self, space: str, step: Step, *, lifetime: float) -> None:
        await self._run(
            ADD_STEP,
            _history(space),
            f"{step.before} {step.after}",
            step.data,
            MAX_STEPS,
            MAX_STEPS_BYTES,
            _milliseconds(lifetime),
        )

    async def steps(self, space: str) -> list[Step]:
        reply = await self._run(STEPS, _history(space)[:2])
        names = (name.decode().partition(" ") for name in reply[::2])
        return [
            Step(before, after, data)
            for (before, _, after), data in zip(names, reply[1::2], strict=True)
        ]

    async def exchange(self, space: str, member: str, report: bytes) -> Exchange:
        names = [f"{space}{name}" for name in ("members", "reports", "purged", "dropped")]
        members, purged, dropped, reports = await self._run(
            EXCHANGE,
            names,
            member,
            report,
            _microseconds(MEMBER_SECONDS),
            _milliseconds(COUNTER_SECONDS),
        )
        others = dict(zip(map(bytes.decode, reports[::2]), reports[1::2], strict=True))
        others.pop(member, None)
        return Exchange(members, Purge(purged, bool(dropped)) if purged else None, others)

    async def get_text(self, name: str) -> str | None:
        try:
            text = await self._client.get(name)
        except RedisError as error:
            raise StoreError(type(error).__name__) from None
        return text.decode(errors="replace") if isinstance(text, bytes) else None

    async def put_text(self, name: str, text: str, *, lifetime: float) -> None:
        try:
            await self._client.set(name, text, px=_milliseconds(lifetime))
        except RedisError as error:
            raise StoreError(type(error).__name__) from None

    async def close(self) -> None:
        await self._client.aclose()
        await self._client.connection_pool.disconnect()

    async def _run(self, source: str, keys: Sequence[str], *args: str | bytes | int) -> Any:
        script = self._scripts.get(source)
        if script is None:
            script = self._scripts[source] = self._client.register_script(source)
        try:
            return await script(keys=keys, args=args)
        except RedisError as error:
            # Its text may quote a command with its arguments.
            raise StoreError(type(error).__name__) from None


def _value(reply: Sequence[Any]) -> StoredValue:
    data, sequence, completed_at, age, early, purged = reply
    return StoredValue(data, sequence, completed_at, age / 1e6, bool(early), bool(purged))


def _history(space: str) -> list[str]:
    return [f"{space}history", f"{space}history-order", f"{space}history-bytes"]


def _literal(text: str) -> str:
    """Return a pattern that matches `text` only."""
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in text)


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 1)


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
