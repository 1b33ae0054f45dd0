-- :HearthExplain: asks the server what it offers for the selection and chooses *Explain selection*.
-- The answer comes as a job.
local client = require('hearth.client')
local position = require('hearth.position')

local M = {}

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

function M.run(first, last)
  local buffer = vim.api.nvim_get_current_buf()
  local connection = client.of(buffer)
  if not connection then
    return say(client.why_not(buffer))
  end
  local document = { uri = vim.uri_from_bufnr(buffer) }
  local params = {
    textDocument = document,
    range = lsp_range(buffer, first, last, connection.offset_encoding or 'utf-16'),
    context = { diagnostics = {}, only = { 'hearth.explain' }, triggerKind = 1 },
  }
  client.request(connection, 'textDocument/codeAction', params, buffer, function(err, actions)
    if err then
      return say(err.message)
    end
    for _, action in ipairs(actions or {}) do
      if action.disabled then
        return say(action.disabled.reason)
      end
      if action.kind == 'hearth.explain' and action.command then
        local command = { command = action.command.command, arguments = action.command.arguments }
        return client.request(connection, 'workspace/executeCommand', command, buffer, function(failure)
          if failure then
            say(failure.message)
          end
        end)
      end
    end
    say('nothing to explain here: select some code')
  end)
end

return M
