-- hearth in a real Neovim, from the keys to the screen: runs the cases of neovim/*.lua, each in a
-- Neovim of its own.
local child = require('child')
local suite = require('suite')

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
local files = vim.fn.sort(vim.fn.glob(here .. '/neovim/*.lua', true, true))
for _, file in ipairs(files) do
  dofile(file)
end

local function say(text)
  io.stdout:write(text .. '\n')
  io.stdout:flush() -- what comes next may not end
end

local failures = 0
for _, test in ipairs(suite.cases) do
  local nvim
  local ok, problem = pcall(function()
    nvim = child.edit('stats.py', test.file or suite.average, test.options)
    test.run(nvim)
  end)
  say((ok and 'ok      ' or 'FAILED  ') .. test.name)
  if not ok then
    failures = failures + 1
    say('  ' .. tostring(problem))
    pcall(function()
      say('  the screen:\n    ' .. table.concat(nvim:screen(), '\n    '))
      say('  messages:\n' .. nvim:lua("return vim.api.nvim_exec('messages', true)"))
    end)
  end
  if nvim then
    nvim:close()
  end
end
say(('test cases: %d | %d passed | %d failed'):format(#suite.cases, #suite.cases - failures, failures))
vim.cmd(failures == 0 and 'qall!' or 'cquit 1')