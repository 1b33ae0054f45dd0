-- :Hearth: its subcommands, what they complete, and which job is meant.
local client = require('hearth.client')
local jobs = require('hearth.jobs')

local M = {}

local function say(message, level)
  vim.notify('hearth: ' .. message, level or vim.log.levels.WARN)
end

-- The connection for what is about no job of this Neovim's; says so where there is none.
local function connection()
  local found = jobs.connection()
  if not found then
    say(client.why_not(vim.api.nvim_get_current_buf()))
  end
  return found
end

-- ── Which job ──────────────────────────────────────────────────────────────────────────────────

local function any()
  return true
end

-- The number that was given, else of the jobs for which `condition` holds that of the current window,
-- the youngest about the current file, or the youngest. Nil, and says so, where there is none.
local function number_of(word, condition, nothing)
  if word ~= '' then
    if not word:find('^%d+$') then
      return say(("'%s' is not the number of a job (:Hearth jobs lists them)"):format(word))
    end
    return tonumber(word)
  end
  local here = require('hearth.answer').job_here()
  local uri = vim.uri_from_bufnr(0)
  local job = here and (here.away or condition(here)) and here
    or jobs.youngest(function(each)
      return each.state.uri == uri and condition(each)
    end)
    or jobs.youngest(condition)
  if not job then
    return say(nothing)
  end
  return job.id
end

-- Shows the answer of job `id`: of one that another editor shows, as far as it is now.
local function open(id)
  local job = jobs.find(id)
  if not job or job.away then
    local told, complaint = require('hearth.program').ask_json('jobs', 'show', tostring(id), '--json')
    if not told then
      return say(complaint)
    end
    job = jobs.add(told, told.text or '')
  end
  require('hearth.answer').open(job)
end

local function show_prompt(id)
  local found = jobs.connection(id) or connection()
  if found then
    jobs.execute(found, 'showPrompt', { job = id })
  end
end

-- ── :Hearth jobs ───────────────────────────────────────────────────────────────────────────────

-- What can be done with a job, in the order in which it is offered.
local choices = {
  { 'apply', 'Make its change' },
  { 'dismiss', 'Drop its change' },
  { 'resume', 'Go on with it' },
  { 'pause', 'Pause it' },
  { 'open', 'Show its answer' },
  { 'retry', 'Try it again' },
  { 'cancel', 'Stop it' },
  { 'prompt', 'Show what the model was shown' },
}

local function second(pair)
  return pair[2]
end

local function choose_for(state)
  local offered = vim.tbl_filter(function(choice)
    local verb = choice[1]
    return verb == 'open' or verb == 'prompt' or jobs.applies(verb, { state = state })
  end, choices)
  vim.cmd('redraw') -- Neovim's own menu leaves what was typed in its way
  vim.ui.select(offered, { prompt = state.title, format_item = second }, function(choice)
    local verb = choice and choice[1]
    if verb == 'open' then
      open(state.id)
    elseif verb == 'prompt' then
      show_prompt(state.id)
    elseif verb then
      jobs.tell(state.id, verb)
    end
  end)
end

-- The message says the state, too. The number comes last: menus have numbers of their own.
local function title_of(state)
  return ('%s: %s (job %d)'):format(state.title, state.message, state.id)
end

-- The workspace's jobs, the youngest first.
local function pick_job()
  local here = require('hearth.answer').job_here()
  local found = here and jobs.connection(here.id) or connection()
  if not found then
    return
  end
  jobs.ask(found, function(failure, status)
    local states = failure and {} or status.jobs or {}
    if #states == 0 then
      return say(failure or 'there are no jobs here', not failure and vim.log.levels.INFO or nil)
    end
    table.sort(states, function(one, other)
      return one.id > other.id
    end)
    vim.ui.select(states, { prompt = 'Jobs', format_item = title_of }, function(state)
      if state then
        choose_for(state)
      end
    end)
  end)
end

-- ── What is about no job ───────────────────────────────────────────────────────────────────────

-- The current file goes with every action, or (`off`) no longer.
local function pin(word)
  if word ~= '' and word ~= 'off' then
    return say(("pin takes 'off' or nothing, not '%s'"):format(word))
  end
  local buffer = vim.api.nvim_get_current_buf()
  local found = client.of(buffer)
  if not found then
    return say(client.why_not(buffer))
  end
  jobs.execute(found, 'pin', { uri = vim.uri_from_bufnr(buffer), pinned = word ~= 'off' }, function(result)
    local names = vim.tbl_map(function(uri)
      return vim.fn.fnamemodify(vim.uri_to_fname(uri), ':~:.')
    end, result.pinned)
    local text = #names == 0 and 'no file is shown with every action'
      or 'shown with every action: ' .. table.concat(names, ', ')
    say(text, vim.log.levels.INFO)
  end)
end

