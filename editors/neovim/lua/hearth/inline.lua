-- What a person does with ghost text: accepts it, whole or in part, sends it away, asks for it; and the
-- keys for that. The text itself is hearth.ghost's, in every Neovim: the inline completion that Neovim has
-- of its own since 0.12 stays where something else is typed, until the next answer, and beside the popup.
local client = require('hearth.client')
local ghost = require('hearth.ghost')

local M = {}

-- Two ghosts would be shown where a person has enabled Neovim's own for all servers.
client.on_attach(function(client_id)
  if vim.lsp.inline_completion then
    vim.lsp.inline_completion.enable(false, { client_id = client_id })
  end
end)

-- The beginning of `text` up to the end of its first word, and of its first line that is not empty.
function M.first_word(text)
  return text:match('^%s*[%w_\128-\255]+') or text:match('^%s*[^%w%s_\128-\255]+') or text
end
function M.first_line(text)
  return text:match('^\n*[^\n]+') or text
end

-- What is accepted is one step to undo, apart from what was typed before and is typed after.
local function begin_step()
  vim.bo.undolevels = vim.bo.undolevels
end
-- What is typed goes on with the step that there is, unless a key begins another.
local function end_step()
  if vim.api.nvim_get_mode().mode:sub(1, 1) == 'i' then
    vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes('<C-g>u', true, false, true), 'ni', false)
  end
end

local function accept(pick)
  if not ghost.visible() then
    return false
  end
  begin_step()
  ghost.accept(pick)
  end_step()
  return true
end

-- Each accepts (a part of) what is shown; false when nothing is.
function M.accept()
  return accept()
end
function M.accept_word()
  return accept(M.first_word)
end
function M.accept_line()
  return accept(M.first_line)
end

function M.dismiss()
  ghost.dismiss()
end

-- Asks now, however short the pause was.
function M.request()
  if not client.of(0) then
    return vim.notify('hearth: ' .. client.why_not(vim.api.nvim_get_current_buf()), vim.log.levels.WARN)
  end
  ghost.request(1)
end

-- What the key did before hearth took it, for when there is nothing to accept.
local function fallback(key)
  local before = vim.fn.maparg(key, 'i', false, true)
  if vim.tbl_isempty(before) then
    return function()
      return key
    end
  end
  return function()
    if before.expr == 1 then
      return before.callback and before.callback() or vim.api.nvim_eval(before.rhs)
    end
    if before.callback then
      vim.schedule(before.callback)
      return ''
    end
    return before.rhs
  end
end

-- A menu, and a snippet with places left to go to, have their own use for keys.
local function is_taken()
  return vim.fn.pumvisible() == 1 or (vim.snippet and vim.snippet.active({ direction = 1 }))
end

function M.map(name, key)
  if not key then
    return
  end
  local otherwise = fallback(key)
  vim.keymap.set('i', key, function()
    if is_taken() or not ghost.visible() then
      return otherwise()
    end
    -- Text cannot be changed while a mapping is worked out.
    return ('<Cmd>lua require("hearth")[%q]()<CR>'):format(name)
  end, { expr = true, desc = 'hearth: ' .. name:gsub('_', ' ') })
end

return M
