-- A change that waits, in its window: its keys, its colours, and what becomes of each of its hunks. What
-- is made hunk by hunk is made here; all of it at once is the daemon's to make, which merges it with what
-- was typed.
local client = require('hearth.client')
local hunks = require('hearth.hunks')
local jobs = require('hearth.jobs')

local M = {}

local say_keys = '`a` makes this change, `d` drops it, `q` closes the window: the change waits then.'
local say_hunk_keys = 'Of the hunk under the cursor: `y` makes it, `n` leaves it out; `]c` and `[c` go to the next.'

local colours = vim.api.nvim_create_namespace('hearth_diff')
local marks = vim.api.nvim_create_namespace('hearth_hunks')
local decided = {} -- job's id → number of a hunk → 'made' or 'left out'

-- The file of a hunk: a change may be one of several files, which the diff names below the project's folder.
function M.uri_of(job, hunk)
  local own = job.state.uri
  local connection = hunk and hunk.path and vim.lsp.get_client_by_id(job.client_id)
  local root = connection and connection.config.root_dir
  if not root or vim.endswith(vim.uri_to_fname(own), '/' .. hunk.path) then
    return own
  end
  return vim.uri_from_fname(root .. '/' .. hunk.path)
end

-- What the window shows of a change: the keys stand before it.
function M.text(job)
  local several = #hunks.read(vim.split(job.text, '\n', { plain = true })) > 1
  return say_keys .. '\n' .. (several and say_hunk_keys .. '\n' or '') .. '\n' .. job.text
end

-- Not every Neovim colours what is fenced as a diff by itself.
function M.colour(buffer, lines)
  vim.api.nvim_buf_clear_namespace(buffer, colours, 0, -1)
  local groups = { ['+'] = 'HearthAdded', ['-'] = 'HearthRemoved', ['@'] = 'HearthPlace' }
  local fence
  for i, line in ipairs(lines) do
    local opening = line:match('^(```+)diff%s*$')
    if not fence then
      fence = opening
    elseif line == fence then
      fence = nil
    elseif groups[line:sub(1, 1)] then
      vim.api.nvim_buf_add_highlight(buffer, colours, groups[line:sub(1, 1)], i - 1, 0, -1)
    end
  end
end

-- The buffer that a hunk is for, loaded; without one that of the code that the change is about.
local function code_of(job, hunk)
  local code = vim.uri_to_bufnr(M.uri_of(job, hunk))
  vim.fn.bufload(code)
  return code
end

local function shown_hunks(buffer)
  return hunks.read(vim.api.nvim_buf_get_lines(buffer, 0, -1, false))
end

-- Says beside each hunk what became of it, or where it belongs as the code stands now.
function M.mark(job, buffer)
  vim.api.nvim_buf_clear_namespace(buffer, marks, 0, -1)
  if not jobs.waits(job) or not job.state.uri then
    return
  end
  local choices = decided[job.id] or {}
  for i, hunk in ipairs(shown_hunks(buffer)) do
    local text, group = choices[i], 'HearthPlace'
    if not text then
      local at = hunks.place(hunk, vim.api.nvim_buf_get_lines(code_of(job, hunk), 0, -1, false))
      text = at and ('line %d'):format(at) or 'does not fit any more: the code has changed there'
      group = at and group or 'WarningMsg'
    end
    vim.api.nvim_buf_set_extmark(buffer, marks, hunk.line - 1, 0, { virt_text = { { ' ' .. text, group } } })
  end
end

local function hunk_at_cursor(buffer)
  local row = vim.api.nvim_win_get_cursor(0)[1]
  local found, number
  for i, hunk in ipairs(shown_hunks(buffer)) do
    if not found or hunk.line <= row then
      found, number = hunk, i
    end
  end
  return found, number
end

local function make(job, hunk)
  local code = code_of(job, hunk)
  if not vim.bo[code].modifiable then
    return vim.notify('hearth: the file cannot be changed (nomodifiable)', vim.log.levels.WARN)
  end
  if not hunks.make(hunk, code) then
    return vim.notify('hearth: this hunk does not fit any more: the code has changed there', vim.log.levels.WARN)
  end
  return true