-- No ghost text unasked, for 30 minutes or as many as are given.
local function snooze(word)
  local minutes = word == '' and 30 or tonumber(word)
  if not minutes or minutes ~= math.floor(minutes) then
    return say(("'%s' is no number of minutes"):format(word))
  end
  local found = connection()
  if found then
    jobs.execute(found, 'snooze', { minutes = minutes }, function()
      local text = minutes == 0 and 'ghost text comes again'
        or ('no ghost text for %d min; :Hearth snooze 0 brings it back'):format(minutes)
      say(text, vim.log.levels.INFO)
    end)
  end
end

-- An action on each file that matches, in the background: PATTERN ACTION what is wanted.
local function run_on_files(words)
  local pattern, action, instruction = words:match('^(%S+)%s+(%S+)%s*(.*)$')
  if not pattern then
    return say('say on which files and what: :Hearth files *.py edit add type hints')
  end
  local found = connection()
  if not found then
    return
  end
  local arguments = { files = { pattern }, action = action, instruction = instruction }
  jobs.execute(found, 'runOnFiles', arguments, function(result)
    local text = ('%d files, one after the other: :Hearth jobs shows how far it is, '
      .. ':Hearth cancel %d stops it, :Hearth apply %d makes the changes'):format(result.files, result.batch, result.batch)
    say(text, vim.log.levels.INFO)
  end)
end

-- A list of all changes that wait, and the window that shows it.
local function list_changes()
  if require('hearth.quickfix').fill('changes that wait', any) == 0 then
    return say('no change waits')
  end
  vim.cmd('copen')
end

-- The end of the daemon's log.
local function show_log()
  local status, complaint = require('hearth.program').ask_json('status', '--json')
  if not status then
    return say(complaint)
  end
  vim.cmd('split ' .. vim.fn.fnameescape(status.log))
  vim.cmd('setlocal readonly nomodifiable autoread | normal! G')
end

-- ── The subcommands ────────────────────────────────────────────────────────────────────────────

-- name → run(words), complete(): what may follow
local subcommands = {
  jobs = { run = pick_job },
  job = {
    run = function(word)
      local id = number_of(word, any, 'there was no job yet')
      if id then
        open(id)
      end
    end,
    complete = function()
      return jobs.numbers(any)
    end,
  },
  prompt = {
    run = function(word)
      local id = number_of(word, any, 'there was no job yet')
      if id then
        show_prompt(id)
      end
    end,
    complete = function()
      return jobs.numbers(any)
    end,
  },
  status = {
    run = function()
      require('hearth').status()
    end,
  },
  pin = {
    run = pin,
    complete = function()
      return { 'off' }
    end,
  },
  snooze = { run = snooze },
  files = { run = run_on_files },
  changes = { run = list_changes },
  team = {
    run = function()
      require('hearth.team').run()
    end,
  },
  log = { run = show_log },
}

local nothing_to = {
  pause = 'nothing runs',
  resume = 'no job is paused',
  cancel = 'nothing runs',
  retry = 'no job has failed or was stopped',
  apply = 'no change waits',
  dismiss = 'no change waits',
}
for verb, nothing in pairs(nothing_to) do
  local function condition(job)
    return jobs.applies(verb, job)
  end
  subcommands[verb] = {
    run = function(word)
      local id = number_of(word, condition, nothing)
      if id then
        jobs.tell(id, verb)
      end
    end,
    complete = function()
      return jobs.numbers(condition)
    end,
  }
end

-- Whether the server is there or not; it may have more.
local main_actions = { 'explain', 'ask', 'edit', 'fix' }

local function action_names()
  local names = vim.deepcopy(main_actions)
  for _, name in ipairs(require('hearth.actions').names()) do
    if not vim.tbl_contains(names, name) then
      table.insert(names, name)
    end
  end
  return names
end

-- `first` and `last`: the lines that an action is for; nil: the function around the cursor. `review`: a
-- change of code waits for a look at it.
function M.run(name, words, first, last, review)
  if name == 'chat' then
    return require('hearth.chat').open(first, last, words)
  end
  local subcommand = subcommands[name]
  if subcommand then
    return subcommand.run(words)
  end
  if not vim.tbl_contains(action_names(), name) then
    local what = name == '' and 'say what is to be done' or ('there is no :Hearth %s'):format(name)
    return say(what .. ' (:Hearth <Tab> lists it, :help :Hearth explains it)')
  end
  require('hearth.actions').run(first, last, name, words ~= '' and words or nil, review)
end

function M.complete(beginning, line)
  local name, rest = line:match('Hearth!?%s+(%S+)%s+(.*)$')
  local candidates
  if not name then
    candidates = vim.tbl_filter(function(action)
      return action ~= 'chat' -- which is a subcommand here
    end, action_names())
    table.insert(candidates, 'chat')
    vim.list_extend(candidates, vim.tbl_keys(subcommands))
    table.sort(candidates)
  elseif rest == beginning and subcommands[name] and subcommands[name].complete then
    candidates = vim.tbl_map(tostring, subcommands[name].complete())
  elseif not subcommands[name] then
    return require('hearth.attached').complete(beginning)
  end
  return vim.tbl_filter(function(candidate)
    return vim.startswith(candidate, beginning)
  end, candidates or {})
end

return M
