-- :HearthAction and :HearthExplain: asks the server what it offers for some lines and chooses one of
-- it. Which actions there are is the server's affair; the answer comes as a job.
local client = require('hearth.client')
local position = require('hearth.position')

local M = {}

local prefix = 'hearth.' -- of the kinds of all that answers

local function say(message)
  vim.notify('hearth: ' .. message, vim.log.levels.WARN)
end

-- Whole lines, from 1, both included.
local function lsp_range(buffer, first, last, encoding)
  local text = vim.api.nvim_buf_get_lines(buffer, last - 1, last, false)[1] or ''
  return {
    start = { line = first - 1, character = 0 },
    ['end'] = position.to_lsp(buffer, last - 1, #text, encoding),
  }
end

local function choose(connection, buffer, action)
  local command = { command = action.command.command, arguments = action.command.arguments }
  client.request(connection, 'workspace/executeCommand', command, buffer, function(failure)
    if failure then
      say(failure.message)
    end
  end)
end

-- The names of the actions that this buffer's server has: "explain".
function M.names()
  local connection = client.of(vim.api.nvim_get_current_buf())
  local provider = connection and connection.server_capabilities.codeActionProvider
  local names = {}
  for _, kind in ipairs(type(provider) == 'table' and provider.codeActionKinds or {}) do
    if vim.startswith(kind, prefix) then
      table.insert(names, kind:sub(#prefix + 1))
    end
  end
  return names
end

-- The action `name` for whole lines of the current buffer, or one that is chosen from a menu.
function M.run(first, last, name)
  local buffer = vim.api.nvim_get_current_buf()
  local connection = client.of(buffer)
  if not connection then
    return say(client.why_not(buffer))
  end
  local params = {
    textDocument = { uri = vim.uri_from_bufnr(buffer) },
    range = lsp_range(buffer, first, last, connection.offset_encoding or 'utf-16'),
    context = { diagnostics = {}, only = { name and prefix .. name or 'hearth' }, triggerKind = 1 },
  }
  client.request(connection, 'textDocument/codeAction', params, buffer, function(err, actions)
    if err then
      return say(err.message)
    end
    local offered, refused = {}, nil
    for _, action in ipairs(actions or {}) do
      if action.disabled then
        refused = refused or action.disabled.reason
      elseif type(action.command) == 'table' then
        table.insert(offered, action)
      end
    end
    if #offered == 0 then
      return say(refused or ('there is no action %s here'):format(name or 'at all'))
    end
    if name then
      return choose(connection, buffer, offered[1])
    end
    vim.ui.select(offered, {
      prompt = 'hearth',
      format_item = function(action)
        return action.title
      end,
    }, function(action)
      if action then
        choose(connection, buffer, action)
      end
    end)
  end)
end

return M
