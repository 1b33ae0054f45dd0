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
  .. 'number.'

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

local native = vim.lsp.inline_completion ~= nil -- the Neovim under test runs this file, too

local cases = {}
-- `file` and `options` as child.edit() takes them.
local function case(name, run, file, options)
  if name:find(vim.env.HEARTH_CASES or '', 1, true) then
    table.insert(cases, { name = name, run = run, file = file, options = options })
  end
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

case('the status line tells how far the model is loaded', function(nvim)
  local function shown(model)
    return nvim:lua(
      [[
        local client = require('hearth.client').any()
        client.handlers['hearth/status'](nil, { model = ... }, { client_id = client.id })
        return require('hearth').statusline()
      ]],
      model
    )
  end
  child.wait('the model is ready', function()
    return nvim:lua("return require('hearth').statusline()") == 'hearth: ember'
  end)
  expect(shown({ state = 'loading' }), 'hearth: loading', 'before anything is known')
  expect(shown({ state = 'loading', percentage = 0 }), 'hearth: loading 0%', 'without a time')
  expect(shown({ state = 'loading', percentage = 20, etaMs = 39001 }), 'hearth: loading 20% 40 s', 'with a time')
  expect(shown({ state = 'ready', name = 'ember' }), 'hearth: ember', 'once it is there')
end)

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
    nvim:look()
    local colours
    child.wait('it is drawn', function()
      colours = nvim:attributes('json.dump(config')
      return colours
    end)
    local plain = nvim:attributes('os.remove')
    expect(plain, '', 'the colours of plain text')
    expect(colours ~= plain, true, 'other colours for ghost text: ' .. colours)
  end, settings, { terminal = not native })
end

-- What is said after `keys`: one line, word for word.
local function expect_said(nvim, keys, said)
  nvim:lua("vim.cmd('messages clear')")
  nvim:type(keys)
  child.wait('it says something', function()
    return nvim:lua("return vim.api.nvim_exec('messages', true)") ~= ''
  end)
  expect(nvim:lua("return vim.api.nvim_exec('messages', true)"), said, 'what is said after ' .. keys)
end

case('options that are wrong are told in one line, and again by what needs them', function(nvim)
  for lua, problem in pairs({
    ['{ inline = { delay = 3 } }'] = 'unknown option inline.delay',
    ['{ inline = { debounce_ms = -1 } }'] = 'inline.debounce_ms must be a whole number from 0, not -1',
    ['{ inline = 3 }'] = 'inline must be a table, not a number',
    ["{ cmd = 'hearth lsp' }"] = "cmd must be a list of words, such as { 'hearth', 'lsp' }",
    ['{ cmd = {} }'] = "cmd must be a list of words, such as { 'hearth', 'lsp' }",
    ['{ filetypes = { 3 } }'] = "filetypes must be a list of words, such as { 'python', 'cpp' }",
    ["{ answer = { view = 'tab' } }"] = "answer.view must be 'split', 'vsplit' or 'float', not 'tab'",
    ['{ keys = { accept = true } }'] = "keys.accept must be a key such as '<Tab>', or false",
    ["'python'"] = 'the options must be a table, not a string',
  }) do
    expect_said(nvim, (':lua require("hearth").setup(%s)<CR>'):format(lua), 'hearth.setup: ' .. problem)
  end
  nvim:lua("require('hearth').setup({ answer = { size = 1.5 } })")
  nvim:type(':vsplit other.py<CR>')
  child.wait('another file is there', function()
    return nvim:lua("return vim.fn.expand('%:t')") == 'other.py'
  end)
  nvim:lua("require('hearth.client').of = function() end") -- as if setup() had never been right
  expect_said(nvim, ':HearthExplain<CR>',
    'hearth: setup() refused the options: answer.size must be a whole number from 0, not 1.5')
end)

