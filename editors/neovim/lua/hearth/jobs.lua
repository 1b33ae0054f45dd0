-- What the daemon is doing for this editor: its jobs as hearth/jobState tells them, the model's
-- state, both in a few words for a status line, and what a person says about a job. Shows nothing
-- itself.
local client = require('hearth.client')

local M = {}

-- A job, as long as this Neovim runs:
--   id, client_id (the last that told of it), state (the last hearth/jobState), text (the answer so
--   far, or the change of a waiting job), thought (before the answer, so far),
--   dropped (a person here has dismissed its change),
--   outcome (what a person here made of its change, hunk by hunk; nil: all of it, or nothing),
--   claimed (something else than the answer's window shows it),
--   away (no client here tells of it: its own is gone, or another editor shows it),
--   begins_anew (its next state brings all of its text)
local jobs = {} -- by id: no two jobs have the same one, whichever daemon they run in
local models = {} -- client id → `model` of its last hearth/status
local model = nil -- the last of these
local listeners = {}
local asked = 0 -- actions of which no job tells yet
local completing = false -- an inline completion is asked for
local signature = nil -- who wrote the one that shows, where that is said

local ended = { done = true, failed = true, cancelled = true }
local stands = { paused = true, waiting = true } -- until a person says something

-- function(job), called after every change of a job.
function M.on_change(listener)
  table.insert(listeners, listener)
end

local function changed(job)
  for _, listener in ipairs(listeners) do
    listener(job)
  end
  vim.cmd('redrawstatus')
end

function M.has_ended(job)
  return ended[job.state.state] == true
end

-- The model works on it, or is to.
function M.runs(job)
  return not ended[job.state.state] and not stands[job.state.state] and not job.away
end

function M.waits(job)
  return job.state.state == 'waiting'
end

-- What a person may say of a job, and of which ones.
local applies = {
  pause = M.runs,
  resume = function(job)
    return job.state.state == 'paused'
  end,
  cancel = function(job)
    return not M.has_ended(job)
  end,
  retry = function(job)
    return job.state.state == 'failed' or job.state.state == 'cancelled'
  end,
  apply = M.waits,
  dismiss = M.waits,
}

function M.applies(verb, job)
  return not job.away and applies[verb](job)
end

local claims = {} -- client id → { action, callback } for its next new job

-- The next job of `action` that this client tells of belongs to callback(job), which shows it itself: it
-- is `claimed`. Without an action, no longer.
function M.claim(client_id, action, callback)
  claims[client_id] = action and { action = action, callback = callback } or nil
end

client.on('hearth/jobState', function(client_id, state)
  local job = jobs[state.id]
  local claim = not job and claims[client_id]
  job = job or { id = state.id, text = '', thought = '' }
  jobs[state.id] = job
  if claim and claim.action == state.action then
    claims[client_id] = nil
    job.claimed = true
    job.client_id, job.state = client_id, state
    claim.callback(job)
  end
  -- One that is tried again begins with nothing, and a change is in the code once it is made.
  local tried_again = job.state and M.has_ended(job) and not ended[state.state]
  local gone = state.edits and (ended[state.state] or state.state == 'waiting')
  local kept = not (tried_again or gone or job.begins_anew) and job.text or ''
  job.client_id, job.state, job.away, job.begins_anew = client_id, state, nil, nil
  job.outcome = not tried_again and job.outcome or nil
  job.text = state.text or kept
  job.thought = state.thought or (tried_again and '' or job.thought)
  changed(job)
end)

for method, part in pairs({ ['hearth/textDelta'] = 'text', ['hearth/thoughtDelta'] = 'thought' }) do
  client.on(method, function(_, delta)
    local job = jobs[delta.id]
    if job then
      job[part] = job[part] .. delta.text
      changed(job)
    end
  end)
end

-- What hearth/status says of this client's jobs. Their text comes with hearth/jobState, so does the
-- change of a waiting one.
local function reconcile(client_id, status)
  local told = {}
  for _, state in ipairs(status.jobs or {}) do
    told[state.id] = state
  end
  for id, job in pairs(jobs) do
    local state = told[id]
    if job.client_id ~= client_id or M.has_ended(job) then
      state = job.state
    elseif not state then
      state = vim.tbl_extend('force', job.state, { state = 'failed', message = 'lost: the daemon does not know it' })
    end
    if state.state ~= job.state.state and state.state ~= 'waiting' then
      job.state = state
      changed(job)
    end
  end
end

client.on('hearth/status', function(client_id, status)
  local before = models[client_id]
  if before and before.state ~= 'loading' and status.model.state == 'loading' then
    -- Another daemon. It goes on from what was written down, which may be less than what came here.
    for _, job in pairs(jobs) do
      job.begins_anew = job.begins_anew or job.client_id == client_id and not M.has_ended(job)
    end
  end
  models[client_id] = status.model
  model = status.model
  reconcile(client_id, status)
  vim.cmd('redrawstatus')
end)

client.on_exit(function(client_id)
  models[client_id] = nil
  for _, job in pairs(jobs) do
    if job.client_id == client_id and not M.has_ended(job) then
      job.away, job.begins_anew = true, true
      job.state = vim.tbl_extend('force', job.state, { message = 'hearth has gone from here; the job goes on' })
      changed(job)
    end
  end
end)

function M.find(id)
  return jobs[id]
end

-- A job that another editor shows, as the program told of it.
function M.add(state, text)
  local job = jobs[state.id] or { id = state.id }
  jobs[state.id] = job
  job.state, job.text, job.away, job.begins_anew = state, text, true, true
  job.thought = state.thought or ''
  changed(job)
  return job
end

-- How many there were so far.
function M.count()
  return vim.tbl_count(jobs)
end

-- The youngest job for which `condition` holds, or nil.
function M.youngest(condition)
  local youngest
  for id, job in pairs(jobs) do
    if condition(job) and (not youngest or id > youngest.id) then
      youngest = job
    end
  end
  return youngest
end

-- The youngest one of which `verb` may be said, or nil.
function M.youngest_for(verb)
  return M.youngest(function(job)
    return M.applies(verb, job)
  end)
end

-- The youngest job that still runs, or nil.
function M.running()
  return M.youngest(M.runs)
end

-- The numbers of those for which `condition` holds, the youngest first.
function M.numbers(condition)
  local numbers = {}
  for id, job in pairs(jobs) do
    if condition(job) then
      table.insert(numbers, id)
    end
  end
  table.sort(numbers, function(one, other)
    return one > other
  end)
  return numbers
end

-- The connection that a job is spoken of on: the one that told of it, else the current buffer's, else
-- any.
function M.connection(id)
  local job = id and jobs[id]
  return job and not job.away and vim.lsp.get_client_by_id(job.client_id) or client.of(0) or client.any()
end

-- Executes hearth.session.NAME; callback(result) where it succeeds.
function M.execute(connection, name, argument, callback)
  local params = { command = 'hearth.session.' .. name, arguments = { argument } }
  client.request(connection, 'workspace/executeCommand', params, nil, function(err, result)
    if err then
      local why_not = err.message:gsub('^workspace/executeCommand: ', '') -- which a person did not type
      return vim.notify('hearth: ' .. why_not, vim.log.levels.WARN)
    end
    if callback then
      callback(result)
    end
  end)
end

-- A person says something of job `id`: 'pause', 'resume', 'cancel', 'retry', 'apply' or 'dismiss'.
-- hearth/jobState tells what comes of it; why nothing does is said.
function M.tell(id, verb)
  local connection = M.connection(id)
  if not connection then
    return vim.notify('hearth: ' .. client.why_not(vim.api.nvim_get_current_buf()), vim.log.levels.WARN)
  end
  local job = jobs[id]
  if job then
    job.dropped = verb == 'dismiss'
  end
  if job and verb == 'cancel' and M.applies(verb, job) then -- seen at once; the daemon says when it has stopped
    job.state.message = 'stopping'
    changed(job)
  end
  M.execute(connection, verb, { job = id })
end

-- "Explain average: prefilling 120 of 340 tokens, about 12 s left"
function M.describe(job)
  local outcome = job.outcome and M.has_ended(job) and ', ' .. job.outcome or ''
  return ('%s: %s%s'):format(job.state.title, job.state.message, outcome)
end

-- "17% 12 s", of a job or of the model while it loads.
local function progress(state)
  local eta = state.etaMs and (' %d s'):format(math.ceil(state.etaMs / 1000)) or ''
  return ('%d%%%s'):format(state.percentage or 0, eta)
end

-- "ember", "loading", "loading 17% 12 s", "failed"; behind it other machines that texts are sent to.
local function describe_model(state)
  local about = state.percentage and state.state .. ' ' .. progress(state) or state.state
  if state.state == 'ready' and state.name then
    about = state.name
  end
  return state.sentTo and ('%s → %s'):format(about, table.concat(state.sentTo, ', ')) or about
end

-- "hearth 17% 12 s", "hearth: asking", "hearth: completing", "hearth: by qwen at gpu.example.org" of ghost
-- text, "hearth: a change waits", "hearth: paused", "hearth: ember", "hearth: qwen → gpu.example.org",
-- "hearth: loading 17% 12 s", or nothing where no buffer is attached.
function M.statusline()
  local job = M.running()
  if job then
    return 'hearth ' .. progress(job.state)
  end
  if asked > 0 or completing then
    return asked > 0 and 'hearth: asking' or 'hearth: completing'
  end
  if signature then
    return 'hearth: by ' .. signature
  end
  if M.youngest_for('apply') then
    return 'hearth: a change waits'
  end
  if M.youngest_for('resume') then
    return 'hearth: paused'
  end
  if not model or not client.any() then
    return ''
  end
  return 'hearth: ' .. describe_model(model)
end

-- Something was asked for, and nothing is told of it yet: until what it returns is called, once.
function M.asking()
  asked = asked + 1
  vim.cmd('redrawstatus')
  return function()
    asked = asked - 1
    vim.cmd('redrawstatus')
  end
end

-- The same of an inline completion.
function M.completing(is_asked)
  if completing ~= is_asked then
    completing = is_asked
    vim.cmd('redrawstatus')
  end
end

-- Who wrote the ghost text that shows; nil: nobody is named. Comes in the middle of a redraw, too.
function M.signed(by)
  if signature ~= by then
    signature = by
    vim.schedule(function()
      vim.cmd('redrawstatus')
    end)
  end
end

-- Asks the daemon for its hearth/status: callback(err, status).
function M.ask(connection, callback)
  client.request(connection, 'hearth/status', vim.empty_dict(), nil, function(err, status)
    if err then
      return callback('hearth: ' .. (err.message or 'no answer'))
    end
    reconcile(connection.id, status)
    callback(nil, status)
  end)
end

-- The daemon's version, the model and the workspace's jobs: callback(lines).
function M.report(callback)
  local connection = M.connection()
  if not connection then
    return callback({ 'hearth: ' .. client.why_not(vim.api.nvim_get_current_buf()) })
  end
  M.ask(connection, function(failure, status)
    if failure then
      return callback({ failure })
    end
    local about = describe_model(status.model)
    if status.model.error then
      about = about .. ': ' .. status.model.error
    end
    local lines = { ('hearth %s, model: %s'):format(status.version, about) }
    for _, state in ipairs(status.jobs or {}) do
      table.insert(lines, ('  %d  %-10s  %s: %s'):format(state.id, state.state, state.title, state.message))
    end
    callback(lines)
  end)
end

return M
