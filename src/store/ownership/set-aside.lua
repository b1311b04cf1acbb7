-- What becomes of a displaced owner's jobs that run while the lane is taken: put behind calendar.lua (whose prefixes it uses: the
-- upstream's U, those of its lanes L, and their queues' Q) and lease.lua, before the script that takes.

-- Answers the ids of the jobs of this lane that ran for another than `identity` ({ as, by }) and do no more.
local function setAside(lane, identity, token) return {} end
