"""What Redis runs: scripts, because each step below has to happen whole or not at all.

The keys, behind a prefix: ``number`` counts sessions; ``id:TOKEN`` is a session's number; ``session:NUMBER`` is a hash
of what is known about it, its attributes being the fields that begin with "@"; ``lease:NUMBER`` has the processes that
keep it; ``sessions`` and ``user:NAME`` have the numbers, ``users`` the names; all of these three with the time at which
it expires. Hash, id and leases expire by themselves; the sets are cleaned in passing, by their order, never by a look
at all of them.

A session lives as long as its hash does. Nothing here makes one anew that has expired in the middle of a request. A
Redis that has lost data gives the same numbers again, so who means a session says when it was made as well.
"""

from __future__ import annotations

__all__ = [
    "ADD",
    "EXTEND",
    "FIND",
    "GET",
    "NOTE",
    "NOTES",
    "NUMBERS",
    "RELEASE",
    "REMOVE",
    "ROOM",
    "SET_NOTE",
    "UPDATE",
    "USERS",
    "WRITE",
]

# ARGV[1] is the prefix, ARGV[2] the time in seconds, everywhere.
_HEAD = """
local prefix, now = ARGV[1], tonumber(ARGV[2])
local function live(number, made)
    local ends, created = unpack(redis.call('HMGET', prefix .. 'session:' .. number, 'ends', 'created'))
    return ends and tonumber(ends) > now and (not made or made == created)
end
-- Until when somebody keeps it.
local function leased(number)
    return tonumber(redis.call('ZREVRANGE', prefix .. 'lease:' .. number, 0, 0, 'WITHSCORES')[2] or 0)
end
-- Have it expire when it has to, by what is known about it.
local function expire(number)
    local key = prefix .. 'session:' .. number
    local token, user, ends, accessed, idle =
        unpack(redis.call('HMGET', key, 'token', 'user', 'ends', 'accessed', 'idle'))
    local at = math.min(math.max(tonumber(accessed) + tonumber(idle), leased(number)), tonumber(ends))
    local left = math.max(1, math.ceil((at - now) * 1000))
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
local function remove(number)
    local key = prefix .. 'session:' .. number
    local token, user = unpack(redis.call('HMGET', key, 'token', 'user'))
    redis.call('DEL', key, prefix .. 'id:' .. token, prefix .. 'lease:' .. number)
    redis.call('ZREM', prefix .. 'sessions', number)
    if user then
        redis.call('ZREM', prefix .. 'user:' .. user, number)
        if redis.call('EXISTS', prefix .. 'user:' .. user) == 0 then redis.call('ZREM', prefix .. 'users', user) end
    end
end
-- Who has to go for one more session of a user, besides his own; or none, and how many there are.
local function victims(name, own, limit, recycle)
    local count, free = 0, {}
    for _, number in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'user:' .. name, '(' .. ARGV[2], '+inf')) do
        if number ~= own and live(number) then
            local uses, accessed = unpack(redis.call('HMGET', prefix .. 'session:' .. number, 'uses', 'accessed'))
            local used = tonumber(uses) > 0
            count = count + 1
            if leased(number) <= now and (recycle == '1' or not used) then
                free[#free + 1] = {number = number, used = used, accessed = tonumber(accessed)}
            end
        end
    end
    local excess = count - tonumber(limit) + 1
    if excess > #free then return nil, count end
    table.sort(free, function(a, b)
        if a.used ~= b.used then return b.used end
        return a.accessed < b.accessed
    end)
    local first = {}
    for i = 1, excess do first[i] = free[i].number end
    return first, count
end
"""

# ARGV: token, then fields and values. Returns the number.
ADD = (
    _HEAD
    + """
redis.call('ZREMRANGEBYSCORE', prefix .. 'sessions', '-inf', now)
local number = redis.call('INCR', prefix .. 'number')
redis.call('HSET', prefix .. 'session:' .. number, 'token', ARGV[3], unpack(ARGV, 4))
redis.call('SET', prefix .. 'id:' .. ARGV[3], number)
expire(number)
return number
"""
)

