"""What Redis runs: scripts, because each step below has to happen whole or not at all.

The keys, behind a prefix: ``number`` counts sessions; ``id:TOKEN`` is a session's number; ``session:NUMBER`` is a hash
of what is known about it, its attributes being the fields that begin with "@"; ``sessions`` and ``user:NAME`` have the
numbers, ``users`` the names, each with the time at which it expires. Hash and id expire by themselves; the sets are
cleaned in passing, by their order, never by a look at all of them.

A session lives as long as its hash does. Nothing here makes one anew that has expired in the middle of a request.
"""

from __future__ import annotations

__all__ = ["ADD", "EXTEND", "FIND", "GET", "NOTE", "NOTES", "NUMBERS", "REMOVE", "SET_NOTE", "UPDATE", "USERS", "WRITE"]

# ARGV[1] is the prefix, ARGV[2] the time in seconds, everywhere.
_HEAD = """
local prefix, now = ARGV[1], tonumber(ARGV[2])
local function live(number)
    local ends = redis.call('HGET', prefix .. 'session:' .. number, 'ends')
    return ends and tonumber(ends) > now
end
-- Let it expire at a time: not before it would already, unless it is to be sooner.
local function expire(number, at, sooner)
    local key = prefix .. 'session:' .. number
    local token, user, ends = unpack(redis.call('HMGET', key, 'token', 'user', 'ends'))
    at = math.min(at, tonumber(ends))
    local left = math.max(1, math.ceil((at - now) * 1000))
    if not sooner and redis.call('PTTL', key) > left then return end
    redis.call('PEXPIRE', key, left)
    redis.call('PEXPIRE', prefix .. 'id:' .. token, left)
    redis.call('ZADD', prefix .. 'sessions', at, number)
    if user then
        local mine, latest = prefix .. 'user:' .. user, redis.call('ZSCORE', prefix .. 'users', user)
        redis.call('ZREMRANGEBYSCORE', mine, '-inf', now)
        redis.call('ZADD', mine, at, number)
        if redis.call('PTTL', mine) < left then redis.call('PEXPIRE', mine, left) end
        if not latest or tonumber(latest) < at then redis.call('ZADD', prefix .. 'users', at, user) end
    end
end
"""

# ARGV: token, idle, then fields and values. Returns the number.
ADD = (
    _HEAD
    + """
redis.call('ZREMRANGEBYSCORE', prefix .. 'sessions', '-inf', now)
local number = redis.call('INCR', prefix .. 'number')
redis.call('HSET', prefix .. 'session:' .. number, 'token', ARGV[3], 'idle', ARGV[4], unpack(ARGV, 5))
redis.call('SET', prefix .. 'id:' .. ARGV[3], number)
expire(number, now + tonumber(ARGV[4]), true)
return number
"""
)

# ARGV: token, peer or "". Returns the number and the hash.
FIND = (
    _HEAD
    + """
local number = redis.call('GET', prefix .. 'id:' .. ARGV[3])
if not number or not live(number) then return false end
local key = prefix .. 'session:' .. number
local idle, peer = unpack(redis.call('HMGET', key, 'idle', 'peer'))
if ARGV[4] ~= '' and ARGV[4] ~= peer then return false end
redis.call('HSET', key, 'accessed', ARGV[2])
redis.call('HINCRBY', key, 'uses', 1)
expire(number, now + tonumber(idle))
return {number, redis.call('HGETALL', key)}
"""
)

# ARGV: number. Returns the number and the hash.
GET = (
    _HEAD
    + """
if not live(ARGV[3]) then return false end
return {ARGV[3], redis.call('HGETALL', prefix .. 'session:' .. ARGV[3])}
"""
)

