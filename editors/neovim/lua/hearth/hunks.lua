-- The hunks of a change as the daemon tells it, a unified diff in Markdown: reads them, finds where each
-- belongs in the code as it stands now, and makes one. Knows no job and no window.
local M = {}

-- The hunks of the diffs in `lines`, each:
--   line     (of its head, from 1)
--   path     (of its file, as the diff names it; nil where it does not)
--   at       (the line of the file, from 1, that it begins at)
--   old, new (lines, with what stands around the change)
--   ahead, behind   (how many lines of both are around it)
function M.read(lines)
  local hunks = {}
  local path
  local i = 1
  while i <= #lines do
    local at, old_count, new_count = lines[i]:match('^@@ %-(%d+),(%d+) %+%d+,(%d+) @@')
    path = lines[i]:match('^%+%+%+ b/(.*)$') or path
    local hunk = at and { line = i, path = path, at = tonumber(at), old = {}, new = {}, ahead = 0, behind = 0 }
    i = i + 1
    while hunk and (#hunk.old < tonumber(old_count) or #hunk.new < tonumber(new_count)) and lines[i] do
      local mark, text = lines[i]:sub(1, 1), lines[i]:sub(2):gsub('\r$', '')
      if mark ~= '+' then
        table.insert(hunk.old, text)
      end
      if mark ~= '-' then
        table.insert(hunk.new, text)
      end
      if mark ~= ' ' then
        hunk.changes, hunk.behind = true, 0
      elseif hunk.changes then
        hunk.behind = hunk.behind + 1
      else
        hunk.ahead = hunk.ahead + 1
      end
      i = i + 1
    end
    if hunk then
      table.insert(hunks, hunk)
    end
  end
  return hunks
end

local function stands(lines, at, wanted)
  for i, line in ipairs(wanted) do
    if lines[at + i - 1] ~= line then
      return false
    end
  end
  return true
end

-- Where `wanted` stands, all of it, the nearest to `at`; and whether nowhere else.
local function find(lines, at, wanted)
  local found, count = nil, 0
  for each = 1, #lines - #wanted + 1 do
    if stands(lines, each, wanted) then
      count = count + 1
      if not found or math.abs(each - at) < math.abs(found - at) then
        found = each
      end
    end
  end
  return found, count == 1
end

-- The line from which on `hunk` replaces, and the old and new lines without what is the same around
-- them; nil where the code has changed so that it does not fit any more. Where some of what stood around
-- has changed, the rest must be there once.
function M.place(hunk, lines)
  for less = 0, math.max(hunk.ahead, hunk.behind) do
    local ahead, behind = math.min(less, hunk.ahead), math.min(less, hunk.behind)
    local wanted = vim.list_slice(hunk.old, ahead + 1, #hunk.old - behind)
    if #wanted == 0 then
      -- into an empty file
      local empty = less == 0 and #lines == 1 and lines[1] == ''
      if empty then
        return 1, { '' }, hunk.new
      end
      return nil
    end
    local at, alone = find(lines, hunk.at + ahead, wanted)
    if at and (alone or less == 0) then
      local old = vim.list_slice(hunk.old, hunk.ahead + 1, #hunk.old - hunk.behind)
      local new = vim.list_slice(hunk.new, hunk.ahead + 1, #hunk.new - hunk.behind)
      return at + hunk.ahead - ahead, old, new
    end
  end
end

-- Makes it in the buffer, as one step to undo. False where it does not fit.
function M.make(hunk, buffer)
  local at, old, new = M.place(hunk, vim.api.nvim_buf_get_lines(buffer, 0, -1, false))
  if not at then
    return false
  end
  vim.api.nvim_buf_call(buffer, function()
    vim.bo.undolevels = vim.bo.undolevels
    vim.api.nvim_buf_set_lines(buffer, at - 1, at - 1 + #old, false, new)
  end)
  return true
end

return M
