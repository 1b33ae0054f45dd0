-- :HearthAction and :HearthExplain: asks the server what it offers for some lines and chooses one of
-- it. Which actions there are is the server's affair; the answer comes as a job.
local client = require('hearth.client')
local config = require('hearth.config')
local progress = require('hearth.progress')
local position = require('hearth.position')

local M = {}

local prefix = 'hearth.server.' -- of the commands of all actions
local no_action = 'hearth.server.accepted' -- what is sent when ghost text was accepted

local function say(message)
  vim.notify('hearth: ' .. message, vim.log.levels.WARN)
end

-- Whole lines, from 1, both included. Without them the place of the cursor: the server takes the
-- function around it.
local function lsp_range(buffer, first, last, encoding)
  if not first then
    local at = vim.api.nvim_win_get_cursor(0)
    local here = position.to_lsp(buffer, at[1] - 1, at[2], encoding)
    return { start = here, ['end'] = here }
  end
  local text = vim.api.nvim_buf_get_lines(buffer, last - 1, last, false)[1] or ''
  return {
    start = { line = first - 1, character = 0 },
    ['end'] = position.to_lsp(buffer, last - 1, #text, encoding),
  }
end

-- refused(message), if it is. That it was asked for is seen until the daemon tells of the job, which it
-- does straight after its reply.
local function execute(connection, buffer, command, argument, refused)
  local params = { command = command, arguments = { argument } }
  local answered = progress.ask(buffer, argument.range.start.line, command:sub(#prefix + 1))
  local id = client.request(connection, 'workspace/executeCommand', params, buffer, function(failure)
    answered()
    if failure then
      refused(failure.message)
    end
  end)
  if not id then
    answered()
  end
end

-- An action that the server listed. Some need to be told in words what to do. `place`: as M.place() with
-- what is to go with every action, review and attached.
local function choose(connection, buffer, action, place)
  local argument = action.command.arguments[1]
  argument.review, argument.attached = place.review, place.attached
  if not argument.asks then
    return execute(connection, buffer, action.command.command, argument, say)
  end
  vim.ui.input({ prompt = argument.asks .. ' ' }, function(words)
    if words and words:find('%S') then
      argument.instruction = words
      execute(connection, buffer, action.command.command, argument, say)
    end
  end)
end

-- What the server offers for a place: callback(actions), which may be none.
local function list(connection, buffer, place, callback)
  local params = {
    textDocument = { uri = place.uri },
    range = place.range,
    context = { diagnostics = place.diagnostics, triggerKind = 1 },
  }
  client.request(connection, 'textDocument/codeAction', params, buffer, function(err, offered)
    if err then
      return say(err.message)
    end
    callback(offered or {})
  end)
end

-- What other servers and linters said about these lines, in the protocol's form.
local function diagnostics(buffer, first, last)
  local found = {}
  for _, each in ipairs(vim.diagnostic.get(buffer)) do
    local sent = each.user_data and each.user_data.lsp
    if sent and sent.range and (not first or (each.lnum >= first - 1 and each.lnum <= last - 1)) then
      table.insert(found, sent)
    end
  end
  return found
end

-- The names of the actions that this buffer's server has: "explain".
function M.names()
  local connection = client.of(vim.api.nvim_get_current_buf())
  local provider = connection and connection.server_capabilities.executeCommandProvider
  local names = {}
  for _, command in ipairs(type(provider) == 'table' and provider.commands or {}) do
    if vim.startswith(command, prefix) and command ~= no_action then
      table.insert(names, command:sub(#prefix + 1))
    end
  end
  return names
end

local function run_named(connection, buffer, name, place)
  if not vim.tbl_contains(M.names(), name) then
    return say(('there is no action %s'):format(name))
  end
  local command = prefix .. name
  execute(connection, buffer, command, place, function(why_not)
    if place.instruction then
      return say(why_not)
    end
    -- It may want words; then the server lists it with what it asks.
    list(connection, buffer, place, function(offered)
      for _, action in ipairs(offered) do
        if action.command.command == command and action.command.arguments[1].asks then
          return choose(connection, buffer, action, place)
        end
      end
      say(why_not)
    end)
  end)
end

-- Whole lines of the current buffer, as the arguments of an action have them.
function M.place(first, last)
  local buffer = vim.api.nvim_get_current_buf()
  local connection = client.of(buffer)
  return {
    uri = vim.uri_from_bufnr(buffer),
    range = lsp_range(buffer, first, last, connection and connection.offset_encoding or 'utf-16'),
    diagnostics = diagnostics(buffer, first, last),
  }
end

-- The action `name` for whole lines of the current buffer (nil: the function around the cursor), or one
-- that is chosen from a menu. `words`: what the person wants of it, for the actions that need to be told,
-- behind files that go with it (hearth.attached), which a change may change, too; may be nil. `review`: a change of
-- code waits for them to look at it.
function M.run(first, last, name, words, review)
  local buffer = vim.api.nvim_get_current_buf()
  local connection = client.of(buffer)
  if not connection then
    return say(client.why_not(buffer))
  end
  local attached, rest = require('hearth.attached').read(words or '')
  if not attached then
    return say(rest)
  end
  local place = M.place(first, last)
  place.instruction = rest ~= '' and rest or nil
  place.attached = #attached > 0 and attached or nil
  place.review = review or config.current.edits.review or nil
  if name then
    return run_named(connection, buffer, name, place)
  end
  list(connection, buffer, place, function(offered)
    if #offered == 0 then
      return say('there is no action here')
    end
    vim.ui.select(offered, {
      prompt = 'hearth',
      format_item = function(action)
        return action.title
      end,
    }, function(action)
      if action then
        choose(connection, buffer, action, place)
      end
    end)
  end)
end

return M
