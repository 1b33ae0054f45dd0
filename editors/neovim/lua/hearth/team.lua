-- :Hearth team: the prompts of a repository's team (.hearth/prompts), shown, and used once a person has said
-- so about just that text. The server remembers what was confirmed, and uses nothing else.
local client = require('hearth.client')
local config = require('hearth.config')
local jobs = require('hearth.jobs')

local M = {}

local list_command = 'hearth.session.teamPrompts'
local look_after = 500 -- milliseconds behind the first of the jobs that began
local told = {} -- hashes of changed prompts that a person was told of
local seen = {} -- ids of jobs that have begun
local looking = {} -- client id → true, while it is to be looked soon

local function say(message, level)
  vim.notify('hearth: ' .. message, level or vim.log.levels.INFO)
end

-- A folder as the server tells of it: its URI, `hash` of all names and texts (empty: there are none),
-- `confirmed` (the hash that a person has confirmed last), `prompts`, `ignored` (why, a sentence each).
local function state_of(folder)
  if folder.hash == '' then
    return 'none'
  end
  if folder.hash == folder.confirmed then
    return 'used'
  end
  return folder.confirmed == '' and 'new' or 'changed'
end

local function name_of(folder)
  return vim.fn.fnamemodify(vim.uri_to_fname(folder.folder), ':t')
end

-- ── What is shown ──────────────────────────────────────────────────────────────────────────────

local function what_it_does(prompt)
  if not prompt.title then
    return ('the words of the action "%s"'):format(prompt.action)
  end
  return ('"%s", %s'):format(prompt.title, prompt.action == 'edit' and 'changes code' or 'answers about code')
end

-- Longer than any run of backticks in it.
local function fence_of(text)
  local longest = 2
  for run in text:gmatch('`+') do
    longest = math.max(longest, #run)
  end
  return ('`'):rep(longest + 1)
end

local keys = {
  none = { '`q` closes the window.' },
  new = { '`a` applies these prompts: they are used from then on. `q` closes the window: nothing changes.' },
  changed = {
    'Something in these prompts has changed since you applied them, so that none is used.',
    '`a` applies them as they are now, `q` closes the window.',
  },
  used = { 'These prompts are in use. `d` ends that, `q` closes the window.' },
}

-- All that is in them, as Markdown; the keys stand before it.
local function shown_lines(folder)
  local lines = vim.deepcopy(keys[state_of(folder)])
  vim.list_extend(lines, {
    '',
    '# Prompts of the team in ' .. name_of(folder),
    '',
    'What the model is asked. It is text for the model and sets nothing else; your own prompts go before it.',
  })
  for _, prompt in ipairs(folder.prompts) do
    local fence = fence_of(prompt.text)
    vim.list_extend(lines, { '', ('## %s: %s'):format(prompt.path, what_it_does(prompt)), '', fence })
    vim.list_extend(lines, vim.split(prompt.text, '\n', { plain = true }))
    table.insert(lines, fence)
  end
  if #folder.ignored > 0 then
    vim.list_extend(lines, { '', '## Not used', '' })
  end
  for _, why in ipairs(folder.ignored) do
    table.insert(lines, '- ' .. why:gsub('\n', ' '))
  end
  return lines
end

-- ── Its window ─────────────────────────────────────────────────────────────────────────────────

-- The window that shows the buffer `name`, or a new one.
local function go_to_window(name)
  for _, window in ipairs(vim.api.nvim_list_wins()) do
    if vim.api.nvim_buf_get_name(vim.api.nvim_win_get_buf(window)) == name then
      return vim.api.nvim_set_current_win(window)
    end
  end
  vim.cmd(config.current.answer.view == 'vsplit' and 'vertical botright split' or 'botright split')
  local buffer = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_win_set_buf(0, buffer)
  vim.api.nvim_buf_set_name(buffer, name)
  vim.bo[buffer].bufhidden = 'wipe'
  vim.cmd('silent! setlocal filetype=markdown') -- whose plugin may fail
  for option, value in pairs({ wrap = true, linebreak = true, number = false, relativenumber = false }) do
    vim.api.nvim_win_set_option(0, option, value)
  end
  vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = buffer, desc = 'hearth: close the prompts' })
end

-- `hash`: of what is used from now on; empty: none of them.
local function use(connection, folder, hash, window)
  jobs.execute(connection, 'useTeamPrompts', { folder = folder.folder, hash = hash }, function()
    say(hash == '' and "the team's prompts are not used any more" or "the team's prompts are in use")
    pcall(vim.api.nvim_win_close, window, false)
  end)
end

local function review(connection, folder)
  go_to_window('hearth://team/' .. name_of(folder))
  local buffer, window = vim.api.nvim_get_current_buf(), vim.api.nvim_get_current_win()
  vim.bo[buffer].modifiable = true
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, shown_lines(folder))
  vim.bo[buffer].modifiable = false
  vim.api.nvim_win_set_cursor(window, { 1, 0 })
  local state = state_of(folder)
  local offered = {
    a = (state == 'new' or state == 'changed') and { folder.hash, "apply the team's prompts" },
    d = state == 'used' and { '', "stop using the team's prompts" },
  }
  for _, key in ipairs({ 'a', 'd' }) do
    pcall(vim.keymap.del, 'n', key, { buffer = buffer })
    local hash, what = unpack(offered[key] or {})
    if hash then
      vim.keymap.set('n', key, function()
        use(connection, folder, hash, window)
      end, { buffer = buffer, nowait = true, desc = 'hearth: ' .. what })
    end
  end
end

-- Shows the prompts of the current buffer's workspace, and asks.
function M.run()
  local connection = jobs.connection()
  if not connection then
    return say(client.why_not(vim.api.nvim_get_current_buf()), vim.log.levels.WARN)
  end
  jobs.execute(connection, 'teamPrompts', vim.empty_dict(), function(result)
    local folders = vim.tbl_filter(function(folder)
      return folder.hash ~= '' or #folder.ignored > 0
    end, result.folders)
    if #folders == 0 then
      return say('there are no prompts of a team here (.hearth/prompts/NAME.md)')
    end
    if #folders == 1 then
      return review(connection, folders[1])
    end
    vim.ui.select(folders, { prompt = "The team's prompts", format_item = name_of }, function(folder)
      if folder then
        review(connection, folder)
      end
    end)
  end)
end

-- ── What has changed since it was applied is told of, once ────────────────────────────────────────

local function look(client_id)
  local connection = vim.lsp.get_client_by_id(client_id)
  local provider = connection and connection.server_capabilities.executeCommandProvider
  if type(provider) ~= 'table' or not vim.tbl_contains(provider.commands or {}, list_command) then
    return
  end
  local params = { command = list_command, arguments = { vim.empty_dict() } }
  client.request(connection, 'workspace/executeCommand', params, nil, function(failure, result)
    for _, folder in ipairs(not failure and result.folders or {}) do
      if state_of(folder) == 'changed' and not told[folder.hash] then
        told[folder.hash] = true
        say("the team's prompts have changed: see :Hearth team")
      end
    end
  end)
end

-- When it matters: no watcher of files sees all changes.
local function look_soon(client_id)
  if looking[client_id] then
    return
  end
  looking[client_id] = true
  vim.defer_fn(function()
    looking[client_id] = nil
    look(client_id)
  end, look_after)
end

jobs.on_change(function(job)
  if not seen[job.id] and not job.away then
    seen[job.id] = true
    look_soon(job.client_id)
  end
end)
client.on_attach(look_soon)

return M
