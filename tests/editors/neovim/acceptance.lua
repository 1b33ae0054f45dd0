-- Ghost text where more is going on than typing: undo, parts of it, the completion popup, buffers that
-- cannot be changed, mappings of one's own.
local child = require('child')
local suite = require('suite')

local case = suite.case
local expect = suite.expect
local settings = suite.settings
local at_hole = suite.at_hole
local with_hole_filled = suite.with_hole_filled

local ghost = 'json.dump(config, handle, indent=2)'

local function wait_for_lines(nvim, what, lines)
  child.wait(what, function()
    return vim.deep_equal(nvim:lines(), lines)
  end)
end

case('undo takes an acceptance back in one step, and what was typed around it in others', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, '        ' .. ghost)
  nvim:type('js')
  wait_for_lines(nvim, 'it is typed', with_hole_filled('js'))
  nvim:wait_for_row(14, '        ' .. ghost)
  nvim:type('<Tab>')
  wait_for_lines(nvim, 'it is accepted', with_hole_filled(ghost))
  nvim:type('  # done<Esc>')
  wait_for_lines(nvim, 'more is typed', with_hole_filled(ghost .. '  # done'))
  nvim:type('u')
  wait_for_lines(nvim, 'what was typed behind it is gone', with_hole_filled(ghost))
  nvim:type('u')
  wait_for_lines(nvim, 'the acceptance is gone', with_hole_filled('js'))
  nvim:type('u')
  wait_for_lines(nvim, 'what was typed before it is gone', settings)
end, settings)

case('the cursor stays where a person put it while ghost text is shown', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, '        ' .. ghost)
  expect(nvim:lua('return vim.api.nvim_win_get_cursor(0)'), { 14, 8 }, 'the cursor')
  nvim:type('json')
  wait_for_lines(nvim, 'it is typed', with_hole_filled('json'))
  nvim:wait_for_row(14, '        ' .. ghost)
  expect(nvim:lua('return vim.api.nvim_win_get_cursor(0)'), { 14, 12 }, 'the cursor, after typing along')
end, settings)

case('mappings of one\'s own accept ghost text, all of it, a word or a line', function(nvim)
  nvim:lua([[
    for key, name in pairs({ ['<C-j>'] = 'accept', ['<C-k>'] = 'accept-word', ['<C-l>'] = 'accept-line' }) do
      vim.keymap.set('i', key, '<Plug>(hearth-' .. name .. ')')
    end
  ]])
  nvim:type(at_hole)
  nvim:wait_for_row(14, '        ' .. ghost)
  nvim:type('<C-k>')
  wait_for_lines(nvim, 'a word is accepted', with_hole_filled('json'))
  nvim:wait_for_row(14, '        ' .. ghost)
  nvim:type('<C-l>')
  wait_for_lines(nvim, 'the line is accepted', with_hole_filled(ghost))
end, settings)

case('while the completion popup is open the keys are its own', function(nvim)
  nvim:type(at_hole .. 're<C-n>')
  child.wait('the popup is open', function()
    return nvim:lua('return vim.fn.pumvisible() == 1')
  end)
  expect(nvim:lua("return vim.fn.maparg('<Tab>', 'i', false, true).desc"), 'hearth: accept', 'who has the key')
  expect(nvim:lua("return require('hearth.ghost').visible()"), false, 'ghost text beside the popup')
  nvim:type('<C-y>')
  wait_for_lines(nvim, 'the popup\'s word is there', with_hole_filled('remove_config'))
end, settings)

case('a buffer that cannot be changed has no ghost text', function(nvim)
  nvim:type(':set nomodifiable<CR>' .. at_hole .. '<Esc>')
  nvim:wait_for_screen('E21')
  expect(nvim:lines(), settings, 'the buffer')
  nvim:type(':set modifiable readonly<CR>' .. at_hole)
  nvim:wait_for_row(14, '        ' .. ghost)
end, settings)
