-- The window that an answer streams into, and that asks what is to become of a change: a scratch
-- Markdown buffer for each job, its state and time left in the window bar (the window's status line
-- before Neovim 0.8). A finished answer makes room for the next one, one that is being written or
-- waits keeps its window.
local config = require('hearth.config')
local jobs = require('hearth.jobs')
local review = require('hearth.review')
local thought = require('hearth.thought')

local M = {}

local buffers = {} -- job → buffer
local offered = {} -- job → its change is or was shown, and nothing is said of it yet
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
  vim.api.nvim_buf_set_name(buffer, ('hearth://%d/%s'):format(job.id, job.state.title))
  vim.bo[buffer].bufhidden = 'wipe'
  vim.bo[buffer].modifiable = false
  -- A file type plugin that fails (no Markdown parser, say) must not cost the answer.
  vim.api.nvim_buf_call(buffer, function()
    vim.cmd('silent! setlocal filetype=markdown')
  end)
  vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = buffer, desc = 'Close the answer' })
  for _, key in ipairs({ '<C-c>', '<Esc>' }) do
    vim.keymap.set('n', key, function()
      if jobs.applies('cancel', job) and not jobs.waits(job) then
        jobs.tell(job.id, 'cancel')
      end
    end, { buffer = buffer, desc = 'Stop the answer' })
  end
  local window = show(buffer)
  for option, value in pairs({ wrap = true, linebreak = true, number = false, relativenumber = false }) do
    vim.api.nvim_win_set_option(window, option, value)
  end
  thought.fold(window)
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
  review.colour(buffer, wanted)
  for window, follows in pairs(following) do
    if follows then
      vim.api.nvim_win_set_cursor(window, { #wanted, 0 })
    end
  end
end

local function say_state(job, buffer)
  local line = ' ' .. jobs.describe(job):gsub('%%', '%%%%')
  for _, window in ipairs(vim.fn.win_findbuf(buffer)) do
    vim.api.nvim_win_set_option(window, bar, line)
  end
end

local function valid(buffer)
  return buffer and vim.api.nvim_buf_is_valid(buffer)
end

-- A change that waits is read from its beginning.
local function write_offer(job, buffer)
  local text = review.text(job)
  local new = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), '\n') ~= text
  write(buffer, text)
  if new then
    review.follow(job, buffer)
  end
  for _, window in ipairs(new and vim.fn.win_findbuf(buffer) or {}) do
    vim.api.nvim_win_set_cursor(window, { 1, 0 })
  end
end

local function update(job)
  local buffer = buffers[job]
  if jobs.waits(job) then
    write_offer(job, buffer)
  else
    write(buffer, thought.text(job, buffer, 1))
  end
  review.map(job, buffer)
  review.mark(job, buffer)
  say_state(job, buffer)
end

local function close(buffer)
  for _, window in ipairs(vim.fn.win_findbuf(buffer)) do
    pcall(vim.api.nvim_win_close, window, true) -- the last one stays
  end
end

-- One line that fits: a longer one would want a key to be pressed.
local function notify(title, rest)
  local room = vim.v.echospace - #'hearth: ' - #rest
  if vim.fn.strchars(title) > room then
    title = vim.fn.strcharpart(title, 0, math.max(room - 1, 0)) .. '…'
  end
  vim.notify('hearth: ' .. title .. rest, vim.log.levels.INFO)
end

-- The changes of a batch are told of together, when none of its jobs runs (any more).
local told_batches = {}
local function tell_batch(batch)
  local function count(condition)
    return #jobs.numbers(function(job)
      return job.state.batch and job.state.batch.id == batch.id and condition(job)
    end)
  end
  local waiting = count(jobs.runs) == 0 and count(jobs.waits) or 0
  if waiting > 0 and not told_batches[batch.id] then
    require('hearth.quickfix').fill(batch.title, function(job)
      return job.state.batch and job.state.batch.id == batch.id
    end)
    notify(batch.title, (': %d to review (:copen; all: :Hearth apply %d)'):format(waiting, batch.id))
  end
  told_batches[batch.id] = waiting > 0
end

-- Whether a window opens of itself.
local function is_to_be_read(job)
  if job.state.batch or job.claimed then
    return false
  end
  if jobs.waits(job) then
    return not offered[job]
  end
  -- A change of code shows in the code; there may be something to read at its end.
  local ended = jobs.has_ended(job)
  return not (job.state.edits and not ended) and not (ended and job.text == '') and not buffers[job]
end

jobs.on_change(function(job)
  local waits = jobs.waits(job)
  local is_decided = offered[job] and not waits
  local opens = is_to_be_read(job)
  offered[job] = waits or nil
  if is_decided and (job.dropped or job.text == '') and valid(buffers[job]) then
    return close(buffers[job])
  end
  if is_decided and job.dropped then
    return
  end
  if opens and not valid(buffers[job]) then
    open(job)
  end
  if not valid(buffers[job]) then
    return -- a person has closed it
  end
  update(job)
  if waits and opens and vim.api.nvim_get_current_buf() ~= buffers[job] then
    notify(job.state.title, ' waits for you (:Hearth apply, :Hearth dismiss)')
  end
end)

jobs.on_change(function(job)
  if job.state.batch then
    tell_batch(job.state.batch)
  end
end)

-- Shows a job's answer so far, and goes there.
function M.open(job)
  local buffer = buffers[job]
  local window = valid(buffer) and vim.fn.win_findbuf(buffer)[1]
  if not window then
    open(job)
    offered[job] = jobs.waits(job) or nil
    update(job)
    window = vim.fn.win_findbuf(buffers[job])[1]
  end
  vim.api.nvim_set_current_win(window)
end

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