end

-- The change ends as made where any of it was. What is made stands in the code, where the daemon finds it;
-- what it still sends is what was left out.
local function end_review(job, made, count)
  job.outcome = ('%d of %d hunks made'):format(made, count)
  if made == 0 then
    jobs.tell(job.id, 'dismiss')
  else
    client.has_taken(job.client_id, job.state.title)
    jobs.tell(job.id, 'apply')
  end
  vim.notify(('hearth: %s: %s'):format(job.state.title, job.outcome), vim.log.levels.INFO)
end

-- Once nothing is left to decide, the change waits no longer.
local function decide(job, buffer, number, what)
  local choices = decided[job.id] or {}
  decided[job.id] = choices
  choices[number] = what
  M.mark(job, buffer)
  local all = shown_hunks(buffer)
  local made = 0
  for i in ipairs(all) do
    if not choices[i] then
      return
    end
    made = made + (choices[i] == 'made' and 1 or 0)
  end
  decided[job.id] = nil
  end_review(job, made, #all)
end

local function move(buffer, from)
  local all = shown_hunks(buffer)
  local row = vim.api.nvim_win_get_cursor(0)[1]
  for i = 1, #all do
    local hunk = all[from > 0 and i or #all + 1 - i]
    if (hunk.line - row) * from > 0 then
      return vim.api.nvim_win_set_cursor(0, { hunk.line, 0 })
    end
  end
end

-- All that is not decided yet; true where nothing was, so that the daemon is to do it.
local function decide_rest(job, buffer, what)
  local choices = decided[job.id]
  if not choices then
    return true
  end
  for i, hunk in ipairs(shown_hunks(buffer)) do
    if not choices[i] and (what ~= 'made' or make(job, hunk)) then
      decide(job, buffer, i, what)
    end
  end
end

local function keys_of(job, buffer)
  local function one(what)
    return function()
      local hunk, number = hunk_at_cursor(buffer)
      local before = hunk and decided[job.id] and decided[job.id][number]
      if hunk and not before and (what ~= 'made' or make(job, hunk)) then
        decide(job, buffer, number, what)
        pcall(move, buffer, 1)
      end
    end
  end
  local function all(verb, what)
    return function()
      if decide_rest(job, buffer, what) then
        jobs.tell(job.id, verb)
      end
    end
  end
  return {
    a = { all('apply', 'made'), 'make the change' },
    d = { all('dismiss', 'left out'), 'drop the change' },
    y = { one('made'), 'make this hunk' },
    n = { one('left out'), 'leave this hunk out' },
    [']c'] = { function() move(buffer, 1) end, 'go to the next hunk' },
    ['[c'] = { function() move(buffer, -1) end, 'go to the hunk before' },
  }
end

jobs.on_change(function(job)
  if job.outcome and not jobs.waits(job) then
    client.has_taken(job.client_id, nil)
  end
end)

-- The keys are there as long as the change waits.
function M.map(job, buffer)
  for key, does in pairs(keys_of(job, buffer)) do
    if jobs.waits(job) then
      vim.keymap.set('n', key, does[1], { buffer = buffer, nowait = true, desc = 'hearth: ' .. does[2] })
    else
      pcall(vim.keymap.del, 'n', key, { buffer = buffer })
    end
  end
end

-- The places follow what is typed in the code meanwhile.
function M.follow(job, buffer)
  if not job.state.uri then
    return
  end
  local code = code_of(job)
  vim.api.nvim_create_autocmd({ 'TextChanged', 'TextChangedI' }, {
    buffer = code,
    group = vim.api.nvim_create_augroup('hearth_review_' .. job.id, { clear = true }),
    callback = function()
      if not vim.api.nvim_buf_is_valid(buffer) or not jobs.waits(job) then
        return true -- no longer
      end
      M.mark(job, buffer)
    end,
  })
end

return M
