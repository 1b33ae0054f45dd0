-- How far a change is, at the end of the first line of the code that it is about: an action that changes
-- code opens no window. The mark moves with the code and goes when the job no longer runs.
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
