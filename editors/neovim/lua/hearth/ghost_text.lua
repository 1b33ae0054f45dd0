-- Draws text that is not in the buffer at the cursor, as extended marks that every Neovim since 0.7
-- can show. Before 0.10 nothing can be drawn between two characters: what belongs into the middle of a
-- line stands at its end there. Knows nothing of completions.
local M = {}

local namespace = vim.api.nvim_create_namespace('hearth_ghost')
local can_push_aside = vim.fn.has('nvim-0.10') == 1

-- Marks show a tab as one cell: spaces to the next stop instead.
local function expand(text, column)
  local width = vim.bo.tabstop
  local result = text:gsub('([^\t]*)\t', function(before)
    column = column + vim.fn.strdisplaywidth(before)
    local spaces = width - column % width
    column = column + spaces
    return before .. (' '):rep(spaces)
  end)
  return result
end

function M.clear(buffer)
  if vim.api.nvim_buf_is_valid(buffer) then
    vim.api.nvim_buf_clear_namespace(buffer, namespace, 0, -1)
  end
end

-- `text` at row and byte column, in a line of which the last `tail` bytes stay behind it and what
-- lies between would be replaced.
function M.draw(buffer, row, column, text, tail)
  M.clear(buffer)
  local line = vim.api.nvim_buf_get_lines(buffer, row, row + 1, false)[1]
  local before = vim.fn.strdisplaywidth(line:sub(1, column))
  local rest = line:sub(column + 1)
  local kept = tail > 0 and line:sub(-tail) or ''
  local lines = vim.split(text, '\n', { plain = true })
  local first = { { expand(lines[1], before), 'HearthGhost' } }

  local below = {}
  for i = 2, #lines do
    below[i - 1] = { { expand(lines[i], 0), 'HearthGhost' } }
  end
  local simple = #lines == 1 and rest == kept and can_push_aside
  local at_end = rest ~= '' and not can_push_aside
  if rest ~= '' and not simple and not at_end then
    local covered = vim.fn.strdisplaywidth(rest, before)
    if #lines == 1 then
      table.insert(first, { kept, 'Normal' })
      covered = covered - vim.fn.strdisplaywidth(lines[1] .. kept, before)
    else
      table.insert(below[#below], { kept, 'Normal' })
      covered = covered - vim.fn.strdisplaywidth(lines[1], before)
    end
    if covered > 0 then
      table.insert(first, { (' '):rep(covered), 'Normal' })
    end
  end
  vim.api.nvim_buf_set_extmark(buffer, namespace, row, column, {
    virt_text = first,
    virt_text_pos = at_end and 'eol' or simple and 'inline' or 'overlay',
    virt_lines = #below > 0 and below or nil,
    hl_mode = 'combine',
  })
end

return M
