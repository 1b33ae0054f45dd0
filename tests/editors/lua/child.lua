-- A second Neovim, in a terminal of its own: driven by keys, and looked at on the screen that the
-- terminal makes of what it draws. Waits for what a person would wait for; never asserts how long that
-- took.
local M = {}
M.__index = M

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h:h')
local limit_ms = 120000 -- after which a test gives up, far beyond what a slow machine needs
local count = 0

function M.wait(what, condition)
  -- A condition that asks another Neovim lets the newer vim.wait() begin anew.
  local give_up = vim.loop.now() + limit_ms
  local met = false
  vim.wait(limit_ms, function()
    met = condition()
    return met or vim.loop.now() > give_up
  end, 20)
  if not met then
    error('waited in vain until ' .. what, 2)
  end
end

-- Starts it with `lines` (or the bytes, as a string) as the file `name`, and waits until hearth is
-- attached. Options: `init` another init file than init.lua, `arguments` for Neovim, `unattached` do
-- not wait, `beside` a Neovim whose file it is to open, as it is on the disk, `environment` of it.
function M.edit(name, lines, options)
  options = options or {}
  count = count + 1
  local folder = ('%s/project-%d'):format(vim.env.HEARTH_SCRATCH, count)
  vim.fn.mkdir(folder .. '/.git', 'p')
  local path = options.beside and options.beside.path or folder .. '/' .. name
  local self = setmetatable({ path = path, output = {}, environment = options.environment }, M)
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
    '--cmd', 'set notermguicolors', '--listen', self.socket,
  }
  vim.list_extend(command, options.arguments or {})
  table.insert(command, self.path)
  self.job = self:start(command)
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

local rows, columns = 24, 200 -- messages fit into a line: nobody presses Enter

-- Runs a command in a terminal of 256 colours, whose screen is a buffer here; keeps what it draws.
function M:in_terminal(command)
  vim.o.lines, vim.o.columns = rows + 1, columns
  vim.o.laststatus, vim.o.showtabline = 0, 0
  vim.cmd('tabnew')
  self.terminal = vim.api.nvim_get_current_buf()
  local options = {
    env = vim.tbl_extend('force', { TERM = 'xterm-256color', COLORTERM = '' }, self.environment or {}),
    on_stdout = function(_, pieces)
      table.insert(self.output, table.concat(pieces, '\n'))
    end,
  }
  if vim.fn.has('nvim-0.11') == 0 then
    return vim.fn.termopen(command, options)
  end
  options.term = true
  return vim.fn.jobstart(command, options)
end

-- The newer Neovim itself runs in two processes, of which the one at the terminal starts the other by
-- its own path; where Neovim is not installed but unpacked, that is no Neovim. Here they are two commands.
function M:start(command)
  if vim.fn.has('nvim-0.11') == 0 then
    return self:in_terminal(command)
  end
  table.insert(command, 2, '--headless')
  local job = vim.fn.jobstart(command, { env = self.environment or vim.empty_dict() })
  M.wait('Neovim listens', function()
    return vim.loop.fs_stat(self.socket) ~= nil
  end)
  self:in_terminal({ vim.env.NVIM_UNDER_TEST, '--server', self.socket, '--remote-ui' })
  return job
end

-- Executes code in it. A Neovim that waits for a key would never answer: it gets one, and that is an error.
function M:lua(code, ...)
  local wants_key = false
  local timer = vim.loop.new_timer()
  timer:start(limit_ms, 0, function()
    wants_key = true
    local pipe = vim.loop.new_pipe(false)
    pipe:connect(self.socket, function()
      pipe:write(vim.mpack.encode({ 2, 'nvim_input', { '<CR>' } }))
    end)
  end)
  local ok, result = pcall(vim.fn.rpcrequest, self.channel, 'nvim_exec_lua', code, { ... })
  timer:stop()
  timer:close()
  if not ok or wants_key then
    error(wants_key and 'Neovim waited for a key before it did: ' .. code or result, 2)
  end
  return result
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

-- What stands on the screen, row by row.
function M:screen()
  local lines = vim.api.nvim_buf_get_lines(self.terminal, 0, rows, false)
  return vim.tbl_map(function(line)
    return (line:gsub('%s+$', ''))
  end, lines)
end

function M:shows(text)
  for _, row in ipairs(self:screen()) do
    if row:find(text, 1, true) then
      return true
    end
  end
  return false
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
  vim.cmd('silent! bwipeout! ' .. self.terminal)
end

return M
