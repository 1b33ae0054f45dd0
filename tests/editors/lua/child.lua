-- A second Neovim, driven by keys and looked at on its screen (the grid that it would send to a
-- terminal). Waits for what a person would wait for; never asserts how long that took.
local M = {}
M.__index = M

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h:h')
local limit_ms = tonumber(vim.env.LIMIT or 120000) -- after which a test gives up, far beyond what a slow machine needs
local count = 0

function M.wait(what, condition)
  if not vim.wait(limit_ms, condition, 20) then
    error('waited in vain until ' .. what, 2)
  end
end

-- Starts it with `lines` as the file `name`, and waits until hearth is attached.
function M.edit(name, lines)
  count = count + 1
  local folder = ('%s/project-%d'):format(vim.env.HEARTH_SCRATCH, count)
  vim.fn.mkdir(folder .. '/.git', 'p')
  local self = setmetatable({ path = folder .. '/' .. name }, M)
  vim.fn.writefile(lines, self.path)
  local socket = folder .. '/nvim'
  self.job = vim.fn.jobstart({
    vim.env.NVIM_UNDER_TEST, '--headless', '-i', 'NONE', '-n', '-u', here .. '/init.lua',
    '--cmd', 'set lines=24 columns=100', '--listen', socket, self.path,
  })
  M.wait('Neovim listens', function()
    local ok, channel = pcall(vim.fn.sockconnect, 'pipe', socket, { rpc = true })
    self.channel = ok and channel or nil
    return ok
  end)
  M.wait('hearth is attached', function()
    return self:lua("return require('hearth.client').of(0) ~= nil")
  end)
  return self
end

function M:lua(code, ...)
  return vim.fn.rpcrequest(self.channel, 'nvim_exec_lua', code, { ... })
end

-- Keys as a person types them; "<Esc>" and the like are understood.
function M:type(keys)
  vim.fn.rpcrequest(self.channel, 'nvim_input', keys)
end

function M:lines()
  return self:lua('return vim.api.nvim_buf_get_lines(0, 0, -1, false)')
end

-- What stands on the screen, row by row, as the terminal shows it.
function M:screen()
  return self:lua([[
    local rows = {}
    for row = 1, vim.o.lines do
      local cells = {}
      for column = 1, vim.o.columns do
        cells[column] = vim.fn.screenstring(row, column)
      end
      rows[row] = table.concat(cells):gsub('%s+$', '')
    end
    return rows
  ]])
end

function M:shows(text)
  for _, row in ipairs(self:screen()) do
    if row:find(text, 1, true) then
      return true
    end
  end
  return false
end

-- `row` from 1.
function M:wait_for_row(row, text)
  M.wait(('row %d of the screen is: %s'):format(row, text), function()
    return self:screen()[row] == text
  end)
end

function M:wait_for_screen(text)
  M.wait('the screen shows: ' .. text, function()
    return self:shows(text)
  end)
end

-- What each window holds: { name, text, filetype }. Of floats, Neovim 0.7 has no screen to look at.
function M:windows()
  return self:lua([[
    return vim.tbl_map(function(window)
      local buffer = vim.api.nvim_win_get_buf(window)
      return {
        name = vim.api.nvim_buf_get_name(buffer),
        text = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), '\n'),
        filetype = vim.bo[buffer].filetype,
      }
    end, vim.api.nvim_list_wins())
  ]])
end

-- The window of the answer that was asked for; nil before there is one.
function M:answer()
  return vim.tbl_filter(function(window)
    return vim.startswith(window.name, 'hearth://')
  end, self:windows())[1]
end

function M:close()
  pcall(vim.fn.rpcnotify, self.channel, 'nvim_command', 'qall!')
  if vim.fn.jobwait({ self.job }, 5000)[1] == -1 then
    vim.fn.jobstop(self.job)
  end
end

return M
