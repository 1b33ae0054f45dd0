-- hearth in a real Neovim, from the keys to the screen: attach, explain, ghost text, accept. The
-- answers are the embedded checkpoint's, as the reference implementation gives them
-- (tests/golden/ember.safetensors).
local child = require('child')

local average = {
  'def average(values):',
  '    total = 0',
  '    for value in values:',
  '        total += value',
  '    return total / len(values)',
}
local explanation = 'Computes the average of the values: it adds them up and divides the total by their '
  .. 'number. An empty list gives zero.'

local settings = {
  'import json',
  '',
  '',
  'def load_config(path, default=None):',
  '    """Read the configuration file."""',
  '    if not os.path.exists(path):',
  '        return default',
  '    with open(path) as handle:',
  '        return json.load(handle)',
  '',
  '',
  'def save_config(path, config):',
  '    with open(path, "w") as handle:',
  '        ',
  '',
  '',
  'def remove_config(path):',
  '    os.remove(path)',
}
local at_hole = ':14<CR>A'

local function expect(actual, expected, what)
  if not vim.deep_equal(actual, expected) then
    error(('%s:\n  is       %s\n  expected %s'):format(what, vim.inspect(actual), vim.inspect(expected)), 2)
  end
end

local function with_hole_filled(text)
  local lines = vim.deepcopy(settings)
  lines[14] = lines[14] .. text
  return lines
end

local cases = {}
local function case(name, run, file)
  table.insert(cases, { name = name, run = run, file = file })
end

case("Neovim's own code action menu offers *Explain selection*, and choosing it explains", function(nvim)
  nvim:lua([[
    vim.ui.select = function(items, options, choose)
      offered = vim.tbl_map(options.format_item, items)
      choose(items[1], 1)
    end
  ]])
  nvim:type('ggVG')
  nvim:type(nvim:lua([[
    return vim.lsp.buf.range_code_action and ':lua vim.lsp.buf.range_code_action()<CR>'
      or '<Cmd>lua vim.lsp.buf.code_action()<CR><Esc>'
  ]]))
  child.wait('the menu came', function()
    return nvim:lua('return offered ~= nil')
  end)
  expect(#vim.tbl_filter(function(title)
    return title:find('Explain selection', 1, true)
  end, nvim:lua('return offered')), 1, 'how often it is offered')
  child.wait('the explanation is whole', function()
    local answer = nvim:answer()
    return answer and answer.text == explanation
  end)
end)

case(':HearthExplain streams the explanation into a Markdown window', function(nvim)
  nvim:lua([[
    growth = {}
    require('hearth.jobs').on_change(function(job)
      if #job.text ~= growth[#growth] then table.insert(growth, #job.text) end
    end)
  ]])
  nvim:type(':1,5HearthExplain<CR>')
  child.wait('the job is done', function()
    return nvim:lua([[return growth[1] ~= nil and require('hearth.jobs').running() == nil]])
  end)
  expect(nvim:answer().text, explanation, 'the answer')
  expect(nvim:answer().filetype, 'markdown', 'its file type')
  nvim:wait_for_screen('Computes the average of the values: it adds them up')
  nvim:wait_for_screen('Explain') -- the window's bar
  local growth = nvim:lua('return growth')
  expect(#growth > 3, true, 'it came in pieces')
  expect(nvim:lines(), average, 'the file, untouched')
end)

local long_function = { 'def totals(values):', '    total = 0' }
for i = 1, 60 do
  table.insert(long_function, ('    total += values[%d] * %d'):format(i, i * i))
end

case(':HearthCancel stops the computation', function(nvim)
  nvim:lua([[
    require('hearth.jobs').on_change(function(job)
      last = job.state.state
      if not asked_to_stop then
        asked_to_stop = true
        vim.cmd('HearthCancel')
      end
    end)
  ]])
  nvim:type(':%HearthExplain<CR>')
  child.wait('the job has ended', function()
    return nvim:lua("return last == 'cancelled' or last == 'done' or last == 'failed'")
  end)
  expect(nvim:lua('return last'), 'cancelled', 'how the job ended')
  expect(nvim:lines(), long_function, 'the file, untouched')
end, long_function)

case(':HearthStatus and the status line name the model', function(nvim)
  child.wait('the model is ready', function()
    return nvim:lua("return require('hearth').statusline()") == 'hearth: ember'
  end)
  nvim:type(':HearthStatus<CR>')
  child.wait('a float says so', function()
    local windows = nvim:windows()
    return #windows == 2 and windows[2].text:find('model: ember', 1, true)
  end)
end)

case('a pause in insert mode brings ghost text, and <Tab> accepts it', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, '        return default')
  expect(nvim:lines(), settings, 'the buffer, while it is only a ghost')
  nvim:type('<Tab>')
  child.wait('it is accepted', function()
    return vim.deep_equal(nvim:lines(), with_hole_filled('return default'))
  end)
  expect(nvim:lua('return vim.api.nvim_win_get_cursor(0)'), { 14, 22 }, 'the cursor')
end, settings)

