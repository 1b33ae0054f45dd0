-- A change that waits, hunk by hunk: shown at the code as it stands now, made or left out one by one.
local child = require('child')
local suite = require('suite')

local case = suite.case
local expect = suite.expect

local code = {}
for i = 1, 30 do
  code[i] = ('line_%d = %d'):format(i, i)
end

-- A change of lines 5 and 25, as the daemon tells it.
local change = table.concat({
  '```diff', '--- a/stats.py', '+++ b/stats.py',
  '@@ -2,7 +2,7 @@', ' line_2 = 2', ' line_3 = 3', ' line_4 = 4', '-line_5 = 5', '+line_5 = "five"', ' line_6 = 6',
  ' line_7 = 7', ' line_8 = 8',
  '@@ -22,7 +22,8 @@', ' line_22 = 22', ' line_23 = 23', ' line_24 = 24', '-line_25 = 25', '+line_25 = "twenty"',
  '+line_25 += "five"', ' line_26 = 26', ' line_27 = 27', ' line_28 = 28', '```', '',
}, '\n')

local function offer(nvim, id, text)
  child.wait('the model is ready', function() -- until then the daemon tells of its jobs again and again
    return nvim:lua("return require('hearth').statusline()") == 'hearth: ember'
  end)
  nvim:lua([[
    local id, text = ...
    require('hearth.jobs').tell = function(job, verb) told = verb .. ' ' .. job end
    local client = require('hearth.client').any()
    client.handlers['hearth/jobState'](nil, {
      id = id, action = 'edit', title = 'Edit', state = 'waiting', message = 'waiting for your review',
      edits = true, text = text, uri = vim.uri_from_bufnr(vim.fn.bufnr('stats.py')),
    }, { client_id = client.id })
    require('hearth.command').run('job', tostring(id))
  ]], id, text or change)
  nvim:wait_for_screen('`y` makes it, `n` leaves it out')
end

local function with(changes)
  local lines = vim.deepcopy(code)
  for i, line in pairs(changes) do
    lines[i] = line
  end
  return lines
end

local function file(nvim)
  return nvim:lua("return vim.api.nvim_buf_get_lines(vim.fn.bufnr('stats.py'), 0, -1, false)")
end

local function wait_for_file(nvim, what, lines)
  child.wait(what, function()
    return vim.deep_equal(file(nvim), lines)
  end)
end

case('of a change that waits one hunk is made and one left out, and the change waits no longer', function(nvim)
  offer(nvim, 801)
  nvim:wait_for_screen('@@ -2,7 +2,7 @@  line 5')
  nvim:type('/five<CR>y')
  wait_for_file(nvim, 'the first hunk is made', with({ [5] = 'line_5 = "five"' }))
  nvim:type('gg')
  nvim:wait_for_screen('@@ -2,7 +2,7 @@  made')
  expect(nvim:lua('return told'), vim.NIL, 'what the daemon was told, while one is left')
  nvim:type('G[cn')
  child.wait('all is decided', function()
    return nvim:lua('return told') == 'apply 801'
  end)
  nvim:wait_for_screen('Edit: 1 of 2 hunks made')
  expect(nvim:lua([[
    local client = require('hearth.client').any()
    local uri = vim.uri_from_bufnr(vim.fn.bufnr('stats.py'))
    local left_out = { label = 'Edit', edit = { changes = { [uri] = { {
      range = { start = { line = 24, character = 0 }, ['end'] = { line = 25, character = 0 } }, newText = 'twenty',
    } } } } }
    local function answer() return client.handlers['workspace/applyEdit'](nil, left_out, { client_id = client.id }) end
    local first = answer().applied
    client.handlers['hearth/jobState'](nil, {
      id = 801, action = 'edit', title = 'Edit', state = 'done', message = 'done', edits = true,
    }, { client_id = client.id })
    return { first, require('hearth.jobs').describe(require('hearth.jobs').find(801)) }
  ]]), { true, 'Edit: done, 1 of 2 hunks made' }, 'what the daemon is answered, and how the job ended')
  expect(file(nvim), with({ [5] = 'line_5 = "five"' }), 'the file')
  nvim:type('<C-w>pu')
  wait_for_file(nvim, 'it is undone in one step', code)
end, code)

case('a change of which every hunk is left out is dropped', function(nvim)
  offer(nvim, 805)
  nvim:type('/five<CR>n')
  nvim:wait_for_screen('@@ -2,7 +2,7 @@  left out')
  nvim:type('G[cn')
  child.wait('all is decided', function()
    return nvim:lua('return told') == 'dismiss 805'
  end)
  expect(file(nvim), code, 'the file')
end, code)