case(':HearthAction lists what the server offers, in its menu and in its completion', function(nvim)
  local names = nvim:lua("return require('hearth.actions').names()")
  expect(vim.tbl_contains(names, 'explain'), true, 'explain is among the names')
  expect(nvim:lua("return vim.fn.getcompletion('HearthAction ', 'cmdline')"), names, 'the completion')
  nvim:lua([[
    vim.ui.select = function(items, options, choose)
      offered = vim.tbl_map(options.format_item, items)
      choose(items[1], 1)
    end
  ]])
  nvim:type(':1,5HearthAction<CR>')
  child.wait('the menu came', function()
    return nvim:lua('return offered ~= nil')
  end)
  local offered = table.concat(nvim:lua('return offered'), '\n')
  for _, title in ipairs({ 'Explain selection', 'Edit selection…', 'Document selection', 'Review selection' }) do
    expect(offered:find(title, 1, true) ~= nil, true, title .. ' is offered')
  end
  child.wait('the explanation is whole', function()
    local answer = nvim:answer()
    return answer and answer.text == explanation
  end)
  expect_said(nvim, ':1,5HearthAction sing<CR>', 'hearth: there is no action sing')
end)

case(':HearthAction changes code, in the buffer and as one step to undo', function(nvim)
  local before = nvim:lines()
  nvim:type(':1,5HearthAction document<CR>')
  child.wait('the function has its docstring', function()
    return table.concat(nvim:lines(), '\n'):find('"""', 1, true) ~= nil
  end)
  expect(nvim:answer(), nil, 'no window for an answer')
  local lines = nvim:lines()
  expect(#lines > #before, true, 'lines were added')
  expect(lines[1], before[1], 'the line above')
  nvim:wait_for_screen('"""')
  nvim:type('u')
  expect(nvim:lines(), before, 'undone in one step')
  nvim:type(':1,5HearthAction edit rename the function to `mean`<CR>')
  child.wait('the function has its new name', function()
    return nvim:lines()[1]:find('def mean', 1, true) ~= nil
  end)
end)

case('each reason why a buffer is not served has its own sentence', function(nvim)
  for keys, said in pairs({
    [':new<CR>'] = 'this buffer has no name yet; :write NAME gives it one',
    [':new notes<CR>'] = "this buffer has no file type; ':set filetype=python', say, gives it one",
    [':new notes.vim<CR>'] = "the file type 'vim' is not among the filetypes of setup()",
    [':help<CR>'] = "this window shows no file but a buffer of the type 'help'",
  }) do
    nvim:type(keys)
    expect_said(nvim, ':HearthExplain<CR>', 'hearth: ' .. said)
    nvim:type(':bwipe!<CR>')
  end
  local folder = vim.fn.fnamemodify(nvim.path, ':h')
  nvim:type((':new<CR>ix = 1<Esc>:set filetype=python<CR>:write %s/named.py<CR>'):format(folder))
  child.wait('a buffer that was given a name is attached', function()
    return nvim:lua("return vim.fn.expand('%:t') == 'named.py' and require('hearth.client').of(0) ~= nil")
  end)
end)

case('a configuration that hearth refuses is told in one line', function(nvim)
  vim.fn.system({ vim.env.HEARTH_UNDER_TEST, 'stop' })
  local file = vim.env.XDG_CONFIG_HOME .. '/hearth/config.toml'
  vim.fn.mkdir(vim.fn.fnamemodify(file, ':h'), 'p')
  vim.fn.writefile({ '[inline]', 'hold = 3' }, file)
  local problem = 'hearth cannot start: ' .. file .. ':2: inline.hold'
  local ok, failure = pcall(function()
    local other = child.edit('stats.py', average, { unattached = true })
    child.wait('it is told', function()
      return other:lua("return vim.api.nvim_exec('messages', true)"):find(problem, 1, true)
    end)
    local messages = other:lua("return vim.api.nvim_exec('messages', true)")
    expect(messages:find('traceback'), nil, 'a stack trace in ' .. messages)
    expect(#vim.split(vim.trim(messages), '\n'), 1, 'lines of ' .. messages)
    child.wait('it has gone', function()
      return other:lua("return require('hearth.client').of(0) == nil")
    end)
    vim.fn.delete(file)
    other:type(':HearthExplain<CR>')
    child.wait('it is started again, as the configuration is mended', function()
      return other:lua("return require('hearth.client').of(0) ~= nil")
    end)
    messages = other:lua("return vim.api.nvim_exec('messages', true)")
    expect(messages:find('is started again; before: ' .. problem, 1, true) ~= nil, true, 'the reason in ' .. messages)
    other:close()
  end)
  vim.fn.delete(file)
  if not ok then
    error(failure, 0)
  end
end)

local function explain_twice(nvim, keys)
  for round = 1, 2 do
    nvim:type(keys)
    child.wait('an explanation comes', function()
      return nvim:lua([[
        local jobs = require('hearth.jobs')
        return jobs.count() == ... and not jobs.running()
      ]], round)
    end)
  end
end

for _, view in ipairs({ 'split', 'float' }) do
  case('a finished answer makes room for the next one: ' .. view, function(nvim)
    nvim:lua("require('hearth').setup({ answer = { view = ... } })", view)
    explain_twice(nvim, (view == 'float' and '<C-w>p' or '') .. ':1,5HearthExplain<CR>')
    local windows = nvim:windows()
    expect(#windows, 2, 'the windows')
    expect(nvim:answer().text, explanation, 'the answer')
  end)
end

case(':checkhealth hearth tells what is there and what is wrong', function(nvim)
  child.wait('the model is ready', function()
    return nvim:lua("return require('hearth').statusline()") == 'hearth: ember'
  end)
  local function health()
    nvim:type(':checkhealth hearth<CR>')
    child.wait('the report is there', function()
      return nvim:lua('return vim.bo.filetype'):find('checkhealth') and #nvim:lines() > 5
    end)
    local report = table.concat(nvim:lines(), '\n')
    nvim:type(':bwipe!<CR>')
    return report
  end
  local function expect_in(report, words)
    expect(report:find(words, 1, true) ~= nil, true, words .. ' in:\n' .. report)
  end
  local report = health()
  expect(report:find('ERROR') or report:find('WARNING'), nil, 'a complaint in:\n' .. report)
  for _, words in ipairs({ 'the options of setup() are in order', 'attached: ', 'stats.py', vim.env.HEARTH_UNDER_TEST,
    'its configuration can be read', 'it runs: process', 'model: ember', 'its log: ', 'Neovim 0.' }) do
    expect_in(report, words)
  end
  nvim:lua("require('hearth').setup({ answer = { view = 'tab' } })")
  expect_in(health(), "answer.view must be 'split', 'vsplit' or 'float', not 'tab'")
  nvim:lua("require('hearth').setup({ cmd = { 'no-such-hearth', 'lsp' } })")
  expect_in(health(), "there is no program 'no-such-hearth'")
  nvim:lua("require('hearth').setup({ cmd = { 'true', 'lsp' } })")
  expect_in(health(), "true --version' failed")
end)

-- ── Jobs: what a person says of them, and what they live through ───────────────────────────────

-- What was said since the last look.
local function messages(nvim)
  local said = nvim:lua("return vim.api.nvim_exec('messages', true)")
  nvim:lua("vim.cmd('messages clear')")
  return said
end

-- Chooses the entries that have these words, in this order, from the menus that come; keeps the menus.
local function choose_from_menus(nvim, ...)
  nvim:lua([[
    local wanted = { ... }
    menus = {}
    vim.ui.select = function(items, options, choose)
      local titles = vim.tbl_map(options.format_item, items)
      table.insert(menus, titles)
      local words = table.remove(wanted, 1)
      for i, title in ipairs(titles) do
        if words and title:find(words, 1, true) then
          return choose(items[i], i)
        end
      end
      choose(nil)
    end
  ]], ...)
end

-- Types `keys`, which start a job, and executes `command` as soon as `condition` holds for the running job.
local function type_then(nvim, keys, condition, command)
  nvim:lua([[
    local condition, command = ...
    local is_time = assert(loadstring('local job = ... return ' .. condition))
    local jobs = require('hearth.jobs')
    local done = false
    jobs.on_change(function(job)
      if not done and jobs.runs(job) and is_time(job) then
        done = true
        vim.cmd(command)
      end
    end)
  ]], condition, command)
  vim.fn.rpcnotify(nvim.channel, 'nvim_input', keys) -- there may be nobody left to answer
end
local is_writing = "job.text ~= ''"
local is_computing = "job.state.state ~= 'queued'"

local function youngest(nvim)
  return nvim:lua([[
    local job = require('hearth.jobs').youngest(function() return true end)
    return job and { id = job.id, state = job.state.state, text = job.text, message = job.state.message } or {}
  ]])
end

local function wait_for_state(nvim, state)
  child.wait('the job is ' .. state, function()
    return youngest(nvim).state == state
  end)
end

-- Asks for an explanation and executes `command` at that moment; again where the answer was whole
-- before that had any effect. The job that is `state` now.
local function explain_until(nvim, state, moment, command)
  local job = {}
  repeat
    local before = job.id
    type_then(nvim, ':silent! only<CR>:1,5Hearth explain<CR>', moment, command)
    child.wait('the job is done or ' .. state, function()
      job = youngest(nvim)
      return job.id ~= before and (job.state == state or job.state == 'done')
    end)
  until job.state == state
  return job
end

case('a job is paused and gone on with by command, and its answer is the same', function(nvim)
  local job = explain_until(nvim, 'paused', is_writing, 'Hearth pause')
  expect(explanation:sub(1, #job.text), job.text, 'the answer so far')
  expect(nvim:lua("return require('hearth').statusline()"), 'hearth: paused', 'the status line')
  nvim:wait_for_screen('Explain average: paused after')
  expect_said(nvim, ':Hearth pause<CR>', 'hearth: nothing runs')
  nvim:type(':Hearth resume<CR>')
  wait_for_state(nvim, 'done')
  expect(nvim:answer().text, explanation, 'the answer')
  expect(youngest(nvim).id, job.id, 'the number of the job')
end)

case('a job whose connection goes is shown again by the next one, in its window', function(nvim)
  local id = explain_until(nvim, 'paused', is_computing, 'Hearth pause').id
  nvim:lua("vim.lsp.stop_client(require('hearth.client').of(0).id, true)")
  nvim:wait_for_screen('hearth has gone from here; the job goes on')
  expect(nvim:lua("return require('hearth').statusline()"), '', 'the status line')
  nvim:type(':e<CR>')
  nvim:wait_for_screen('Explain average: paused')
  nvim:type(':Hearth resume<CR>')
  wait_for_state(nvim, 'done')
  expect(youngest(nvim).id, id, 'the number of the job')
  expect(#nvim:windows(), 2, 'the windows')
  expect(nvim:answer().text, explanation, 'the answer')
end)

case('a job is stopped, tried again and listed', function(nvim)
  explain_until(nvim, 'cancelled', is_computing, 'Hearth cancel')
  expect_said(nvim, ':Hearth cancel<CR>', 'hearth: nothing runs')
  choose_from_menus(nvim, 'Explain average: cancelled (job ', 'Try it again')
  nvim:type(':Hearth jobs<CR>')
  wait_for_state(nvim, 'done')
  expect(nvim:answer().text, explanation, 'the answer')
  expect(nvim:lua('return menus')[2], { 'Show its answer', 'Try it again', 'Show what the model was shown' },
    'what can be done with a job that was stopped')
end)

-- A change that nobody was there for: its editor goes while it is written. Another one with that file.
local function leave_a_change(nvim)
  local function is_left()
    local folder = vim.uri_from_fname(vim.fn.fnamemodify(nvim.path, ':h'))
    local jobs = vim.fn.json_decode(vim.fn.system({ vim.env.HEARTH_UNDER_TEST, 'jobs', '--json' }))
    return #vim.tbl_filter(function(job)
      return job.workspace == folder and not job.ended
    end, jobs) == 1
  end
  local leaving = nvim
  while true do
    type_then(leaving, ':1,5Hearth document<CR>', is_computing, 'qall!')
    expect(vim.fn.jobwait({ leaving.job }, 120000)[1], 0, 'how the first editor ended')
    leaving = child.edit(nil, nil, { beside = nvim })
    if is_left() then
      return leaving
    end
  end
end

case('a change whose editor went is offered by the next one: made with a key, undone in one step', function(nvim)
  local other = leave_a_change(nvim)
  local before = other:lines()
  wait_for_state(other, 'waiting')
  other:wait_for_screen('Document average waits for you (:Hearth apply, :Hearth dismiss)')
  other:wait_for_screen('Document average: waiting for your review')
  other:wait_for_screen('`a` makes this change, `d` drops it')
  other:wait_for_screen('+    """')
  expect(other:lua([[
    local buffer = vim.tbl_filter(function(each)
      return vim.startswith(vim.api.nvim_buf_get_name(each), 'hearth://')
    end, vim.api.nvim_list_bufs())[1]
    local marks = vim.api.nvim_buf_get_extmarks(buffer, vim.api.nvim_create_namespace('hearth_diff'), 0, -1, { details = true })
    local coloured = {}
    for _, mark in ipairs(marks) do
      local line = vim.api.nvim_buf_get_lines(buffer, mark[2], mark[2] + 1, false)[1]
      coloured[line:sub(1, 2)] = mark[4].hl_group
    end
    return coloured
  ]]), { ['--'] = 'HearthRemoved', ['++'] = 'HearthAdded', ['+ '] = 'HearthAdded', ['@@'] = 'HearthPlace' },
    'the colours of the diff')
  expect(other:lua("return require('hearth').statusline()"), 'hearth: a change waits', 'the status line')
  expect(other:lines(), before, 'the file, before anything is said')
  other:type(':Hearth job<CR>a')
  child.wait('the function has its docstring', function()
    return table.concat(other:lines(), '\n'):find('"""', 1, true) ~= nil
  end)
  wait_for_state(other, 'done')
  expect(#other:windows(), 1, 'the windows, as there is nothing more to read')
  other:type('u')
  child.wait('undone in one step', function()
    return vim.deep_equal(other:lines(), before)
  end)
  other:close()
end)

case('a change that waits is dropped, or kept for later', function(nvim)
  local other = leave_a_change(nvim)
  local before = other:lines()
  wait_for_state(other, 'waiting')
  other:type(':Hearth job<CR>q')
  child.wait('its window is closed', function()
    return other:answer() == nil
  end)
  choose_from_menus(other, 'Document average: waiting for your review (job ', 'Show its answer')
  other:type(':Hearth jobs<CR>')
  child.wait('its window is back', function()
    return other:answer() ~= nil
  end)
  expect(other:answer().text:find('+    """', 1, true) ~= nil, true, 'the change is shown')
  other:type('d')
  wait_for_state(other, 'done')
  expect(other:answer(), nil, 'no window is left')
  expect(other:lines(), before, 'the file')
  expect_said(other, ':Hearth apply<CR>', 'hearth: no change waits')
  other:close()
end)

case('the changes of a batch are told of together, opened one by one and made by its number', function(nvim)
  local folder = vim.fn.fnamemodify(nvim.path, ':h')
  vim.fn.writefile(average, folder .. '/other.py')
  nvim:lua([[
    local jobs = require('hearth.jobs')
    jobs.execute(jobs.connection(), 'runOnFiles', { action = 'document', files = { '*.py' } }, function(result)
      batch = result
    end)
  ]])
  nvim:wait_for_screen(': 2 to review (:Hearth jobs; all: :Hearth apply ')
  expect(#nvim:windows(), 1, 'the windows')
  expect(nvim:lua('return batch.files'), 2, 'the files')
  choose_from_menus(nvim, 'Document stats.py: waiting for your review', 'Show its answer')
  nvim:type(':Hearth jobs<CR>')
  child.wait('a change is shown', function()
    return nvim:answer() and nvim:answer().text:find('+    """', 1, true)
  end)
  nvim:type((':Hearth apply %d<CR>'):format(nvim:lua('return batch.batch')))
  child.wait('both are made', function()
    return nvim:lua("return #require('hearth.jobs').numbers(require('hearth.jobs').waits) == 0")
  end)
  expect(nvim:answer(), nil, 'no window is left')
  expect(table.concat(nvim:lines(), '\n'):find('"""', 1, true) ~= nil, true, 'the open file has its docstring')
end)

-- What a daemon that begins anew tells, word by word: how far it wrote that down is its affair.
case('a job that a new daemon goes on with keeps its window, and no text is there twice', function(nvim)
  child.wait('the model is ready', function()
    return nvim:lua("return require('hearth').statusline()") == 'hearth: ember'
  end)
  local function tell(method, params)
    nvim:lua([[
      local method, params = ...
      local client = require('hearth.client').any()
      client.handlers[method](nil, params, { client_id = client.id })
    ]], method, params)
  end
  local function job(state, text)
    return { id = 900, action = 'explain', title = 'Explain average', state = state, message = state, text = text }
  end
  for _, written in ipairs({ 'Adds ', '' }) do
    tell('hearth/jobState', job('generating', 'Adds the '))
    tell('hearth/textDelta', { id = 900, text = 'values' })
    expect(nvim:answer().text, 'Adds the values', 'what is written')
    tell('hearth/status', { model = { state = 'loading' }, jobs = { job('queued') } })
    nvim:wait_for_screen('Explain average: queued')
    expect(nvim:answer().text, 'Adds the values', 'what is written, before it is told again')
    tell('hearth/jobState', job('queued', written ~= '' and written or nil))
    tell('hearth/status', { model = { state = 'loading', percentage = 20 }, jobs = { job('queued') } })
    tell('hearth/status', { model = { state = 'ready', name = 'ember' }, jobs = { job('queued') } })
    tell('hearth/jobState', job('generating'))
    tell('hearth/textDelta', { id = 900, text = ('Adds the values.'):sub(#written + 1) })
    expect(nvim:answer().text, 'Adds the values.', 'the whole')
  end
  expect(#nvim:windows(), 2, 'the windows')
  tell('hearth/status', { model = { state = 'loading' }, jobs = {} })
  nvim:wait_for_screen('Explain average: lost: the daemon does not know it')
  tell('hearth/jobState', job('done', 'Adds the values.'))
  nvim:wait_for_screen('Explain average: done')
end)

case(':Hearth completes what there is and what applies', function(nvim)
  local function complete(line)
    return nvim:lua("return vim.fn.getcompletion(..., 'cmdline')", line)
  end
  for _, name in ipairs({ 'explain', 'ask', 'edit', 'fix', 'jobs', 'job', 'pause', 'resume', 'cancel', 'retry', 'apply',
    'dismiss', 'status', 'prompt', 'pin', 'snooze', 'files', 'log', 'document' }) do
    expect(vim.tbl_contains(complete('Hearth '), name), true, name .. ' is completed')
  end
  expect(complete('Hearth pin '), { 'off' }, 'what pin takes')
  expect(complete('Hearth job '), {}, 'the jobs, before there is one')
  nvim:type(':1,5Hearth explain<CR>')
  wait_for_state(nvim, 'done')
  local id = tostring(youngest(nvim).id)
  expect(complete('Hearth job '), { id }, 'the jobs')
  expect(complete('1,5Hearth prompt '), { id }, 'the jobs with a prompt')
  expect(complete('Hearth retry '), {}, 'the jobs that failed')
  expect_said(nvim, ':Hearth sing<CR>',
    'hearth: there is no :Hearth sing (:Hearth <Tab> lists it, :help :Hearth explains it)')
  expect_said(nvim, ':Hearth pause x<CR>', "hearth: 'x' is not the number of a job (:Hearth jobs lists them)")
  expect_said(nvim, ':Hearth pause ' .. id .. '<CR>', 'hearth: the job does not run')
  expect_said(nvim, ':Hearth resume 98765<CR>', 'hearth: there is no such job of this workspace (any more)')
end)

case(':Hearth ask and edit ask for the words that they need', function(nvim)
  nvim:lua([[
    vim.ui.input = function(options, answer)
      asked = options.prompt
      answer('rename the function to `mean`')
    end
  ]])
  nvim:type(':1,5Hearth edit<CR>')
  child.wait('the function has its new name', function()
    return nvim:lines()[1]:find('def mean', 1, true) ~= nil
  end)
  expect(nvim:lua('return asked'), 'What is to change? ', 'what is asked')
  nvim:type(':1,5Hearth ask What does this code do?<CR>')
  child.wait('an answer comes', function()
    return nvim:answer() and nvim:answer().text ~= ''
  end)
end)

case(':Hearth pin, snooze, prompt, log and status', function(nvim)
  expect_said(nvim, ':Hearth prompt<CR>', 'hearth: there was no job yet')
  expect_said(nvim, ':Hearth pin<CR>', 'hearth: shown with every action: ' .. vim.fn.fnamemodify(nvim.path, ':~'))
  expect_said(nvim, ':Hearth pin off<CR>', 'hearth: no file is shown with every action')
  expect_said(nvim, ':Hearth snooze<CR>', 'hearth: no ghost text for 30 min; :Hearth snooze 0 brings it back')
  expect_said(nvim, ':Hearth snooze 0<CR>', 'hearth: ghost text comes again')
  expect_said(nvim, ':Hearth snooze x<CR>', "hearth: 'x' is no number of minutes")
  nvim:type(':1,5Hearth explain<CR>')
  wait_for_state(nvim, 'done')
  nvim:type(':Hearth prompt<CR>')
  child.wait('the prompt is shown, or where it is', function()
    local name = 'prompt-' .. youngest(nvim).id .. '.txt'
    return messages(nvim):find(name, 1, true) or vim.tbl_filter(function(window)
      return window.name:find(name, 1, true)
    end, nvim:windows())[1]
  end)
  nvim:type(':Hearth log<CR>')
  child.wait('the log is there', function()
    return table.concat(nvim:lines(), '\n'):find('an editor connects', 1, true)
  end)
  nvim:type(':bwipe<CR>:Hearth status<CR>')
  child.wait('a float names the model', function()
    return vim.tbl_filter(function(window)
      return window.text:find('model: ember', 1, true)
    end, nvim:windows())[1]
  end)
end)

case('the answer of a job that another editor shows can be read', function(nvim)
  nvim:type(':1,5Hearth explain<CR>')
  wait_for_state(nvim, 'done')
  local other = child.edit(nil, nil, { beside = nvim })
  choose_from_menus(other, 'Explain average: done (job ', 'Show its answer')
  other:type(':Hearth jobs<CR>')
  child.wait('it is shown', function()
    return other:answer() ~= nil
  end)
  expect(other:answer().text, explanation, 'the answer')
  other:close()
end)

case(':Hearth files runs an action on many files, and their changes wait for a person', function(nvim)
  local other = vim.fn.fnamemodify(nvim.path, ':h') .. '/more.py'
  vim.fn.writefile(average, other)
  expect_said(nvim, ':Hearth files *.py<CR>',
    'hearth: say on which files and what: :Hearth files *.py edit add type hints')
  expect_said(nvim, ':Hearth files *.rs document<CR>', 'hearth: no file matches: there is none, or only ones that '
    .. 'git ignores, that look like secrets, that are empty or no text')
  nvim:type(':Hearth files *.py document<CR>')
  child.wait('both changes wait', function()
    return #nvim:lua([[
      local jobs = require('hearth.jobs')
      return jobs.numbers(function(job) return job.state.state == 'waiting' end)
    ]]) == 2
  end)
  expect(nvim:lines(), average, 'the file, before anybody has agreed')
  local batch = nvim:lua([[
    local jobs = require('hearth.jobs')
    return jobs.youngest(function() return true end).state.batch
  ]])
  expect(batch.title, 'Document 2 files', 'what the batch is called')
  expect(batch.size, 2, 'the files of the batch')
  nvim:type((':Hearth apply %d<CR>'):format(batch.id))
  child.wait('both files are changed', function()
    return #nvim:lines() == #average + 1 and nvim:lua([[
      local buffer = vim.fn.bufnr(...)
      return buffer > 0 and vim.api.nvim_buf_line_count(buffer)
    ]], other) == #average + 1
  end)
  nvim:type('u')
  child.wait('one step takes it back', function()
    return vim.deep_equal(nvim:lines(), average)
  end)
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

case('an answer whose daemon is killed goes on in its window, and becomes whole', function(nvim)
  for round, moment in ipairs({ is_computing, is_writing }) do
    local status = vim.fn.system({ vim.env.HEARTH_UNDER_TEST, 'status', '--json' })
    local kill = ("lua vim.loop.kill(%d, 'sigkill')"):format(vim.fn.json_decode(status).pid)
    type_then(nvim, ':silent! only<CR>:1,5Hearth explain<CR>', moment, kill)
    local said = ''
    child.wait('another daemon is there, and the answer is whole', function()
      said = said .. messages(nvim)
      return said:find('started again', 1, true) and youngest(nvim).state == 'done'
    end)
    expect(nvim:lua("return require('hearth.jobs').count()"), round, 'the jobs that there were')
    expect(nvim:answer().text, explanation, 'the answer')
    nvim:wait_for_screen('Explain average: done')
    expect(select(2, said:gsub('started again', '')), 1, 'how often it is said, in ' .. said)
  end
end)

-- Each round the daemon dies a little later in its answer. A stdio proxy gives up on a daemon that
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
    explain_until_it_comes(nvim)
    child.wait('no job runs any more', function()
      return nvim:lua("return require('hearth.jobs').running() == nil")
    end)
    expect(nvim:lua([[
      local jobs = require('hearth.jobs')
      local texts = {}
      for _, id in ipairs(jobs.numbers(function() return true end)) do
        local job = jobs.find(id)
        texts[job.state.state .. ': ' .. job.text] = true
      end
      return vim.tbl_keys(texts)
    ]]), { 'done: ' .. explanation }, 'all answers so far, in round ' .. round)
    if round % 4 == 0 then
      nvim:close()
    end
  end
end

if vim.env.HEARTH_LONG then
  case('a daemon that is killed at any moment of an answer costs no answer', function(other)
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
    nvim = child.edit('stats.py', test.file or average, test.options)
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
