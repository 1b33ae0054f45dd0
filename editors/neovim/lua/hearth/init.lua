-- hearth's Neovim plugin, from the outside: setup, what the commands do, the status line's words.
local config = require('hearth.config')

local M = {}

local function attach_to(filetypes)
  local client = require('hearth.client')
  local group = vim.api.nvim_create_augroup('hearth', { clear = true })
  vim.api.nvim_create_autocmd('FileType', {
    group = group,
    pattern = filetypes,
    callback = function(event)
      client.attach(event.buf)
    end,
  })
  -- A buffer gets its name after its file type where a person starts with an empty one.
  vim.api.nvim_create_autocmd({ 'BufFilePost', 'BufWritePost' }, {
    group = group,
    callback = function(event)
      if not client.of(event.buf) and vim.tbl_contains(filetypes, vim.bo[event.buf].filetype) then
        client.attach(event.buf)
      end
    end,
  })
  for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(buffer) and vim.tbl_contains(filetypes, vim.bo[buffer].filetype) then
      client.attach(buffer)
    end
  end
end

-- What every client needs, whoever starts it.
local function begin()
  require('hearth.highlight')
  require('hearth.answer')
  require('hearth.progress')
  require('hearth.team')
  local inline = require('hearth.inline')
  for name, key in pairs(config.current.keys) do
    inline.map(name, key)
  end
end

-- The client's configuration for vim.lsp.enable('hearth').
function M.lsp_config()
  require('hearth.jobs') -- what it handles has to be known
  require('hearth.inline')
  return require('hearth.client').for_enable(begin)
end

-- Options: see hearth.config, or :help hearth-setup. What is wrong with them is said in one line, and
-- again by what needs them: an error here would show where this was called from, not what to do.
function M.setup(options)
  local problem = config.set(options)
  require('hearth.client').configured(problem)
  if problem then
    return vim.notify('hearth.setup: ' .. problem, vim.log.levels.ERROR)
  end
  begin()
  attach_to(config.current.filetypes)
end

-- Runs an action of the server's, 'explain' say, for whole lines of the current buffer, from 1, both
-- included (without lines, those around the cursor that belong together); `words` are what the person wants of it ('edit' and 'ask' need them). Without a name, one
-- is chosen from a menu.
function M.action(first, last, name, words)
  require('hearth.actions').run(first, last, name, words)
end

function M.explain(first, last)
  M.action(first, last, 'explain')
end

-- Stops the job whose answer the current buffer shows, else the youngest one.
function M.cancel()
  require('hearth.command').run('cancel', '')
end

-- Shows the version, the model and the jobs in a float that goes when the cursor moves.
function M.status()
  require('hearth.jobs').report(function(lines)
    vim.lsp.util.open_floating_preview(lines, 'plaintext', { border = 'rounded', focus_id = 'hearth' })
  end)
end

function M.statusline()
  return require('hearth.jobs').statusline()
end

for _, name in ipairs({ 'accept', 'accept_word', 'accept_line', 'dismiss', 'request' }) do
  M[name] = function()
    return require('hearth.inline')[name]()
  end
end

return M
