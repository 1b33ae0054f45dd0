-- Ghost text, as it stands on the screen: that it comes, stays, goes and is accepted.
local child = require('child')
local suite = require('suite')

local average = suite.average
local settings = suite.settings
local at_hole = suite.at_hole
local expect = suite.expect
local with_hole_filled = suite.with_hole_filled
local native = suite.native
local case = suite.case

case('a pause in insert mode brings ghost text, and <Tab> accepts it', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, '        json.dump(config, handle, indent=2)')
  expect(nvim:lines(), settings, 'the buffer, while it is only a ghost')
  nvim:type('<Tab>')
  child.wait('it is accepted', function()
    return vim.deep_equal(nvim:lines(), with_hole_filled('json.dump(config, handle, indent=2)'))
  end)
  expect(nvim:lua('return vim.api.nvim_win_get_cursor(0)'), { 14, 43 }, 'the cursor')
end, settings)

case('<Tab> is a tab where there is nothing to accept', function(nvim)
  nvim:type(':1<CR>O<Tab>x')
  child.wait('it is typed', function()
    return nvim:lines()[1] == '    x'
  end)
end)

case('ghost text stays while it is typed along', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, '        json.dump(config, handle, indent=2)')
  nvim:type('jso')
  child.wait('the buffer has it', function()
    return nvim:lines()[14] == '        jso'
  end)
  nvim:wait_for_row(14, '        json.dump(config, handle, indent=2)')
  nvim:type('<Tab>')
  child.wait('it is accepted', function()
    return vim.deep_equal(nvim:lines(), with_hole_filled('json.dump(config, handle, indent=2)'))
  end)
end, settings)

case('ghost text goes when something else is typed, and when insert mode is left', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, '        json.dump(config, handle, indent=2)')
  nvim:type('<Esc>')
  child.wait('the ghost has gone', function()
    return nvim:screen()[14] == ''
  end)
  expect(nvim:lines(), settings, 'the buffer')
end, settings)

case('one word of it can be accepted', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, '        json.dump(config, handle, indent=2)')
  nvim:type('<M-Right>')
  child.wait('the word is there', function()
    return vim.deep_equal(nvim:lines(), with_hole_filled('json'))
  end)
  nvim:wait_for_row(14, '        json.dump(config, handle, indent=2)')
end, settings)

case('it lands at the cursor after characters of two UTF-16 units', function(nvim)
  nvim:type(':13<CR>A  # 😀é<Esc>' .. at_hole)
  child.wait('a ghost is there', function()
    return nvim:screen()[14]:find('%w') -- not the mark of one that is asked for
  end)
  local shown = nvim:screen()[14]
  nvim:type('<Tab>')
  child.wait('it is accepted', function()
    return nvim:lines()[14] == shown
  end)
  expect(nvim:lines()[13], '    with open(path, "w") as handle:  # 😀é', 'the line before')
end, settings)

case('a ghost in the middle of a line leaves the rest of the line in sight', function(nvim)
  nvim:lua("require('hearth.ghost_text').draw(0, 1, 12, 'sum(values)', 1)") -- before the "0" of "= 0"
  if vim.fn.has('nvim-0.10') == 0 then -- at its end
    nvim:wait_for_row(2, '    total = 0 sum(values)')
    nvim:lua("require('hearth.ghost_text').draw(0, 1, 4, 'x = 1\\ny = 2; ', 9)")
    nvim:wait_for_row(2, '    total = 0 x = 1')
    nvim:wait_for_row(3, 'y = 2;')
    return nvim:wait_for_row(4, '    for value in values:')
  end
  nvim:wait_for_row(2, '    total = sum(values)0')
  nvim:lua("vim.bo.tabstop = 8; require('hearth.ghost_text').draw(0, 1, 4, 'x = 1\\n\\ty = 2; ', 9)")
  nvim:wait_for_row(2, '    x = 1')
  nvim:wait_for_row(3, '        y = 2; total = 0')
  nvim:wait_for_row(4, '    for value in values:')
  expect(nvim:lines(), average, 'the buffer')
end)