# ARGV: number, when it expires, then fields and values. Returns 1 if it lives.
UPDATE = (
    _HEAD
    + """
local number = ARGV[3]
if not live(number) then return 0 end
local key = prefix .. 'session:' .. number
local token, user = unpack(redis.call('HMGET', key, 'token', 'user'))
redis.call('HSET', key, unpack(ARGV, 5))
local new, name = unpack(redis.call('HMGET', key, 'token', 'user'))
if new ~= token then
    redis.call('DEL', prefix .. 'id:' .. token)
    redis.call('SET', prefix .. 'id:' .. new, number)
end
if user and user ~= name then redis.call('ZREM', prefix .. 'user:' .. user, number) end
redis.call('ZREMRANGEBYSCORE', prefix .. 'users', '-inf', now)
local left = redis.call('PTTL', key)
local at = ARGV[4] ~= '' and tonumber(ARGV[4]) or now + left / 1000
expire(number, at, true)
return 1
"""
)

# ARGV: number, how many fields, those fields and values, names to delete. Returns 1 if it lives.
WRITE = (
    _HEAD
    + """
local key, last = prefix .. 'session:' .. ARGV[3], 4 + 2 * tonumber(ARGV[4])
if not live(ARGV[3]) then return 0 end
for i = 5, last, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
for i = last + 1, #ARGV do redis.call('HDEL', key, ARGV[i]) end
return 1
"""
)

# ARGV: number. Returns 1 if it lived.
REMOVE = (
    _HEAD
    + """
local key = prefix .. 'session:' .. ARGV[3]
local token, user = unpack(redis.call('HMGET', key, 'token', 'user'))
if not token then return 0 end
redis.call('DEL', key, prefix .. 'id:' .. token)
redis.call('ZREM', prefix .. 'sessions', ARGV[3])
if user then
    redis.call('ZREM', prefix .. 'user:' .. user, ARGV[3])
    if redis.call('EXISTS', prefix .. 'user:' .. user) == 0 then redis.call('ZREM', prefix .. 'users', user) end
end
return 1
"""
)

# ARGV: key. Returns its value.
NOTE = "return redis.call('GET', ARGV[1] .. 'note:' .. ARGV[3])"

# ARGV: key, what it was or "", what it is to be or "", when it expires. Returns 1 if it was that.
SET_NOTE = """
local prefix, now, key = ARGV[1], tonumber(ARGV[2]), ARGV[1] .. 'note:' .. ARGV[3]
if (redis.call('GET', key) or '') ~= ARGV[4] then return 0 end
redis.call('ZREMRANGEBYSCORE', prefix .. 'notes', '-inf', now)
if ARGV[5] == '' then
    redis.call('DEL', key)
    redis.call('ZREM', prefix .. 'notes', ARGV[3])
    return 1
end
redis.call('SET', key, ARGV[5])
if ARGV[6] ~= 'inf' then
    redis.call('PEXPIRE', key, math.max(1, math.ceil((tonumber(ARGV[6]) - now) * 1000)))
end
redis.call('ZADD', prefix .. 'notes', ARGV[6], ARGV[3])
return 1
"""

# ARGV: how the keys begin. Returns keys and values.
NOTES = """
local prefix, found = ARGV[1], {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'notes', '(' .. ARGV[2], '+inf')) do
    if string.sub(key, 1, #ARGV[3]) == ARGV[3] then
        local value = redis.call('GET', prefix .. 'note:' .. key)
        if value then
            found[#found + 1] = key
            found[#found + 1] = value
        end
    end
end
return found
"""

# ARGV: until, numbers.
EXTEND = (
    _HEAD
    + """
for i = 4, #ARGV do
    if live(ARGV[i]) then expire(ARGV[i], tonumber(ARGV[3])) end
end
return 0
"""
)

# ARGV: the set. Returns the numbers.
NUMBERS = (
    _HEAD
    + """
return redis.call('ZRANGEBYSCORE', prefix .. ARGV[3], '(' .. ARGV[2], '+inf')
"""
)

# Returns the names of those with a living session.
USERS = (
    _HEAD
    + """
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'users', '(' .. ARGV[2], '+inf')) do
    if redis.call('ZCOUNT', prefix .. 'user:' .. name, '(' .. ARGV[2], '+inf') > 0 then found[#found + 1] = name end
end
return found
"""
)
