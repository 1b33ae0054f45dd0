-- Answers in words, and actions chosen by name or from a menu: the window an answer streams into, the
-- status line.
local child = require('child')
local suite = require('suite')

local average = suite.average
local explanation = suite.explanation
local expect = suite.expect
local case = suite.case
local expect_said = suite.expect_said

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
  -- The daemon runs for moments only, and is asked again where one was enough: on a busy machine all of its
  -- words may come at once.
  local growth
  for _ = 1, 10 do
    nvim:lua('growth = {}')
    suite.while_it_stands(function(_, step)
      nvim:type(suite.in_code('1,5HearthExplain'))
      child.wait('the job is done', function()
        step()
        return vim.wait(50, function()
          return nvim:lua([[return growth[1] ~= nil and require('hearth.jobs').running() == nil]])
        end, 10)
      end)
    end)
    growth = nvim:lua('return growth')
    if #growth > 3 then
      break
    end
  end
  expect(nvim:answer().text, explanation, 'the answer')
  expect(nvim:answer().filetype, 'markdown', 'its file type')
  nvim:wait_for_screen('Computes the average of the values: it adds them up')
  nvim:wait_for_screen('Explain') -- the window's bar
  expect(#growth > 3, true, 'it came in pieces')
  expect(nvim:lines(), average, 'the file, untouched')
end)

local long_function = { 'def totals(values):', '    total = 0' }
for i = 1, 60 do
  table.insert(long_function, ('    total += values[%d] * %d'):format(i, i * i))
end

case('a thought is folded above its answer, and stays open once a person opened it', function(nvim)
  local function told(method, params)
    nvim:lua(
      [[
        local method, params = ...
        local client = require('hearth.client').any()
        client.handlers[method](nil, params, { client_id = client.id })
      ]],
      method,
      params
    )
  end
  local function state(name, tokens, text)
    local params = { id = 77, action = 'explain', title = 'Explain average', uri = 'file:///p/a.py' }
    params.state, params.message, params.percentage, params.thoughtTokens, params.text = name, name, 50, tokens, text
    told('hearth/jobState', params)
  end
  child.wait('the model is ready', function() -- whose hearth/status knows no such job
    return nvim:lua("return require('hearth').statusline()") == 'hearth: ember'
  end)
  state('queued', 0)
  nvim:lua("require('hearth.answer').open(require('hearth.jobs').find(77))")
  state('thinking', 2)
  told('hearth/thoughtDelta', { id = 77, text = 'Step 1.\n' })
  told('hearth/thoughtDelta', { id = 77, text = 'Step 2.\n' })
  nvim:wait_for_screen('▸ Thought (zo opens it)')
  expect(nvim:lua('return { vim.fn.foldclosed(1), vim.fn.foldclosedend(1) }'), { 1, 3 }, 'the fold')
  state('generating', 2)
  told('hearth/textDelta', { id = 77, text = 'Adds ' })
  nvim:wait_for_screen('Adds')
  expect(nvim:answer().text, 'Thought:\nStep 1.\nStep 2.\n\nAdds ', 'all of it')
  expect(nvim:lua('return { vim.fn.foldclosed(1), vim.fn.foldclosed(5) }'), { 1, -1 }, 'what is folded')
  nvim:type('ggzo')
  nvim:wait_for_screen('Step 1.')
  told('hearth/textDelta', { id = 77, text = 'the values.' })
  child.wait('the answer has grown', function()
    return nvim:answer().text:find('Adds the values.', 1, true) ~= nil
  end)
  expect(nvim:lua('return vim.fn.foldclosed(1)'), -1, 'it stays open')
  state('done', 2, 'Adds the values.')
  expect(nvim:lua('return vim.fn.foldclosed(1)'), -1, 'to the end')
end)

case(':HearthCancel stops the computation', function(nvim)
  local job
  repeat
    suite.act_at(nvim, suite.in_code('%HearthExplain'), 'true', function()
      nvim:lua("vim.cmd('HearthCancel')")
    end)
    child.wait('the job has ended', function()
      job = suite.youngest(nvim)
      return job.state == 'cancelled' or job.state == 'done' -- which was on its way
    end)
  until job.state == 'cancelled'
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