case('a hunk is shown and made where its code is now, and says so where it fits no more', function(nvim)
  nvim:type('ggO# new<Esc>')
  offer(nvim, 802)
  nvim:wait_for_screen('@@ -2,7 +2,7 @@  line 6')
  nvim:type('<C-w>p:7s/6/six/<CR>:26s/25/26/<CR>') -- around the first hunk, in the second
  nvim:type('<C-w>p')
  nvim:wait_for_screen('@@ -2,7 +2,7 @@  line 6')
  nvim:type('G[c')
  nvim:wait_for_screen('@@ -22,7 +22,8 @@  does not fit any more')
  local before = file(nvim)
  nvim:lua("vim.cmd('messages clear')")
  nvim:type('y')
  child.wait('it is said', function()
    return nvim:lua("return vim.api.nvim_exec('messages', true)"):find('this hunk does not fit any more', 1, true)
  end)
  expect(file(nvim), before, 'the file')
  nvim:type('gg]cy')
  before[6] = 'line_5 = "five"'
  wait_for_file(nvim, 'the one that fits is made', before)
end, code)

case('as long as no hunk is decided, the daemon makes or drops the whole change', function(nvim)
  offer(nvim, 803)
  nvim:type('a')
  child.wait('it is told', function()
    return nvim:lua('return told') == 'apply 803'
  end)
  nvim:type('d')
  child.wait('it is told', function()
    return nvim:lua('return told') == 'dismiss 803'
  end)
  expect(file(nvim), code, 'the file')
end, code)

case('changes that wait are a quickfix list, an entry for each hunk at its place', function(nvim)
  offer(nvim, 804)
  nvim:type(':Hearth changes<CR>')
  child.wait('the list is there', function()
    return #nvim:lua('return vim.fn.getqflist()') == 2
  end)
  local lines = vim.tbl_map(function(entry)
    return { entry.lnum, entry.text }
  end, nvim:lua('return vim.fn.getqflist()'))
  expect(lines, { { 5, 'Edit (job 804): line_5 = "five"' }, { 25, 'Edit (job 804): line_25 = "twenty"' } }, 'the list')
end, code)

case('hunks are read and placed, with empty lines, deletions and insertions', function(nvim)
  local result = nvim:lua([[
    local hunks = require('hearth.hunks')
    local read = hunks.read({ '@@ -0,0 +1,2 @@', '+a', '+', '@@ -3,3 +5,2 @@', ' x', '--- y', ' z', '@@ -9,0 +9,1 @@', '+q' })
    local function place(hunk, lines) local at, old, new = hunks.place(hunk, lines) return { at or 0, old or {}, new or {} } end
    return {
      #read, place(read[1], { '' }), place(read[1], { 'b' }), place(read[2], { 'x', '-- y', 'z', 'x', '-- y', 'z' }),
      place(read[2], { 'x', 'y', 'z' }), place(read[2], { 'w', '-- y', 'w' }), place(read[2], { '-- y', 'w', '-- y' }),
    }
  ]])
  expect(result, {
    3, { 1, { '' }, { 'a', '' } }, { 0, {}, {} }, { 5, { '-- y' }, {} }, { 0, {}, {} }, { 2, { '-- y' }, {} }, { 0, {}, {} },
  }, 'where they are')
end)

case('a hunk of another file is placed and made there', function(nvim)
  local other = vim.fn.fnamemodify(nvim.path, ':h') .. '/other.py'
  vim.fn.writefile({ 'x = 1', 'y = 2' }, other)
  local hunk = '--- a/other.py\n+++ b/other.py\n@@ -1,2 +1,2 @@\n x = 1\n-y = 2\n+y = 3\n```\n'
  offer(nvim, 806, (change:gsub('```\n$', hunk)))
  nvim:type('G')
  nvim:wait_for_screen('@@ -1,2 +1,2 @@  line 2')
  nvim:type('y')
  child.wait('it is made there', function()
    local lines = nvim:lua('return vim.api.nvim_buf_get_lines(vim.fn.bufnr(...), 0, -1, false)', other)
    return vim.deep_equal(lines, { 'x = 1', 'y = 3' })
  end)
  expect(file(nvim), code, 'the file that was asked about')
  nvim:type(':Hearth changes<CR>')
  child.wait('the list names it', function()
    return nvim:lua([[
      local third = vim.fn.getqflist()[3]
      return third and third.bufnr == vim.fn.bufnr(...)
    ]], other)
  end)
end, code)
