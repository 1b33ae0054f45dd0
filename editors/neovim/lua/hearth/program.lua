-- Asks the program `hearth` what only its commands tell: other words than `lsp`. Waits for the answer.
local config = require('hearth.config')

local M = {}

local timeout_ms = 10000

-- Its exit code (nil where it did not end in time), standard output, and its last line on standard
-- error.
function M.ask(...)
  local command = {}
  for _, word in ipairs(config.current.cmd) do
    if word == 'lsp' then
      break
    end
    table.insert(command, word)
  end
  vim.list_extend(command, { ... })
  local out, said
  local options = { stdout_buffered = true, stderr_buffered = true }
  function options.on_stdout(_, lines)
    out = table.concat(lines, '\n')
  end
  function options.on_stderr(_, lines)
    said = vim.trim(table.concat(lines, '\n')):match('[^\n]*$'):gsub('^hearth: ', '')
  end
  local job = vim.fn.jobstart(command, options)
  local code = job > 0 and vim.fn.jobwait({ job }, timeout_ms)[1] or -1
  if code == -1 then
    vim.fn.jobstop(job)
    return nil, '', 'no answer within ten seconds'
  end
  vim.wait(1000, function() -- the streams are handed over after the exit code
    return out and said
  end, 10)
  return code, out or '', said or ''
end

-- What it answers as JSON; or nil and why not.
function M.ask_json(...)
  local code, said, complaint = M.ask(...)
  if code ~= 0 then
    return nil, complaint ~= '' and complaint or 'no answer'
  end
  local read, answer = pcall(vim.fn.json_decode, said)
  if not read or type(answer) ~= 'table' then
    return nil, ("the answer of 'hearth %s' is not understood"):format(table.concat({ ... }, ' '))
  end
  return answer
end

return M
