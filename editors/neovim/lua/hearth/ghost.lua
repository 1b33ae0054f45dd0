-- Inline completion: asks after a pause, shows the answer as ghost text, keeps it while it is typed
-- along, accepts it whole or in part. One at a time, in the buffer and window that have the cursor.
-- Drawing is hearth.ghost_text's.
local client = require('hearth.client')
local config = require('hearth.config')
local ghost_text = require('hearth.ghost_text')
local jobs = require('hearth.jobs')
local position = require('hearth.position')

local M = {}

-- What is on the screen:
--   buffer, client_id, text (the whole item), row and column where it begins (from 0),
--   tail (bytes of the line after the item's range), command, by (who wrote it, where that is said),
--   drawn (the state of the buffer and the cursor that it was drawn for; nil: it is not)
local shown = nil
local asked = nil -- the request under way: { client, id }
local timer = vim.loop.new_timer()

-- That one is asked for is seen at the end of the line, unless the text is there before the eye is.
local unseen_ms = 40
local mark_timer = vim.loop.new_timer()
local waiting = vim.api.nvim_create_namespace('hearth_completing')
local marked = nil -- the buffer that has the mark

local function cursor()
  local at = vim.api.nvim_win_get_cursor(0)
  return at[1] - 1, at[2]
end

local function inserting()
  return vim.api.nvim_get_mode().mode:sub(1, 1) == 'i'
end

local function mark_request(buffer, row)
  jobs.completing(true)
  mark_timer:start(unseen_ms, 0, vim.schedule_wrap(function()
    if asked and vim.api.nvim_buf_is_valid(buffer) and row < vim.api.nvim_buf_line_count(buffer) then
      marked = buffer
      vim.api.nvim_buf_set_extmark(buffer, waiting, row, 0, { virt_text = { { '…', 'HearthProgress' } } })
    end
  end))
end

-- It is answered, or nobody waits for it any more.
local function end_request()
  asked = nil
  mark_timer:stop()
  jobs.completing(false)
  if marked and vim.api.nvim_buf_is_valid(marked) then
    vim.api.nvim_buf_clear_namespace(marked, waiting, 0, -1)
  end
  marked = nil
end

local function forget_request()
  timer:stop()
  if asked then
    client.cancel(asked.client, asked.id)
    end_request()
  end
end

function M.hide()
  if shown then
    ghost_text.clear(shown.buffer)
    shown = nil
    jobs.signed(nil)
  end
end

function M.dismiss()
  forget_request()
  M.hide()
end

-- The part of the item that is not in the buffer yet; nil when something else was typed, or the
-- cursor went elsewhere.
local function remaining()
  local row, column = cursor()
  local elsewhere = not shown or shown.buffer ~= vim.api.nvim_get_current_buf() or row < shown.row
  if elsewhere or not vim.bo.modifiable then
    return nil
  end
  local lines = vim.api.nvim_buf_get_lines(shown.buffer, shown.row, row + 1, false)
  if #lines ~= row - shown.row + 1 or #lines[#lines] - column < shown.tail then
    return nil
  end
  lines[#lines] = lines[#lines]:sub(1, column)
  if #lines[1] < shown.column then
    return nil
  end
  lines[1] = lines[1]:sub(shown.column + 1)
  local typed = table.concat(lines, '\n')
  if shown.text:sub(1, #typed) ~= typed or #typed == #shown.text then
    return nil
  end
  return shown.text:sub(#typed + 1)
end

-- False where there is nothing to draw. Marks that change are a reason to draw anew: what is there stays.
local function draw()
  local text = remaining()
  if not text then
    M.hide()
    return false
  end
  local row, column = cursor()
  local state = ('%d %d %d'):format(vim.api.nvim_buf_get_changedtick(shown.buffer), row, column)
  if shown.drawn ~= state then
    shown.drawn = state
    ghost_text.draw(shown.buffer, row, column, text, shown.tail)
    jobs.signed(shown.by)
  end
  return true
end

-- A menu of completions is there, or about to be drawn.
local function menu_is_open()
  return vim.fn.pumvisible() == 1 or vim.api.nvim_get_mode().mode == 'ic'
end

-- Neovim may draw what was typed before it tells of it: with each redraw goes what belongs to it.
vim.api.nvim_set_decoration_provider(vim.api.nvim_create_namespace('hearth_ghost_redraw'), {
  on_start = function()
    if shown and menu_is_open() then
      M.hide()
    elseif shown then
      draw()
    end
    return false
  end,
})

-- The first item that goes on from what stands before the cursor.
local function take(connection, buffer, result)
  local row, column = cursor()
  local encoding = connection.offset_encoding or 'utf-16'
  local line = vim.api.nvim_get_current_line()
  for _, item in ipairs(result.items or result) do
    local text = type(item.insertText) == 'string' and item.insertText or item.insertText.value
    local first, last = column, column
    if item.range then
      first = position.column(line, item.range.start.character, encoding)
      last = position.column(line, item.range['end'].character, encoding)
    end
    shown = {
      buffer = buffer,
      client_id = connection.id,
      text = text,
      row = row,
      column = first,
      tail = #line - last,
      command = item.command,
      by = item.hearth and item.hearth.by,
    }
    if draw() then
      return
    end
  end
end

-- trigger: 1 a person asked, 2 by itself.
function M.request(trigger)
  forget_request()
  local buffer = vim.api.nvim_get_current_buf()
  local connection = client.of(buffer)
  if not connection or not connection.server_capabilities.inlineCompletionProvider or not inserting() then
    return
  end
  local row, column = cursor()
  local tick = vim.api.nvim_buf_get_changedtick(buffer)
  local params = {
    textDocument = { uri = vim.uri_from_bufnr(buffer) },
    position = position.to_lsp(buffer, row, column, connection.offset_encoding or 'utf-16'),
    context = { triggerKind = trigger },
  }
  local this = { client = connection }
  asked = this
  mark_request(buffer, row)
  this.id = client.request(connection, 'textDocument/inlineCompletion', params, buffer, function(err, result)
    if asked ~= this then
      return -- superseded
    end
    end_request()
    local row_now, column_now = cursor()
    local moved = buffer ~= vim.api.nvim_get_current_buf()
      or tick ~= vim.api.nvim_buf_get_changedtick(buffer)
      or row ~= row_now
      or column ~= column_now
    if not err and type(result) == 'table' and not moved and inserting() then
      take(connection, buffer, result)
    end
  end)
  if not this.id then
    end_request()
  end
end

-- After every move or change in insert mode: what was typed along stays, else it is asked anew.
function M.cursor_moved()
  if menu_is_open() then
    return M.dismiss() -- one offer at a time
  end
  if draw() then
    return
  end
  forget_request()
  timer:start(config.current.inline.debounce_ms, 0, vim.schedule_wrap(function()
    M.request(2)
  end))
end

client.on('hearth/inlineCompletionReady', function(client_id, ready)
  local buffer = vim.api.nvim_get_current_buf()
  local connection = client.of(buffer)
  if not connection or connection.id ~= client_id or vim.uri_from_bufnr(buffer) ~= ready.uri then
    return
  end
  local row, column = position.from_lsp(buffer, ready.position, connection.offset_encoding or 'utf-16')
  local row_now, column_now = cursor()
  if row == row_now and column == column_now and not shown then
    M.request(2)
  end
end)

function M.visible()
  return remaining() ~= nil
end

-- Puts `piece`, the beginning of what remains, before the cursor.
local function insert(piece, whole)
  local row, column = cursor()
  local line_length = #vim.api.nvim_get_current_line()
  local replaced_to = whole and line_length - shown.tail or column
  local lines = vim.split(piece, '\n', { plain = true })
  vim.api.nvim_buf_set_text(0, row, column, row, replaced_to, lines)
  local last = #lines == 1 and column + #lines[1] or #lines[#lines]
  vim.api.nvim_win_set_cursor(0, { row + #lines, last })
end

-- Accepts the whole, or what pick(remaining) returns of it. False when there is nothing.
function M.accept(pick)
  local text = remaining()
  if not text then
    return false
  end
  local piece = pick and pick(text) or text
  local whole = #piece == #text
  insert(piece, whole)
  if not whole then
    draw()
    return true
  end
  local command, client_id = shown.command, shown.client_id
  M.hide()
  local connection = command and vim.lsp.get_client_by_id(client_id)
  if connection then
    local params = { command = command.command, arguments = command.arguments }
    client.request(connection, 'workspace/executeCommand', params, nil, function() end)
  end
  return true
end

client.on_attach(function(_, buffer)
  local group = vim.api.nvim_create_augroup('hearth_ghost_' .. buffer, { clear = true })
  local function on(events, action)
    vim.api.nvim_create_autocmd(events, { group = group, buffer = buffer, callback = action })
  end
  on({ 'InsertEnter', 'CursorMovedI', 'TextChangedI', 'TextChangedP' }, function()
    if config.current.inline.enabled then
      M.cursor_moved()
    end
  end)
  on('CompleteDone', function()
    vim.schedule(function() -- the menu is there until then
      if config.current.inline.enabled and buffer == vim.api.nvim_get_current_buf() and inserting() then
        M.cursor_moved()
      end
    end)
  end)
  on({ 'InsertLeave', 'BufLeave' }, M.dismiss)
  -- A person may be writing already.
  if config.current.inline.enabled and buffer == vim.api.nvim_get_current_buf() and inserting() then
    M.cursor_moved()
  end
end)

client.on_exit(function(client_id)
  if shown and shown.client_id == client_id then
    M.hide()
  end
  end_request()
end)

return M