# ARGV: token, peer or "". Returns the number and the hash; or how many sessions there have been ever.
FIND = (
    _HEAD
    + """
local number = redis.call('GET', prefix .. 'id:' .. ARGV[3])
if not number or not live(number) then return tonumber(redis.call('GET', prefix .. 'number') or 0) end
local key = prefix .. 'session:' .. number
local token, peer = unpack(redis.call('HMGET', key, 'token', 'peer'))
if token ~= ARGV[3] or ARGV[4] ~= '' and ARGV[4] ~= peer then return false end
redis.call('HSET', key, 'accessed', ARGV[2])
redis.call('HINCRBY', key, 'uses', 1)
expire(number)
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

# ARGV: a user, how many sessions he may have, 1 if they recycle. Returns how many he has when there is no room, or 0.
ROOM = (
    _HEAD
    + """
local gone, count = victims(ARGV[3], '', ARGV[4], ARGV[5])
return gone and 0 or count
"""
)

# ARGV: number, when it was made, then for a login a user, how many sessions he may have, 1 if they recycle, or "" for
# each, then fields and values. Returns 1 if it lives; or, below 0, how many others there are when there is no room.
UPDATE = (
    _HEAD
    + """
local number = ARGV[3]
if not live(number, ARGV[4]) then return 0 end
if ARGV[6] ~= '' then
    local gone, count = victims(ARGV[5], number, ARGV[6], ARGV[7])
    if not gone then return -count end
    for _, other in ipairs(gone) do remove(other) end
end
local key = prefix .. 'session:' .. number
local token, user = unpack(redis.call('HMGET', key, 'token', 'user'))
redis.call('HSET', key, unpack(ARGV, 8))
local new, name = unpack(redis.call('HMGET', key, 'token', 'user'))
if new ~= token then
    redis.call('DEL', prefix .. 'id:' .. token)
    redis.call('SET', prefix .. 'id:' .. new, number)
end
if user and user ~= name then redis.call('ZREM', prefix .. 'user:' .. user, number) end
redis.call('ZREMRANGEBYSCORE', prefix .. 'users', '-inf', now)
expire(number)
return 1
"""
)

# ARGV: number, when it was made, how many fields, those fields and values, names to delete. Returns 1 if it lives.
WRITE = (
    _HEAD
    + """
local key, last = prefix .. 'session:' .. ARGV[3], 5 + 2 * tonumber(ARGV[5])
if not live(ARGV[3], ARGV[4]) then return 0 end
for i = 6, last, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
for i = last + 1, #ARGV do redis.call('HDEL', key, ARGV[i]) end
return 1
"""
)

# ARGV: number, when it was made. Returns 1 if it lived.
REMOVE = (
    _HEAD
    + """
if not live(ARGV[3], ARGV[4]) then return 0 end
remove(ARGV[3])
return 1
"""
)

# ARGV: who keeps them, until when, numbers and when they were made.
EXTEND = (
    _HEAD
    + """
for i = 5, #ARGV, 2 do
    if live(ARGV[i], ARGV[i + 1]) then
        local key = prefix .. 'lease:' .. ARGV[i]
        redis.call('ZADD', key, ARGV[4], ARGV[3])
        redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
        redis.call('PEXPIRE', key, math.max(1, math.ceil((leased(ARGV[i]) - now) * 1000)))
        expire(ARGV[i])
    end
end
return 0
"""
)

# ARGV: who keeps them, the latest end of the leases that are meant, numbers and when they were made.
RELEASE = (
    _HEAD
    + """
for i = 5, #ARGV, 2 do
    if live(ARGV[i], ARGV[i + 1]) then
        local key = prefix .. 'lease:' .. ARGV[i]
        local ends = redis.call('ZSCORE', key, ARGV[3])
        if ends and tonumber(ends) <= tonumber(ARGV[4]) then
            redis.call('ZREM', key, ARGV[3])
            expire(ARGV[i])
        end
    end
end
return 0
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
