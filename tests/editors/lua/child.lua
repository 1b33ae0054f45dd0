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

-- Starts it with `lines` (or the bytes, as a string) as the file `name`, and waits until hearth is
-- attached. Options: `init` another init file than init.lua, `arguments` for Neovim, `unattached` do
-- not wait, `terminal` run it in a terminal of 256 colours whose output is kept (see attributes()),
-- `beside` a Neovim whose file it is to open, as it is on the disk.
function M.edit(name, lines, options)
  options = options or {}
  count = count + 1
  local folder = ('%s/project-%d'):format(vim.env.HEARTH_SCRATCH, count)
  vim.fn.mkdir(folder .. '/.git', 'p')
  local path = options.beside and options.beside.path or folder .. '/' .. name
  local self = setmetatable({ path = path, output = {} }, M)
  if options.beside then
    -- it is there
  elseif type(lines) == 'string' then
    local file = assert(io.open(self.path, 'wb'))
    file:write(lines)
    file:close()
  else
    vim.fn.writefile(lines, self.path)
  end
  self.socket = folder .. '/nvim'
  local command = {
    vim.env.NVIM_UNDER_TEST, '-i', 'NONE', '-n', '-u', here .. '/' .. (options.init or 'init.lua'),
    '--cmd', 'set lines=24 columns=100', '--listen', self.socket,
  }
  if not options.terminal then
    table.insert(command, 2, '--headless')
  end
  vim.list_extend(command, options.arguments or {})
  table.insert(command, self.path)
  self.job = options.terminal and self:in_terminal(command) or vim.fn.jobstart(command)
  M.wait('Neovim listens', function()
    local ok, channel = pcall(vim.fn.sockconnect, 'pipe', self.socket, { rpc = true })
    self.channel = ok and channel or nil
    return ok
  end)
  if not options.unattached then
    M.wait('hearth is attached', function()
      return self:lua(options.init and 'return (vim.lsp.get_clients({ bufnr = 0 })[1] or {}).initialized'
        or "return require('hearth.client').of(0) ~= nil")
    end)
  end
  return self
end

-- Runs a command in a terminal of 256 colours and keeps what it draws.
function M:in_terminal(command)
  return vim.fn.jobstart(command, {
    pty = true,
    width = 100,
    height = 24,
    env = { TERM = 'xterm-256color', COLORTERM = '' },
    on_stdout = function(_, pieces)
      table.insert(self.output, table.concat(pieces, '\n'))
    end,
  })
end

function M:lua(code, ...)
  return vim.fn.rpcrequest(self.channel, 'nvim_exec_lua', code, { ... })
end

-- Keys as a person types them; "<Esc>" and the like are understood.
function M:type(keys)
  vim.fn.rpcrequest(self.channel, 'nvim_input', keys)
end

-- The file as it is on the disk.
function M:bytes()
  local file = assert(io.open(self.path, 'rb'))
  local bytes = file:read('*a')
  file:close()
  return bytes
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

-- Looks at a Neovim that runs without a terminal through one (Neovim ≥ 0.12 lets a second one do so).
function M:look()
  if #self.output == 0 then
    self.viewer = self:in_terminal({ vim.env.NVIM_UNDER_TEST, '--server', self.socket, '--remote-ui' })
  end
end

-- The colours and so on that `text` was last drawn with in the terminal, as it is told of them: "" is
-- plain text; nil where it is not drawn yet.
function M:attributes(text)
  local drawn, states, state = {}, {}, ''
  local rest = table.concat(self.output)
  while rest ~= '' do
    local sequence = rest:match('^\27%[[0-9;:?<=>]*[^0-9;:?<=>]')
      or rest:match('^\27%][^\7\27]*[\7\27]')
      or rest:match('^\27.')
    if not sequence then
      table.insert(drawn, rest:sub(1, 1))
      table.insert(states, state)
    elseif sequence == '\27[m' or sequence == '\27[0m' then
      state = ''
    elseif sequence:find('^\27%[[0-9;:]*m$') then
      state = state .. sequence:sub(3, -2):gsub('^0;', '') .. ' '
    end
    rest = rest:sub(#(sequence or ' ') + 1)
  end
  local plain = table.concat(drawn)
  local found, from = nil, 0
  repeat
    from = plain:find(text, from + 1, true)
    found = from or found
  until not from
  return found and states[found]
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
  if self.viewer then
    vim.fn.jobstop(self.viewer)
  end
end

return M
