-- Ghost text in each redraw, while something else goes on: typing, the popup, a snippet, a block.
local child = require('child')
local redraws = require('redraws')
local suite = require('suite')

local case = suite.case
local expect = suite.expect
local settings = suite.settings
local at_hole = suite.at_hole
local with_hole_filled = suite.with_hole_filled

local ghost = 'json.dump(config, handle, indent=2)'
local row = '        ' .. ghost

local function wait_for_lines(nvim, what, lines)
  child.wait(what, function()
    return vim.deep_equal(nvim:lines(), lines)
  end)
end

-- Nothing is asked any more that nobody asks for: what is on the screen is what was there.
local function ask_no_more(nvim)
  nvim:lua("require('hearth.config').current.inline.debounce_ms = 1000000")
end

-- Waits until `text` was drawn in row 14, and the screen is as it stays.
local function wait_for_last(seen, text)
  child.wait('the last redraw shows: ' .. text, function()
    return seen:last().rows[14] == text
  end)
end

case('in no redraw is ghost text missing, or there twice, while it is typed along', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, row)
  local seen = redraws.of(nvim)
  child.wait('the cursor is drawn where it is', function()
    return vim.deep_equal(seen:last().cursor, { 14, 8 })
  end)
  local first = #seen.frames
  for i = 1, #ghost - 1 do
    nvim:type(ghost:sub(i, i))
    wait_for_lines(nvim, 'it is typed', with_hole_filled(ghost:sub(1, i)))
    child.wait('it is drawn', function()
      return seen:last().cursor[2] == 8 + i
    end)
  end
  expect(seen:sights(14, first), { row }, 'what stood in the line')
  local before = 8
  for i = first, #seen.frames do
    local cursor = seen.frames[i].cursor
    local is_there = cursor[2] == before or cursor[2] == before + 1
    expect({ cursor[1], is_there }, { 14, true }, 'the cursor is where it was typed')
    before = cursor[2]
  end
  seen:close()
end, settings)

case('ghost text is gone in the redraw that shows another letter', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, row)
  ask_no_more(nvim)
  local seen = redraws.of(nvim)
  local first = #seen.frames
  nvim:type('x')
  wait_for_last(seen, '        x')
  expect(seen:sights(14, first), { row, '        x' }, 'what stood in the line')
  nvim:type('<BS>')
  wait_for_last(seen, '')
  nvim:type('j')
  wait_for_last(seen, '        j')
  expect(seen:sights(14, first), { row, '        x', '', '        j' }, 'what stood in the line, after a letter of it')
  seen:close()
end, settings)

-- Two functions, the second one to be gone on with; several lines are wanted.
local shop = vim.list_extend(vim.deepcopy(suite.average), { '', '', 'def total_price(items):', '    ' })

case('of several lines none is there twice while they are typed along', function(nvim)
  nvim:type('GA')
  child.wait('ghost text of several lines', function()
    return nvim:screen()[11]:find('%a')
  end)
  ask_no_more(nvim)
  local seen = redraws.of(nvim)
  local first = #seen.frames
  local function shown(frame)
    return table.concat(vim.list_slice(frame.rows, 9, 12), '\n')
  end
  local whole = shown(seen:last())
  local lines = vim.split(whole, '\n')
  local function type_line(number, keys)
    nvim:type(keys)
    child.wait('it is typed', function()
      return nvim:lines()[number] == lines[number - 8]
    end)
  end
  type_line(9, vim.trim(lines[1]))
  type_line(10, '<CR>' .. vim.trim(lines[2]))
  child.wait('it is drawn', function()
    return seen:last().cursor[1] == 10 and seen:last().cursor[2] == #lines[2]
  end)
  for i = first, #seen.frames do
    -- An indentation is written as a line begins, and the cursor stands behind it.
    expect(shown(seen.frames[i]), whole, 'what stands there in redraw ' .. i)
  end
  nvim:type('<Tab>')
  child.wait('the rest is accepted', function()
    local text = table.concat(vim.list_slice(nvim:lines(), 9), '\n')
    return #nvim:lines() > 10 and vim.startswith(text, lines[1] .. '\n' .. lines[2] .. '\n' .. lines[3])
  end)
  seen:close()
end, shop)

case('ghost text and the popup are never there together', function(nvim)
  nvim:type(':set completeopt=menuone<CR>' .. at_hole)
  nvim:wait_for_row(14, row)
  nvim:type('js')
  wait_for_lines(nvim, 'it is typed', with_hole_filled('js'))
  local seen = redraws.of(nvim)
  wait_for_last(seen, row)
  local first = #seen.frames
  nvim:type('<C-n>')
  child.wait('the popup is drawn', function()
    return seen:last().rows[15]:find('json', 1, true)
  end)
  for i = first, #seen.frames do
    local rows = seen.frames[i].rows
    if rows[15]:find('json', 1, true) then
      expect(rows[14], '        json', 'the line above the popup')
    end
  end
  nvim:type('<C-y>')
  wait_for_last(seen, row)
  seen:close()
  expect(nvim:lines(), with_hole_filled('json'), 'the buffer')
end, settings)

case('a buffer that can no longer be changed keeps what it has', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, row)
  nvim:lua("vim.bo.modifiable = false; vim.cmd('messages clear')")
  nvim:type('<Tab>')
  nvim:wait_for_screen('E21')
  nvim:type('<Esc><Esc>')
  child.wait('insert mode is left', function()
    return nvim:lua('return vim.api.nvim_get_mode().mode') == 'n'
  end)
  expect(nvim:lines(), settings, 'the buffer')
  expect(suite.messages(nvim):find('Error', 1, true), nil, 'a failure of the plugin\'s')
end, settings)

case('what is typed into a block goes into each of its lines, and ghost text into none', function(nvim)
  nvim:type(':14<CR><C-v>2j$A')
  nvim:wait_for_row(14, row)
  nvim:type('js')
  wait_for_lines(nvim, 'it is typed', with_hole_filled('js'))
  nvim:wait_for_row(14, row)
  nvim:type('<Esc>')
  local lines = with_hole_filled('js')
  lines[15], lines[16] = 'js', 'js'
  wait_for_lines(nvim, 'each line has it', lines)
  nvim:type('u')
  wait_for_lines(nvim, 'one step takes it back', settings)
end, settings)

if vim.snippet then
  case('a snippet keeps its <Tab> as long as it has places left', function(nvim)
    nvim:type(at_hole)
    nvim:wait_for_row(14, row)
    nvim:lua([[vim.snippet.expand('$1\n$0')]])
    local lines = with_hole_filled('')
    table.insert(lines, 15, '        ')
    wait_for_lines(nvim, 'the snippet is there', lines)
    nvim:wait_for_row(14, row)
    nvim:type('<Tab>')
    child.wait('the cursor is at its last place', function()
      return vim.deep_equal(nvim:lua('return vim.api.nvim_win_get_cursor(0)'), { 15, 8 })
    end)
    expect(nvim:lines(), lines, 'the buffer')
    child.wait('ghost text is there, too', function()
      return nvim:screen()[15]:find('%a')
    end)
    nvim:type('<Tab>')
    child.wait('at the last place it is accepted', function()
      return nvim:lines()[15]:find('%a') ~= nil
    end)
  end, settings)
end
