-- :checkhealth hearth: the setup, the program, its configuration, the daemon and its model, their
-- versions, and what this Neovim can do. Asks the program; starts and changes nothing.
local client = require('hearth.client')
local config = require('hearth.config')
local program = require('hearth.program')

local M = {}

-- Neovim's own since 0.10, what came before it until then.
local function reporter(name)
  return vim.health and vim.health[name] or require('health')['report_' .. name]
end
local start, ok, info, warn = reporter('start'), reporter('ok'), reporter('info'), reporter('warn')
local problem = reporter('error')

local function check_setup()
  start('hearth: setup')
  if client.refused() then
    return problem(client.refused())
  end
  ok('the options of setup() are in order')
  local attached = client.attached_buffers()
  info(#attached == 0 and 'no file is served yet: open one of a project, and look again' or 'serves: ' .. table.concat(attached, ', '))
end

-- The build, or nil.
local function check_program()
  start('hearth: program')
  local word = config.current.cmd[1]
  local path = vim.fn.exepath(word)
  if path == '' then
    problem(("there is no program '%s'"):format(word), { 'put hearth on the PATH, or set cmd in setup()' })
    return nil
  end
  local code, said, complaint = program.ask('--version')
  local build = said:match('^hearth (%S+)')
  if code ~= 0 or not build then
    problem(("'%s --version' failed: %s"):format(path, complaint), { 'is this hearth? cmd of setup() names it' })
    return nil
  end
  ok(('%s, version %s'):format(path, build))
  code, _, complaint = program.ask('daemon', '--print-config')
  if code == 0 then
    ok('its configuration can be read')
  else
    problem('its configuration: ' .. complaint, { "mend it; 'hearth daemon --print-config' shows every key" })
  end
  return build
end

local function check_daemon(build)
  start('hearth: daemon and model')
  local code, said, complaint = program.ask('status', '--json')
  if code ~= 0 then
    local advice = { "an attached buffer starts one; 'hearth daemon' does so from a shell" }
    return warn('the daemon: ' .. (complaint ~= '' and complaint or 'no answer'), advice)
  end
  local read, status = pcall(vim.fn.json_decode, said)
  if not read or type(status) ~= 'table' or not (status.model or status.servers) then
    return problem("the answer of 'hearth status --json' is not understood", { 'does cmd of setup() name hearth?' })
  end
  ok(('it runs: process %s, version %s'):format(status.pid, status.build))
  if status.build ~= build then
    local advice = { "'hearth stop' ends it; the next editor starts the new one" }
    warn('it is of another build than the program, ' .. build, advice)
  end
  local model = status.model
  if type(model) ~= 'table' then
    info('no model of this machine')
  elseif model.state == 'ready' then
    ok(('model: %s, from %s'):format(model.name, model.directory))
  elseif type(model.error) == 'string' and model.error ~= '' then
    problem('model: ' .. model.error, { 'model.path of the configuration names its folder' })
  else
    info(('model: %s, from %s'):format(model.state, model.directory))
  end
  for _, server in ipairs(type(status.servers) == 'table' and status.servers or {}) do
    local seen = ('server: %s is %s'):format(server.url, server.state)
    if server.state == 'ready' then
      ok(seen)
    else
      warn(server.why ~= '' and server.why or seen)
    end
    if server.leavesMachine then
      info(('prompts, with code in them, leave this machine for %s'):format(server.host))
    end
  end
  info('its log: ' .. tostring(status.log))
end

local function check_neovim()
  start('hearth: Neovim')
  if vim.fn.has('nvim-0.7') == 0 then
    return problem('hearth needs Neovim 0.7 or later')
  end
  local version = vim.version()
  ok(('Neovim %d.%d.%d'):format(version.major, version.minor, version.patch))
  if not config.current.inline.enabled then
    info('ghost text: off (inline.enabled of setup())')
  elseif vim.fn.has('nvim-0.10') == 1 then
    info('ghost text: on')
  else
    info('ghost text: on; what belongs into the middle of a line stands at its end')
  end
  info("an answer's state is shown in the window's " .. (vim.fn.exists('+winbar') == 1 and 'bar' or 'status line'))
  for name, key in pairs(config.current.keys) do
    local mapping = key and vim.fn.maparg(key, 'i', false, true)
    if mapping and not client.refused() and not vim.startswith(mapping.desc or '', 'hearth:') then
      warn(('%s (keys.%s) was mapped to something else after setup()'):format(key, name))
    end
  end
end

function M.check()
  check_setup()
  local build = check_program()
  if build then
    check_daemon(build)
  end
  check_neovim()
end

return M
