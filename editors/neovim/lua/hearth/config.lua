-- The plugin's options: defaults, and a check that says in a line what is wrong. Holds no state but
-- theirs.
local M = {}

M.defaults = {
  -- The program that speaks LSP on its standard input and output.
  cmd = { 'hearth', 'lsp' },
  -- Buffers of these file types are attached.
  filetypes = {
    'bash', 'c', 'cpp', 'cs', 'css', 'cuda', 'go', 'haskell', 'html', 'java', 'javascript',
    'javascriptreact', 'json', 'kotlin', 'lua', 'markdown', 'ocaml', 'php', 'python', 'ruby',
    'rust', 'scala', 'sh', 'swift', 'toml', 'typescript', 'typescriptreact', 'yaml', 'zig',
  },
  -- The project is the nearest folder above a file that holds one of these.
  root_markers = { '.git' },
  inline = {
    enabled = true,
    -- How long the keyboard rests before a completion is asked for.
    debounce_ms = 150,
  },
  answer = {
    view = 'split', -- 'split', 'vsplit' or 'float'
    size = 12, -- lines of a split; a vsplit and a float take their share of the screen
  },
  edits = {
    review = false, -- a change of code waits for a look at it, hunk by hunk
  },
  -- Insert mode; false leaves a key alone.
  keys = { accept = '<Tab>', accept_word = '<M-Right>', accept_line = '<M-Down>', dismiss = '<C-]>' },
}

-- How an option that stands for several words, or for none, is written.
local examples = {
  cmd = "{ 'hearth', 'lsp' }",
  filetypes = "{ 'python', 'cpp' }",
  root_markers = "{ '.git' }",
}

local function is_list_of_words(value)
  for key, word in pairs(value) do
    if type(key) ~= 'number' or type(word) ~= 'string' or word == '' then
      return false
    end
  end
  return #value > 0
end

-- What is wrong with an option of the right name; nil when nothing is.
local function complaint(name, value, default)
  if name:find('^keys%.') then
    if value ~= false and (type(value) ~= 'string' or value == '') then
      return ("%s must be a key such as '%s', or false"):format(name, default)
    end
  elseif examples[name] then
    if type(value) ~= 'table' or not is_list_of_words(value) then
      return ('%s must be a list of words, such as %s'):format(name, examples[name])
    end
  elseif type(value) ~= type(default) then
    return ('%s must be a %s, not a %s'):format(name, type(default), type(value))
  elseif type(value) == 'number' and (value < 0 or value ~= math.floor(value)) then
    return ('%s must be a whole number from 0, not %s'):format(name, value)
  elseif name == 'answer.view' and not vim.tbl_contains({ 'split', 'vsplit', 'float' }, value) then
    return ("answer.view must be 'split', 'vsplit' or 'float', not '%s'"):format(value)
  end
end

-- `defaults` with `options` over them; or nil and what is wrong.
local function merge(defaults, options, path)
  local result = vim.deepcopy(defaults)
  for key, value in pairs(options) do
    local default = defaults[key]
    local name = path .. tostring(key)
    if default == nil then
      return nil, ('unknown option %s'):format(name)
    end
    local problem = complaint(name, value, default)
    if problem then
      return nil, problem
    end
    if type(default) == 'table' and not examples[name] then
      value, problem = merge(default, value, name .. '.')
      if problem then
        return nil, problem
      end
    end
    result[key] = value
  end
  return result
end

M.current = vim.deepcopy(M.defaults)

-- Takes the options over. Nil, or what is wrong with them in one line; nothing is changed then.
function M.set(options)
  options = options == nil and {} or options
  if type(options) ~= 'table' then
    return ('the options must be a table, not a %s'):format(type(options))
  end
  local merged, problem = merge(M.defaults, options, '')
  M.current = merged or M.current
  return problem
end

return M
