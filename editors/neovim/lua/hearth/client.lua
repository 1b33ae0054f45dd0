-- The connection to `hearth lsp`: one client for each project, and what differs between Neovims in
-- starting one and asking it. Knows no feature: those register handlers.
local config = require('hearth.config')

local M = {}

local since_0_11 = vim.fn.has('nvim-0.11') == 1
local started = {} -- project folder → client id
local handlers = {} -- method → function(client_id, params)
local attach_listeners = {}
local exit_listeners = {}

-- Features call this at load: notifications of `method` go to `handler`.
function M.on(method, handler)
  handlers[method] = handler
end

-- function(client_id, buffer), called when a buffer is attached.
function M.on_attach(listener)
  table.insert(attach_listeners, listener)
end

-- function(client_id), called when a client is gone.
function M.on_exit(listener)
  table.insert(exit_listeners, listener)
end

local function root_of(buffer)
  local folder = vim.fn.fnamemodify(vim.api.nvim_buf_get_name(buffer), ':p:h')
  for _, marker in ipairs(config.current.root_markers) do
    local above = vim.fn.escape(folder, ' ,;') .. ';'
    local found = vim.fn.finddir(marker, above)
    if found == '' then
      found = vim.fn.findfile(marker, above)
    end
    if found ~= '' then
      return vim.fn.fnamemodify(found, ':p:s?/$??:h')
    end
  end
  return folder
end

local language_ids = { sh = 'shellscript', bash = 'shellscript' }

local function client_config(root)
  local wrapped = {}
  for method, handler in pairs(handlers) do
    wrapped[method] = function(err, result, ctx)
      if not err and type(result) == 'table' then
        handler(ctx.client_id, result)
      end
    end
  end
  return {
    name = 'hearth',
    cmd = config.current.cmd,
    root_dir = root,
    handlers = wrapped,
    init_options = {
      hearth = { protocol = 1, features = { 'jobs', 'inlineCompletion', 'status' } },
    },
    get_language_id = function(_, filetype)
      return language_ids[filetype] or filetype
    end,
    on_attach = function(client, buffer)
      for _, listener in ipairs(attach_listeners) do
        listener(client.id, buffer)
      end
    end,
    on_exit = vim.schedule_wrap(function(_, _, client_id)
      if started[root] == client_id then
        started[root] = nil
      end
      for _, listener in ipairs(exit_listeners) do
        listener(client_id)
      end
    end),
  }
end

local function start(options)
  if since_0_11 then
    return vim.lsp.start(options, { attach = false })
  end
  return vim.lsp.start_client(options)
end

-- Attaches the buffer to its project's client, and starts that where there is none. Says so when
-- the program is not there; a missing program must not stop a person from editing.
local warned = false
function M.attach(buffer)
  if vim.bo[buffer].buftype ~= '' or vim.api.nvim_buf_get_name(buffer) == '' then
    return
  end
  local program = config.current.cmd[1]
  if vim.fn.executable(program) == 0 then
    if not warned then
      warned = true
      vim.notify(("hearth: there is no program '%s'; set cmd in setup()"):format(program), vim.log.levels.WARN)
    end
    return
  end
  local root = root_of(buffer)
  local id = started[root]
  if not id then
    id = start(client_config(root))
    started[root] = id
  end
  if id then
    vim.lsp.buf_attach_client(buffer, id)
  end
end

-- The client of a buffer (0: the current one), once it has answered `initialize`; else nil.
function M.of(buffer)
  buffer = buffer == 0 and vim.api.nvim_get_current_buf() or buffer
  for _, id in pairs(started) do
    local client = vim.lsp.get_client_by_id(id)
    if client and client.initialized and vim.lsp.buf_is_attached(buffer, id) then
      return client
    end
  end
end

-- Any client at all: questions about the daemon have the same answer everywhere.
function M.any()
  for _, id in pairs(started) do
    local client = vim.lsp.get_client_by_id(id)
    if client and client.initialized then
      return client
    end
  end
end

-- callback(err, result) on the main loop. The id for cancel(), or nil when the client is gone.
function M.request(client, method, params, buffer, callback)
  local function answered(err, result)
    callback(err, result)
  end
  local ok, id
  if since_0_11 then
    ok, id = client:request(method, params, answered, buffer)
  else
    ok, id = client.request(method, params, answered, buffer)
  end
  return ok and id or nil
end

function M.cancel(client, id)
  if since_0_11 then
    client:cancel_request(id)
  else
    client.cancel_request(id)
  end
end

return M
