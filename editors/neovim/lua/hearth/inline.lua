-- Inline completion under one name for every Neovim: its own since 0.12, hearth.ghost before.
-- Also the keys that accept it.
local client = require('hearth.client')
local config = require('hearth.config')

local M = {}

local native = vim.lsp.inline_completion
local ghost = not native and require('hearth.ghost') or nil

-- The beginning of `text` up to the end of its first word, and of its first line that is not empty.
function M.first_word(text)
  return text:match('^%s*[%w_\128-\255]+') or text:match('^%s*[^%w%s_\128-\255]+') or text
end
function M.first_line(text)
  return text:match('^\n*[^\n]+') or text
end

if native then
  -- Neovim asks after its own events only.
  local function ask_now(buffer)
    if buffer == vim.api.nvim_get_current_buf() and vim.api.nvim_get_mode().mode:sub(1, 1) == 'i' then
      vim.api.nvim_exec_autocmds('CursorMovedI', { buffer = buffer, modeline = false })
    end
  end

  client.on_attach(function(client_id, buffer)
    local connection = vim.lsp.get_client_by_id(client_id)
    if config.current.inline.enabled and connection and connection.server_capabilities.inlineCompletionProvider then
      native.enable(true, { bufnr = buffer })
      -- A person may be writing already. Neovim itself is ready after what it schedules behind this.
      vim.schedule(function()
        vim.schedule(function()
          ask_now(buffer)
        end)
      end)
    end
  end)

  client.on('hearth/inlineCompletionReady', function(_, ready)
    local buffer = vim.api.nvim_get_current_buf()
    if vim.uri_from_bufnr(buffer) == ready.uri then
      ask_now(buffer)
    end
  end)
end

-- The text of a native item that is not in the buffer yet, and whether more was typed along since
-- the item came: its range ends before the cursor then, and Neovim would insert the typed part twice.
local function remaining(item)
  local text = type(item.insert_text) == 'string' and item.insert_text or item.insert_text.value
  if not item.range then
    return text, false
  end
  local row, column, end_row, end_column = item.range:to_extmark()
  local at = vim.api.nvim_win_get_cursor(0)
  local typed = table.concat(vim.api.nvim_buf_get_text(0, row, column, at[1] - 1, at[2], {}), '\n')
  if not vim.startswith(text, typed) then
    return '', true
  end
  return text:sub(#typed + 1), end_row < at[1] - 1 or end_column < at[2]
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
  if ghost then
    if not ghost.visible() then
      return false
    end
    begin_step()
    ghost.accept(pick)
    end_step()
    return true
  end
  return native.get({
    on_accept = function(item)
      begin_step()
      end_step() -- the key is read once all of this has been done
      local text, typed_along = remaining(item)
      local piece = pick and pick(text) or text
      if piece == text and not typed_along then
        return item
      end
      vim.api.nvim_paste(piece, false, -1)
      local connection = piece == text and item.command and vim.lsp.get_client_by_id(item.client_id)
      if connection then
        connection:exec_cmd(item.command, { bufnr = vim.api.nvim_get_current_buf() })
      end
    end,
  })
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
  if ghost then
    return ghost.dismiss()
  end
  native.enable(false, { bufnr = 0 })
  native.enable(true, { bufnr = 0 })
end

-- Asks now, however short the pause was.
function M.request()
  if not client.of(0) then
    return vim.notify('hearth: ' .. client.why_not(vim.api.nvim_get_current_buf()), vim.log.levels.WARN)
  end
  if ghost then
    return ghost.request(1)
  end
  vim.api.nvim_exec_autocmds('CursorMovedI', { buffer = 0, modeline = false })
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

function M.map(name, key)
  if not key then
    return
  end
  local otherwise = fallback(key)
  vim.keymap.set('i', key, function()
    if vim.fn.pumvisible() == 1 or (ghost and not ghost.visible()) then -- a menu has its own use for keys
      return otherwise()
    end
    if ghost then -- text cannot be changed while a mapping is worked out
      return ('<Cmd>lua require("hearth")[%q]()<CR>'):format(name)
    end
    return M[name]() and '' or otherwise()
  end, { expr = true, desc = 'hearth: ' .. name:gsub('_', ' ') })
end

return M
