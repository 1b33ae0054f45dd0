-- Another user of hearth beside the suite's: directories of their own, and the daemon in them.
local M = {}
M.__index = M

local count = 0

-- `configuration`: what stands in config.toml.
function M.new(configuration)
  count = count + 1
  local self = setmetatable({ folder = ('%s/home-%d'):format(vim.env.HEARTH_SCRATCH, count), environment = {} }, M)
  for _, name in ipairs({ 'RUNTIME_DIR', 'CONFIG_HOME', 'STATE_HOME', 'DATA_HOME', 'CACHE_HOME' }) do
    self.environment['XDG_' .. name] = self.folder .. '/' .. name
    vim.fn.mkdir(self.environment['XDG_' .. name], 'p', 448) -- theirs alone
  end
  vim.fn.mkdir(self.folder .. '/CONFIG_HOME/hearth')
  vim.fn.writefile(configuration, self.folder .. '/CONFIG_HOME/hearth/config.toml')
  return self
end

-- Runs `hearth WORDS`; what it prints.
function M:hearth(...)
  local command = { 'env' }
  for name, folder in pairs(self.environment) do
    table.insert(command, name .. '=' .. folder)
  end
  vim.list_extend(command, { vim.env.HEARTH_UNDER_TEST, ... })
  local said = vim.fn.system(command)
  assert(vim.v.shell_error == 0, said)
  return said
end

function M:stop()
  self:hearth('stop')
end

return M
