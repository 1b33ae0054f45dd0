-- Byte columns to LSP's characters and back, for every encoding. The same on every Neovim.
local M = {}

-- Units that a UTF-8 sequence with this first byte counts for.
local function units(byte, encoding)
  if byte >= 0x80 and byte < 0xC0 then
    return encoding == 'utf-8' and 1 or 0 -- inside a sequence
  end
  return encoding == 'utf-16' and byte >= 0xF0 and 2 or 1
end

-- Characters before the byte column `column` (from 0) of `line`.
function M.character(line, column, encoding)
  if encoding == 'utf-8' then
    return math.min(column, #line)
  end
  local count = 0
  for i = 1, math.min(column, #line) do
    count = count + units(line:byte(i), encoding)
  end
  return count
end

-- The byte column where `character` begins; past the end of the line: its end.
function M.column(line, character, encoding)
  local count = 0
  for i = 1, #line do
    local more = units(line:byte(i), encoding)
    if count >= character and more > 0 then
      return i - 1
    end
    count = count + more
  end
  return #line
end

local function line_at(buffer, row)
  return vim.api.nvim_buf_get_lines(buffer, row, row + 1, false)[1] or ''
end

-- A place in a buffer (row and byte column from 0) as LSP has it, and back.
function M.to_lsp(buffer, row, column, encoding)
  return { line = row, character = M.character(line_at(buffer, row), column, encoding) }
end
function M.from_lsp(buffer, position, encoding)
  return position.line, M.column(line_at(buffer, position.line), position.character, encoding)
end

return M
