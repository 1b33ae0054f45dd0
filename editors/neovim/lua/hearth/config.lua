-- The plugin's options: defaults, and a check that names what is wrong. Holds no state but theirs.
local M = {}

M.defaults = {
  -- The program that speaks LSP on its standard input and output.
  cmd = { 'hearth', 'lsp' },
  -- Buffers of these file types are attached.
  filetypes = {
    'bash', 'c', 'cpp', 'css', 'go', 'html', 'java', 'javascript', 'javascriptreact', 'json', 'lua',
    'markdown', 'python', 'rust', 'sh', 'toml', 'typescript', 'typescriptreact', 'yaml',
  },
  -- The project is the nearest folder above a file that holds one of these.
  root_markers = { '.git' },
  inline = {
    enabled = true,
    -- How long the keyboard rests before a completion is asked for (Neovim ≥ 0.12 has its own 200).
    debounce_ms = 150,
  },
  answer = {
    view = 'split', -- 'split', 'vsplit' or 'float'
    size = 12, -- lines of a split; a vsplit and a float take their share of the screen
  },
  -- Insert mode; false leaves a key alone.
  keys = { accept = '<Tab>', accept_word = '<M-Right>', accept_line = '<M-Down>', dismiss = '<C-]>' },
}

local function merge(defaults, options, path)
  local result = vim.deepcopy(defaults)
  for key, value in pairs(options) do
    local default = defaults[key]
    local name = path .. tostring(key)
    if default == nil then
      error(('hearth.setup: unknown option %s'):format(name), 0)
    end
    local is_key = path == 'keys.'
    if type(value) ~= type(default) and not (is_key and value == false) then
      error(('hearth.setup: %s must be a %s, not a %s'):format(name, type(default), type(value)), 0)
    end
    if type(default) == 'table' and default[1] == nil then
      value = merge(default, value, name .. '.')
    end
    result[key] = value
  end
  return result
end

M.current = vim.deepcopy(M.defaults)

function M.set(options)
  local merged = merge(M.defaults, options or {}, '')
  if not vim.tbl_contains({ 'split', 'vsplit', 'float' }, merged.answer.view) then
    error(("hearth.setup: answer.view must be 'split', 'vsplit' or 'float', not '%s'"):format(merged.answer.view), 0)
  end
  M.current = merged
end

return M
