-- Puts a tag among those that orders were given on.
-- KEYS[1] intentTags
-- ARGV[1] tag

-- A full Redis refuses the first write that needs room, and no later one: what makes room must be possible then.
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[1], ARGV[1])
return 1
