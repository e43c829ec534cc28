"""A store in Redis or Valkey. Each operation is one script, and so atomic and one round trip.

redis-py is imported with this module, which is imported only if the store is configured. Its
defaults would let one command take a minute: 5 s timeouts and 10 retries. Here a command fails
after `TIMEOUT_SECONDS`, once.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from app.cache.store import (
    COUNTER_SECONDS,
    KEY_PREFIX,
    LEASE_SECONDS,
    MAX_CLOCK_STEP,
    MAX_SEQUENCE,
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
#
# A key that another program has overwritten must not fail whatever uses it: it is deleted, and
# its name is returned beside the reply.
_PRELUDE = """
local unreadable = {}
local function discard(key)
  redis.call('DEL', key)
  unreadable[#unreadable + 1] = key
end
local function call(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if string.find(reply.err, '^WRONGTYPE') then discard(key) end
  return redis.call(command, key, ...)
end
local function text(number) return string.format('%%.0f', number) end
local function whole(value)
  local number = value and string.find(value, '^%%d+$') and tonumber(value)
  return number and number < %d and number or nil
end
local function count(key)
  local value = call('GET', key)
  if value and not whole(value) then discard(key) end
  return whole(value) or 0
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function load(key, purged)
  local value = call('HMGET', key, 'sequence', 'completed', 'started', 'early', 'data')
  local sequence, completed, started, early = unpack(value, 1, 4)
  sequence, completed, started = whole(sequence), whole(completed), whole(started)
  if not (sequence and completed and started and early and value[5]) then
    if redis.call('EXISTS', key) == 1 then discard(key) end
    return nil
  end
  local age = now - started
  if age < -%d then return nil end
  return {sequence = sequence, age = math.max(age, 0), early = early == '1',
    reply = {value[5], sequence, completed, math.max(age, 0), early == '1' and 1 or 0,
      sequence <= purged and 1 or 0}}
end
""" % (MAX_SEQUENCE, MAX_CLOCK_STEP * 1_000_000)  # noqa: UP031  braces are Lua's

READ = """
local purged = count(KEYS[1])
local replies = {}
for index = 2, #KEYS do
  local value = load(KEYS[index], purged)
  replies[index - 1] = value and value.reply or false
end
return {replies, unreadable}
"""
ACQUIRE = """
local purged = count(KEYS[4])
local value = load(KEYS[1], purged)
if value and value.age < tonumber(ARGV[1]) and value.sequence > purged
    and value.sequence > tonumber(value.early and ARGV[3] or ARGV[2]) then
  return {value.reply, unreadable}
end
local replaced = value and value.sequence or 0
local left = redis.call('PTTL', KEYS[2])
if left == -1 or left > tonumber(ARGV[5]) then
  discard(KEYS[2])
elseif left >= 0 then
  return {false, unreadable}
end
local sequence = math.max(count(KEYS[3]), tonumber(ARGV[4]), purged, replaced) + 1
redis.call('SET', KEYS[3], text(sequence), 'PX', ARGV[6])
redis.call('SET', KEYS[2], text(sequence), 'PX', ARGV[5])
return {{sequence, now, replaced, value and value.age or 0}, unreadable}
"""
RENEW = """
if call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {false, unreadable}
"""
_RELEASE = """
if call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
RELEASE = f"{_RELEASE} return {{false, unreadable}}"
PUBLISH = (
    _RELEASE
    + """
local latest = math.max(count(KEYS[3]), tonumber(ARGV[1]))
local stored = whole(call('HGET', KEYS[2], 'sequence')) or 0
local purged = count(KEYS[4])
if tonumber(ARGV[1]) > stored and tonumber(ARGV[1]) > purged and ARGV[5] ~= '' then
  redis.call('HSET', KEYS[2], 'sequence', ARGV[1], 'completed', text(latest),
    'started', ARGV[2], 'early', ARGV[3], 'data', ARGV[5])
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
return {latest, unreadable}
"""
)
PURGE = """
local sequence = math.max(count(KEYS[1]), count(KEYS[2]), tonumber(ARGV[3])) + 1
redis.call('SET', KEYS[1], text(sequence), 'PX', ARGV[2])
redis.call('SET', KEYS[2], text(sequence), 'PX', ARGV[2])
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
return {sequence, unreadable}
"""
ADD_STEP = """
if call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then
  call('RPUSH', KEYS[2], ARGV[1])
  count(KEYS[3])
  local bytes = redis.call('INCRBY', KEYS[3], #ARGV[2])
  while redis.call('LLEN', KEYS[2]) > tonumber(ARGV[3]) or bytes > tonumber(ARGV[4]) do
    local oldest = redis.call('LPOP', KEYS[2])
    if not oldest then break end
    bytes = redis.call('DECRBY', KEYS[3], redis.call('HSTRLEN', KEYS[1], oldest))
    redis.call('HDEL', KEYS[1], oldest)
  end
end
for index = 1, 3 do redis.call('PEXPIRE', KEYS[index], ARGV[5]) end
return {false, unreadable}
"""
STEPS = """
local steps = {}
for _, name in ipairs(call('LRANGE', KEYS[2], 0, -1)) do
  local data = call('HGET', KEYS[1], name)
  if data then
    steps[#steps + 1] = name
    steps[#steps + 1] = data
  end
end
return {steps, unreadable}
"""
EXCHANGE = """
call('ZADD', KEYS[1], text(now), ARGV[1])
call('HSET', KEYS[2], ARGV[1], ARGV[2])
local function remove(from, to)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], from, to)) do
    redis.call('ZREM', KEYS[1], member)
    redis.call('HDEL', KEYS[2], member)
  end
end
remove('-inf', text(now - tonumber(ARGV[3])))
remove(text(now + %d), '+inf')
for index = 1, 2 do redis.call('PEXPIRE', KEYS[index], ARGV[4]) end
return {{redis.call('ZCARD', KEYS[1]), count(KEYS[3]), count(KEYS[4]),
  redis.call('HGETALL', KEYS[2])}, unreadable}
""" % (MAX_CLOCK_STEP * 1_000_000)  # noqa: UP031  braces are Lua's
GET_TEXT = "return {call('GET', KEYS[1]), unreadable}"
PUT_TEXT = "return {redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]), unreadable}"
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
        self.on_unreadable: Callable[[str], object] = lambda _: None
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

    async def purge(self, space: str, *, drop: bool, latest_sequence: int = 0) -> int:
        names = [f"{space}counter", f"{space}purged", f"{space}dropped"]
        number: int = await self._run(
            PURGE, names, int(drop), _milliseconds(COUNTER_SECONDS), latest_sequence
        )
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
        names = (name.decode(errors="replace").partition(" ") for name in reply[::2])
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
        names = [name.decode(errors="replace") for name in reports[::2]]
        others = dict(zip(names, reports[1::2], strict=True))
        others.pop(member, None)
        return Exchange(members, Purge(purged, bool(dropped)) if purged else None, others)

    async def get_text(self, name: str) -> str | None:
        text: bytes | None = await self._run(GET_TEXT, [name])
        return None if text is None else text.decode(errors="replace")

    async def put_text(self, name: str, text: str, *, lifetime: float) -> None:
        await self._run(PUT_TEXT, [name], text, _milliseconds(lifetime))

    async def close(self) -> None:
        await self._client.aclose()
        await self._client.connection_pool.disconnect()

    async def _run(self, source: str, keys: Sequence[str], *args: str | bytes | int) -> Any:
        script = self._scripts.get(source)
        if script is None:
            script = self._scripts[source] = self._client.register_script(_PRELUDE + source)
        try:
            reply, unreadable = await script(keys=keys, args=args)
        except RedisError as error:
            raise StoreError(_reason(error)) from None
        for name in unreadable:
            self.on_unreadable(_kind(name.decode()))
        return reply


def _reason(error: RedisError) -> str:
    """Return the class of an error and, if the client has none for it, the code of the reply.

    Its text may quote a command with its arguments.
    """
    code = re.match("[A-Z]+(?= )", str(error)) if type(error) is ResponseError else None
    return f"{type(error).__name__} {code[0]}" if code else type(error).__name__


def _value(reply: Sequence[Any]) -> StoredValue:
    data, sequence, completed_at, age, early, purged = reply
    return StoredValue(data, sequence, completed_at, age / 1e6, bool(early), bool(purged))


def _kind(name: str) -> str:
    """Return what is stored under a key: the part after the space, if it has one."""
    parts = name.removeprefix(KEY_PREFIX).split(":")
    return parts[2] if len(parts) > 2 else parts[0]


def _history(space: str) -> list[str]:
    return [f"{space}history", f"{space}history-order", f"{space}history-bytes"]


def _literal(text: str) -> str:
    """Return a pattern that matches `text` only."""
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in text)


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 1)


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
