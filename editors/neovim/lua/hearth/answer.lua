-- The window that an answer streams into: a scratch Markdown buffer for each job, its state and
-- time left in the window bar (the window's status line before Neovim 0.8). A finished answer makes
-- room for the next one, one that is being written keeps its window.
local config = require('hearth.config')
local jobs = require('hearth.jobs')

local M = {}

local buffers = {} -- job → buffer
local bar = vim.fn.exists('+winbar') == 1 and 'winbar' or 'statusline'

local function float_options()
  local width = math.min(math.floor(vim.o.columns * 0.8), 100)
  local height = math.min(math.floor(vim.o.lines * 0.6), 30)
  return {
    relative = 'editor',
    style = 'minimal',
    border = 'rounded',
    width = width,
    height = height,
    col = math.floor((vim.o.columns - width) / 2),
    row = math.floor((vim.o.lines - height) / 2) - 1,
  }
end

-- A window of this tab page whose answer is finished, or nil.
local function finished_window()
  for job, buffer in pairs(buffers) do
    for _, window in ipairs(jobs.has_ended(job) and vim.fn.win_findbuf(buffer) or {}) do
      if vim.api.nvim_win_get_tabpage(window) == vim.api.nvim_get_current_tabpage() then
        return window
      end
    end
  end
end

-- Shows the buffer without taking the cursor away; a float takes it, as nothing else could close it.
local function show(buffer)
  local options = config.current.answer
  local window = finished_window()
  if window then
    vim.api.nvim_win_set_buf(window, buffer)
    if vim.api.nvim_win_get_config(window).relative ~= '' then
      vim.api.nvim_set_current_win(window)
    end
    return window
  end
  if options.view == 'float' then
    return vim.api.nvim_open_win(buffer, true, float_options())
  end
  local back = vim.api.nvim_get_current_win()
  local split = options.view == 'vsplit' and 'vertical botright split' or 'botright %dsplit'
  vim.cmd('noautocmd ' .. split:format(options.size))
  window = vim.api.nvim_get_current_win()
  vim.api.nvim_win_set_buf(window, buffer)
  vim.api.nvim_set_current_win(back)
  return window
end

local function open(job)
  local buffer = vim.api.nvim_create_buf(false, true)
  buffers[job] = buffer
  vim.api.nvim_buf_set_name(buffer, ('hearth://%d/%s'):format(buffer, job.state.title))
  vim.bo[buffer].bufhidden = 'wipe'
  vim.bo[buffer].modifiable = false
  -- A file type plugin that fails (no Markdown parser, say) must not cost the answer.
  vim.api.nvim_buf_call(buffer, function()
    vim.cmd('silent! setlocal filetype=markdown')
  end)
  vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = buffer, desc = 'Close the answer' })
  vim.keymap.set('n', '<C-c>', function()
    jobs.cancel(job)
  end, { buffer = buffer, desc = 'Stop the answer' })
  local window = show(buffer)
  for option, value in pairs({ wrap = true, linebreak = true, number = false, relativenumber = false }) do
    vim.api.nvim_win_set_option(window, option, value)
  end
end

-- Replaces what differs only, so that reading and marks are not disturbed while it grows.
local function write(buffer, text)
  local wanted = vim.split(text, '\n', { plain = true })
  local present = vim.api.nvim_buf_get_lines(buffer, 0, -1, false)
  local same = 0
  while same < #present and present[same + 1] == wanted[same + 1] do
    same = same + 1
  end
  if same == #present and same == #wanted then
    return
  end
  local following = {}
  for _, window in ipairs(vim.fn.win_findbuf(buffer)) do
    following[window] = vim.api.nvim_win_get_cursor(window)[1] == #present
  end
  vim.bo[buffer].modifiable = true
  vim.api.nvim_buf_set_lines(buffer, same, -1, false, vim.list_slice(wanted, same + 1))
  vim.bo[buffer].modifiable = false
  for window, follows in pairs(following) do
    if follows then
      vim.api.nvim_win_set_cursor(window, { #wanted, 0 })
    end
  end
end

jobs.on_change(function(job)
  -- A change of code shows in the code; there may be something to read at its end.
  if job.state.edits and not (jobs.has_ended(job) and job.text ~= '') then
    return
  end
  if not buffers[job] then
    open(job)
  end
  local buffer = buffers[job]
  if not vim.api.nvim_buf_is_valid(buffer) then
    return -- a person has closed it
  end
  write(buffer, job.text)
  local line = ' ' .. jobs.describe(job):gsub('%%', '%%%%')
  for _, window in ipairs(vim.fn.win_findbuf(buffer)) do
    vim.api.nvim_win_set_option(window, bar, line)
  end
end)

-- The job whose answer the current buffer shows, or nil.
function M.job_here()
  local current = vim.api.nvim_get_current_buf()
  for job, buffer in pairs(buffers) do
    if buffer == current then
      return job
    end
  end
end

return M
