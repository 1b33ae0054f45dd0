-- How far a change is, at the end of the first line of the code that it is about: an action that changes
-- code opens no window. The mark moves with the code and goes when the job no longer runs. Of every action
-- it says at once that it was asked for, before the daemon has told of a job.
local jobs = require('hearth.jobs')

local M = {}

local namespace = vim.api.nvim_create_namespace('hearth_progress')

local function buffer_of(job)
  local buffer = vim.fn.bufnr(vim.uri_to_fname(job.state.uri))
  return buffer > 0 and vim.api.nvim_buf_is_loaded(buffer) and buffer or nil
end

local function draw(job, buffer)
  local mark = vim.api.nvim_buf_get_extmark_by_id(buffer, namespace, job.id, {})
  local row = mark[1] or math.min(job.state.range.start.line, vim.api.nvim_buf_line_count(buffer) - 1)
  vim.api.nvim_buf_set_extmark(buffer, namespace, row, 0, {
    id = job.id,
    virt_text = { { ' ' .. jobs.describe(job), 'HearthProgress' } },
  })
end

-- Says beside line `row` (from 0) that `what` was asked for; the function that it returns takes that back.
local asked_for = vim.api.nvim_create_namespace('hearth_asked')
function M.ask(buffer, row, what)
  local last = vim.api.nvim_buf_line_count(buffer) - 1
  local mark = vim.api.nvim_buf_set_extmark(buffer, asked_for, math.min(row, last), 0, {
    virt_text = { { (' hearth: %s …'):format(what), 'HearthProgress' } },
  })
  local answered = jobs.asking()
  return function()
    answered()
    if vim.api.nvim_buf_is_valid(buffer) then
      vim.api.nvim_buf_del_extmark(buffer, asked_for, mark)
    end
  end
end

jobs.on_change(function(job)
  local state = job.state
  if not state.edits or not state.range or not vim.startswith(state.uri or '', 'file:') then
    return
  end
  local buffer = buffer_of(job)
  if buffer and jobs.runs(job) then
    draw(job, buffer)
  elseif buffer then
    vim.api.nvim_buf_del_extmark(buffer, namespace, job.id)
  end
end)

return M