case('<Tab> is a tab where there is nothing to accept', function(nvim)
  nvim:type(':1<CR>O<Tab>x')
  child.wait('it is typed', function()
    return nvim:lines()[1] == '    x'
  end)
end)

case('ghost text stays while it is typed along', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, '        return default')
  nvim:type('ret')
  child.wait('the buffer has it', function()
    return nvim:lines()[14] == '        ret'
  end)
  nvim:wait_for_row(14, '        return default')
  nvim:type('<Tab>')
  child.wait('it is accepted', function()
    return vim.deep_equal(nvim:lines(), with_hole_filled('return default'))
  end)
end, settings)

case('ghost text goes when something else is typed, and when insert mode is left', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, '        return default')
  nvim:type('<Esc>')
  child.wait('the ghost has gone', function()
    return nvim:screen()[14] == ''
  end)
  expect(nvim:lines(), settings, 'the buffer')
end, settings)

case('one word of it can be accepted', function(nvim)
  nvim:type(at_hole)
  nvim:wait_for_row(14, '        return default')
  nvim:type('<M-Right>')
  child.wait('the word is there', function()
    return vim.deep_equal(nvim:lines(), with_hole_filled('return'))
  end)
  nvim:wait_for_row(14, '        return default')
end, settings)

case('it lands at the cursor after characters of two UTF-16 units', function(nvim)
  nvim:type(':13<CR>A  # 😀é<Esc>' .. at_hole)
  child.wait('a ghost is there', function()
    return nvim:screen()[14]:find('%S')
  end)
  local shown = nvim:screen()[14]
  nvim:type('<Tab>')
  child.wait('it is accepted', function()
    return nvim:lines()[14] == shown
  end)
  expect(nvim:lines()[13], '    with open(path, "w") as handle:  # 😀é', 'the line before')
end, settings)

case('a ghost in the middle of a line leaves the rest of the line in sight', function(nvim)
  nvim:lua("require('hearth.ghost_text').draw(0, 1, 12, 'sum(values)', 1)") -- over the "0"… of "= 0"
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

case('an option that does not exist is refused by name', function(nvim)
  local problem = nvim:lua("return select(2, pcall(require('hearth').setup, { inline = { delay = 3 } }))")
  expect(problem, 'hearth.setup: unknown option inline.delay', 'the error')
end)

-- A request that meets the daemon's death fails and says "ask again": a person does.
local function explain_until_it_comes(nvim)
  child.wait('an explanation comes', function()
    nvim:type(':silent! only<CR>:1,5HearthExplain<CR>')
    return vim.wait(5000, function()
      local answer = nvim:answer()
      return answer and answer.text == explanation
    end, 50)
  end)
end

case('a daemon that goes is started again, and the next answer comes', function(nvim)
  vim.fn.system({ vim.env.HEARTH_UNDER_TEST, 'stop' })
  explain_until_it_comes(nvim)
end)

-- Each round the daemon dies a little later in its answer. A forwarder gives up on a daemon that
-- dies again and again, so that each editor sees few rounds.
local function kill_series(rounds)
  local nvim
  for round = 1, rounds do
    if round % 4 == 1 then
      nvim = child.edit('stats.py', average)
    end
    nvim:type(':silent! only<CR>:1,5HearthExplain<CR>')
    vim.wait(round * 5, function() end)
    local status = vim.fn.system({ vim.env.HEARTH_UNDER_TEST, 'status', '--json' })
    vim.loop.kill(vim.fn.json_decode(status).pid, 'sigkill')
    child.wait('no job is thought to run', function()
      return nvim:lua("return require('hearth.jobs').running() == nil")
    end)
    explain_until_it_comes(nvim)
    if round % 4 == 0 then
      nvim:close()
    end
  end
end

if vim.env.HEARTH_LONG then
  case('a daemon that is killed at any moment of an answer costs that answer and no more', function(other)
    other:close()
    kill_series(40)
  end)
end

-- ── The runner ─────────────────────────────────────────────────────────────────────────────────
local function say(text)
  io.stdout:write(text .. '\n')
end

local failures = 0
for _, test in ipairs(cases) do
  local nvim
  local ok, problem = pcall(function()
    nvim = child.edit('stats.py', test.file or average)
    test.run(nvim)
  end)
  say((ok and 'ok      ' or 'FAILED  ') .. test.name)
  if not ok then
    failures = failures + 1
    say('  ' .. tostring(problem))
    pcall(function()
      say('  the screen:\n    ' .. table.concat(nvim:screen(), '\n    '))
      say('  messages:\n' .. nvim:lua("return vim.api.nvim_exec('messages', true)"))
    end)
  end
  if nvim then
    nvim:close()
  end
end
say(('test cases: %d | %d passed | %d failed'):format(#cases, #cases - failures, failures))
vim.cmd(failures == 0 and 'qall!' or 'cquit 1')