case('positions count in the units of each encoding', function(nvim)
  local counted = nvim:lua([[
    local position = require('hearth.position')
    local line = 'aé😀b' -- 1, 2, 4 and 1 bytes
    local result = {}
    for _, encoding in ipairs({ 'utf-8', 'utf-16', 'utf-32' }) do
      local characters, columns = {}, {}
      for _, column in ipairs({ 0, 1, 3, 7, 8, 99 }) do
        table.insert(characters, position.character(line, column, encoding))
        table.insert(columns, position.column(line, characters[#characters], encoding))
      end
      result[encoding] = { characters, columns }
    end
    return result
  ]])
  local columns = { 0, 1, 3, 7, 8, 8 }
  expect(counted['utf-8'], { { 0, 1, 3, 7, 8, 8 }, columns }, 'utf-8')
  expect(counted['utf-16'], { { 0, 1, 2, 4, 5, 5 }, columns }, 'utf-16')
  expect(counted['utf-32'], { { 0, 1, 2, 3, 4, 4 }, columns }, 'utf-32')
end)

-- Two functions, the second one to be gone on with; several lines are wanted.
local shop = {
  'def average(values):',
  '    total = 0',
  '    for value in values:',
  '        total += value',
  '    return total / len(values)',
  '',
  '',
  'def total_price(items):',
  '    ',
}

-- Accepts ghost text in a file with CR LF and writes it: no line may end in anything else.
local function accept_between_crlf(nvim)
  child.wait('ghost text of several lines', function()
    nvim:type('<Esc>GA') -- again where Neovim's own is only then attached
    return vim.wait(5000, function()
      return nvim:screen()[10]:find('%a')
    end, 20)
  end)
  local shown = nvim:screen()
  nvim:type('<Tab>')
  child.wait('it is accepted', function()
    return #nvim:lines() > #shop
  end)
  nvim:type('<Esc>:w<CR>')
  child.wait('it is written', function()
    return not nvim:lua('return vim.bo.modified')
  end)
  local lines = vim.list_slice(shop, 1, 8)
  vim.list_extend(lines, vim.list_slice(shown, 9, #nvim:lines()))
  expect(nvim:bytes(), table.concat(lines, '\r\n') .. '\r\n', 'the file')
end

local crlf_shop = table.concat(shop, '\r\n') .. '\r\n'
case('accepted text keeps a file\'s CR LF', accept_between_crlf, crlf_shop)
if native then
  local without_plugin = { init = 'recipe.lua' }
  case('accepted text keeps a file\'s CR LF, without the plugin', accept_between_crlf, crlf_shop, without_plugin)
end

case('ghost text comes where insert mode began before hearth was attached', function(nvim)
  nvim:wait_for_row(14, '        json.dump(config, handle, indent=2)')
  expect(nvim:lines(), settings, 'the buffer')
end, settings, { arguments = { '+14', '+startinsert!' }, unattached = true })

case('ghost text comes after a file was read again', function(nvim)
  nvim:type(':e!<CR>' .. at_hole)
  nvim:wait_for_row(14, '        json.dump(config, handle, indent=2)')
end, settings)

for _, background in ipairs({ 'dark', 'light' }) do
  case('ghost text is told from the file\'s on 256 colours, ' .. background, function(nvim)
    nvim:type(':set background=' .. background .. '<CR>' .. at_hole)
    nvim:wait_for_row(14, '        json.dump(config, handle, indent=2)')
    local colours
    child.wait('it is drawn', function()
      colours = nvim:attributes('json.dump(config')
      return colours
    end)
    local plain = nvim:attributes('os.remove')
    expect(plain, '', 'the colours of plain text')
    expect(colours ~= plain, true, 'other colours for ghost text: ' .. colours)
  end, settings)
end
