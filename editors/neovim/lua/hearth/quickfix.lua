-- The changes that wait, as a quickfix list: an entry for each hunk, at its place in the code.
local hunks = require('hearth.hunks')
local jobs = require('hearth.jobs')

local M = {}

local function entries_of(job)
  local entries = {}
  for i, hunk in ipairs(hunks.read(vim.split(job.text, '\n', { plain = true }))) do
    local line = hunk.new[hunk.ahead + 1] or hunk.old[hunk.ahead + 1] or ''
    entries[i] = {
      filename = vim.uri_to_fname(require('hearth.review').uri_of(job, hunk)),
      lnum = math.max(hunk.at + hunk.ahead, 1),
      text = ('%s (job %d): %s'):format(job.state.title, job.id, vim.trim(line)),
    }
  end
  return entries
end

-- Of all waiting jobs for which `condition` holds, the oldest first, as a new list. How many entries.
function M.fill(title, condition)
  local items = {}
  local numbers = jobs.numbers(function(job)
    return jobs.waits(job) and job.state.uri ~= nil and condition(job)
  end)
  for i = #numbers, 1, -1 do
    vim.list_extend(items, entries_of(jobs.find(numbers[i])))
  end
  if #items > 0 then
    vim.fn.setqflist({}, ' ', { title = 'hearth: ' .. title, items = items })
  end
  return #items
end

return M
