-- The connection to `hearth lsp`: one client for each project, and what differs between Neovims in
-- starting one and asking it. Knows no feature: those register handlers.
local config = require('hearth.config')

local M = {}

local since_0_11 = vim.fn.has('nvim-0.11') == 1
local started = {} -- project folder → client id
local clients = {} -- id → true, for all of ours, whoever started them
local ended = {} -- project folder → how its last client ended, where it was not asked to
local refusal = 'setup() was not called' -- why nothing is attached at all; nil once it may be
local handlers = {} -- method → function(client_id, params)
local taken = {} -- client id → title of a change of which a person has made here what they want
local attach_listeners = {}
local exit_listeners = {}

-- Features call this at load: notifications of `method` go to `handler`.
function M.on(method, handler)
  handlers[method] = handler
end

-- Of the change `title` that the server is about to send a person has made here the parts that they
-- want: it is answered as made, as that of a client which asks before each part. Nil: no longer.
function M.has_taken(client_id, title)
  taken[client_id] = title
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

-- A client that offers nothing says why in its first message, and can do nothing else: the next
-- attempt is to begin anew.
local function heed_refusal(root, client, message)
  if client and not client.server_capabilities.executeCommandProvider then
    ended[root or client.config.root_dir or ''] = message
    if since_0_11 then
      client:stop(true)
    else
      client.stop(true)
    end
  end
end

local function client_config(root)
  local wrapped = {}
  for method, handler in pairs(handlers) do
    wrapped[method] = function(err, result, ctx)
      if not err and type(result) == 'table' then
        handler(ctx.client_id, result)
      end
    end
  end
  wrapped['window/showMessage'] = function(err, message, ctx, options)
    heed_refusal(root, vim.lsp.get_client_by_id(ctx.client_id), message.message)
    return vim.lsp.handlers['window/showMessage'](err, message, ctx, options)
  end
  -- Annotated, Neovim ≥ 0.12 would ask before each change and tell of it in several lines, which want a
  -- key; `:Hearth!` is there for who wants to look first.
  wrapped['workspace/applyEdit'] = function(err, params, ctx, options)
    local chosen = taken[ctx.client_id]
    if chosen and params and params.label == chosen then
      taken[ctx.client_id] = nil
      return { applied = true }
    end
    local edit = params and params.edit or {}
    edit.changeAnnotations = nil
    for _, change in ipairs(edit.documentChanges or {}) do
      for _, each in ipairs(change.edits or {}) do
        each.annotationId = nil
      end
    end
    return vim.lsp.handlers['workspace/applyEdit'](err, params, ctx, options)
  end
  -- Every Neovim there is applies an edit for a certain version of a buffer; not every one says so.
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.workspace.workspaceEdit.documentChanges = true
  return {
    name = 'hearth',
    cmd = config.current.cmd,
    root_dir = root,
    capabilities = capabilities,
    handlers = wrapped,
    on_init = function(client)
      clients[client.id] = true
    end,
    init_options = {
      hearth = { protocol = 3, features = { 'jobs', 'inlineCompletion', 'status', 'thoughts' } },
    },
    get_language_id = function(_, filetype)
      return language_ids[filetype] or filetype
    end,
    on_attach = function(client, buffer)
      ended[root or client.config.root_dir] = nil
      for _, listener in ipairs(attach_listeners) do
        listener(client.id, buffer)
      end
    end,
    on_exit = vim.schedule_wrap(function(code, signal, client_id)
      clients[client_id] = nil
      if started[root] == client_id then
        started[root] = nil
        local how = signal ~= 0 and 'signal ' .. signal or 'exit code ' .. code
        ended[root] = ended[root] or how
      end
      for _, listener in ipairs(exit_listeners) do
        listener(client_id)
      end
    end),
  }
end

-- For vim.lsp.enable('hearth'): Neovim ≥ 0.11 finds the project and starts the client itself.
-- `begin()` is called before the first one.
function M.for_enable(begin)
  local options = client_config(nil)
  options.filetypes = config.current.filetypes
  options.root_markers = config.current.root_markers
  function options.before_init(_, resolved)
    config.current.cmd = resolved.cmd
    refusal = nil
    begin()
  end
  return options
end

local function start(options)
  if since_0_11 then
    return vim.lsp.start(options, { attach = false })
  end
  return vim.lsp.start_client(options)
end

-- After setup(): nil, or what was wrong with the options.
function M.configured(problem)
  refusal = problem and 'setup() refused the options: ' .. problem
end

-- Why no buffer is attached at all, or nil.
function M.refused()
  return refusal
end

local function missing_program()
  local program = config.current.cmd[1]
  if vim.fn.executable(program) == 0 then
    return ("there is no program '%s'; set cmd in setup()"):format(program)
  end
end

-- Attaches the buffer to its project's client, and starts that where there is none. Says so when
-- the program is not there; a missing program must not stop a person from editing.
local warned = false
function M.attach(buffer)
  if vim.bo[buffer].buftype ~= '' or vim.api.nvim_buf_get_name(buffer) == '' then
    return
  end
  local missing = missing_program()
  if missing then
    if not warned then
      warned = true
      vim.notify('hearth: ' .. missing, vim.log.levels.WARN)
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
    clients[id] = true
    vim.lsp.buf_attach_client(buffer, id)
  end
end

-- Why M.of(buffer) finds no client, for a person, and what to do. Where nothing stands against it,
-- the buffer is attached now.
function M.why_not(buffer)
  local options = vim.bo[buffer]
  if refusal then
    return refusal
  end
  if options.buftype ~= '' then
    return ("this window shows no file but a buffer of the type '%s'"):format(options.buftype)
  end
  if vim.api.nvim_buf_get_name(buffer) == '' then
    return 'this buffer has no name yet; :write NAME gives it one'
  end
  if options.filetype == '' then
    return "this buffer has no file type; ':set filetype=python', say, gives it one"
  end
  if not vim.tbl_contains(config.current.filetypes, options.filetype) then
    return ("the file type '%s' is not among the filetypes of setup()"):format(options.filetype)
  end
  local missing = missing_program()
  if missing then
    return missing
  end
  local command = table.concat(config.current.cmd, ' ')
  local how = ended[root_of(buffer)]
  M.attach(buffer)
  if how then
    return ("'%s' has ended and is started again; before: %s"):format(command, how)
  end
  return ("'%s' is only starting; try again in a moment"):format(command)
end

-- The names of the attached buffers' files.
function M.attached_buffers()
  local names = {}
  for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
    if M.of(buffer) then
      table.insert(names, vim.fn.fnamemodify(vim.api.nvim_buf_get_name(buffer), ':~:.'))
    end
  end
  return names
end

-- The client of a buffer (0: the current one), once it has answered `initialize`; else nil.
function M.of(buffer)
  buffer = buffer == 0 and vim.api.nvim_get_current_buf() or buffer
  for id in pairs(clients) do
    local client = vim.lsp.get_client_by_id(id)
    if client and client.initialized and vim.lsp.buf_is_attached(buffer, id) then
      return client
    end
  end
end

-- Any client at all: questions about the daemon have the same answer everywhere.
function M.any()
  for id in pairs(clients) do
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
