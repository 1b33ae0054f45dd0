-- Every redraw of a Neovim, as an editor's window would be told of it: a second screen beside the
-- terminal's, which is asked for over the same socket. What stood there between two looks at a
-- terminal, for a moment only, is here.
local child = require('child')

local M = {}
M.__index = M

local function blank(width, height)
  local grid = {}
  for row = 1, height do
    grid[row] = {}
    for column = 1, width do
      grid[row][column] = ' '
    end
  end
  return grid
end

-- What the events of :help ui-linegrid do to the grid; places count from 0 there.
local apply = {}
function apply.grid_resize(self, _, width, height)
  self.width, self.height = width, height
  self.grid = blank(width, height)
end
function apply.grid_clear(self)
  self.grid = blank(self.width, self.height)
end
function apply.grid_cursor_goto(self, _, row, column)
  self.cursor = { row + 1, column }
end
function apply.grid_line(self, _, row, column, cells)
  for _, cell in ipairs(cells) do
    for _ = 1, cell[3] or 1 do
      column = column + 1
      self.grid[row + 1][column] = cell[1]
    end
  end
end
function apply.grid_scroll(self, _, top, bottom, left, right, rows)
  local first, last, step = top + 1, bottom - rows, 1
  if rows < 0 then
    first, last, step = bottom, top + 1 - rows, -1
  end
  for row = first, last, step do
    for column = left + 1, right do
      self.grid[row][column] = self.grid[row + rows][column]
    end
  end
end
function apply.flush(self)
  local rows = {}
  for row = 1, self.height do
    rows[row] = table.concat(self.grid[row]):gsub('%s+$', '')
  end
  table.insert(self.frames, { rows = rows, cursor = self.cursor })
end

local function take(self, message)
  if message[1] ~= 2 or message[2] ~= 'redraw' then
    return
  end
  for _, event in ipairs(message[3]) do
    for i = 2, #event do
      if apply[event[1]] then
        apply[event[1]](self, unpack(event[i]))
      end
    end
  end
end

-- Begins to record; `frames` has each redraw since: { rows (text, without what is blank at their ends),
-- cursor ({ row from 1, column from 0 }) }.
function M.of(nvim)
  local self = setmetatable({ frames = {}, pipe = vim.loop.new_pipe(false) }, M)
  local size = nvim:lua('return { vim.o.columns, vim.o.lines }')
  local unpacker, rest = vim.mpack.Unpacker(), ''
  local problem
  self.pipe:connect(nvim.socket, function()
    self.pipe:read_start(function(failure, bytes)
      local ok, trouble = pcall(function()
        rest = rest .. (bytes or '')
        local at = 1
        while at <= #rest do
          local message
          message, at = unpacker(rest, at)
          if message ~= nil then
            take(self, message)
          end
        end
        rest = ''
      end)
      problem = problem or failure or (not ok and trouble) or nil
    end)
    local attach = { size[1], size[2], { ext_linegrid = true, rgb = false } }
    self.pipe:write(vim.mpack.encode({ 0, 1, 'nvim_ui_attach', attach }))
  end)
  child.wait('it is drawn', function()
    assert(not problem, problem)
    return #self.frames > 0
  end)
  return self
end

function M:last()
  return self.frames[#self.frames]
end

-- What stood in row `row` (from 1), each text once, in the order in which they came; from the frame
-- number `since` on.
function M:sights(row, since)
  local sights = {}
  for i = since or 1, #self.frames do
    local text = self.frames[i].rows[row]
    if text ~= sights[#sights] then
      table.insert(sights, text)
    end
  end
  return sights
end

function M:close()
  self.pipe:close()
end

return M
