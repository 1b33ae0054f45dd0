-- What the daemon is doing for this editor: its jobs as hearth/jobState tells them, the model's
-- state, and both in a few words for a status line. Shows nothing itself.
local client = require('hearth.client')

local M = {}

-- A job: { client_id, id, state (the last hearth/jobState), text (the answer so far) }
local jobs = {} -- by "client:id"
local order = {} -- oldest first
local model = nil -- of the last hearth/status
local listeners = {}

local ended = { done = true, failed = true, cancelled = true }

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

local function find(client_id, id)
  return jobs[client_id .. ':' .. id]
end

client.on('hearth/jobState', function(client_id, state)
  local job = find(client_id, state.id)
  if not job or M.has_ended(job) then -- a daemon that was started anew counts from one again
    job = { client_id = client_id, id = state.id, text = '' }
    jobs[client_id .. ':' .. state.id] = job
    table.insert(order, job)
  end
  job.state = state
  job.text = state.text or (state.edits and M.has_ended(job) and '') or job.text
  changed(job)
end)

client.on('hearth/textDelta', function(client_id, delta)
  local job = find(client_id, delta.id)
  if job then
    job.text = job.text .. delta.text
    changed(job)
  end
end)

-- Jobs of this client that nobody will speak of again.
local function give_up(client_id, known, why)
  for _, job in ipairs(order) do
    if job.client_id == client_id and not M.has_ended(job) and not known[job.id] then
      job.state = vim.tbl_extend('force', job.state, { state = 'failed', message = why })
      changed(job)
    end
  end
end

client.on('hearth/status', function(client_id, status)
  model = status.model
  local known = {}
  for _, state in ipairs(status.jobs or {}) do
    known[state.id] = true
  end
  give_up(client_id, known, 'lost: the daemon was started anew')
  vim.cmd('redrawstatus')
end)

client.on_exit(function(client_id)
  give_up(client_id, {}, 'lost: hearth has gone')
end)

function M.has_ended(job)
  return ended[job.state.state] == true
end

-- How many there were so far.
function M.count()
  return #order
end

-- The youngest job that still runs, or nil.
function M.running()
  for i = #order, 1, -1 do
    local job = order[i]
    if not M.has_ended(job) then
      return job
    end
  end
end

-- Asks the daemon to stop it; hearth/jobState says when it has.
function M.cancel(job)
  local connection = vim.lsp.get_client_by_id(job.client_id)
  if connection then
    client.request(connection, 'hearth/cancelJob', { id = job.id }, nil, function() end)
  end
end

-- "Explain average: prefilling 120 of 340 tokens, about 12 s left"
function M.describe(job)
  return ('%s: %s'):format(job.state.title, job.state.message)
end

-- "17% 12 s", of a job or of the model while it loads.
local function progress(state)
  local eta = state.etaMs and (' %d s'):format(math.ceil(state.etaMs / 1000)) or ''
  return ('%d%%%s'):format(state.percentage or 0, eta)
end

-- "ember", "loading", "loading 17% 12 s", "failed".
local function describe_model(state)
  if state.state == 'ready' and state.name then
    return state.name
  end
  return state.percentage and state.state .. ' ' .. progress(state) or state.state
end

-- "hearth 17% 12 s", "hearth: ember", "hearth: loading 17% 12 s", or nothing where no buffer is
-- attached.
function M.statusline()
  local job = M.running()
  if job then
    return 'hearth ' .. progress(job.state)
  end
  if not model or not client.any() then
    return ''
  end
  return 'hearth: ' .. describe_model(model)
end

-- Asks the daemon; callback(lines).
function M.report(callback)
  local connection = client.any()
  if not connection then
    return callback({ 'hearth: no buffer is attached' })
  end
  client.request(connection, 'hearth/status', vim.empty_dict(), nil, function(err, status)
    if err then
      return callback({ 'hearth: ' .. (err.message or 'no answer') })
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
