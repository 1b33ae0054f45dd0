-- :Hearth: what it completes, asks and says.
local child = require('child')
local suite = require('suite')

local expect = suite.expect
local case = suite.case
local expect_said = suite.expect_said
local messages = suite.messages
local youngest = suite.youngest
local wait_for_state = suite.wait_for_state

case(':Hearth completes what there is and what applies', function(nvim)
  local function complete(line)
    return nvim:lua("return vim.fn.getcompletion(..., 'cmdline')", line)
  end
  for _, name in ipairs({ 'explain', 'ask', 'edit', 'fix', 'jobs', 'job', 'pause', 'resume', 'cancel', 'retry', 'apply',
    'dismiss', 'status', 'prompt', 'pin', 'snooze', 'files', 'log', 'team', 'document' }) do
    expect(vim.tbl_contains(complete('Hearth '), name), true, name .. ' is completed')
  end
  local all = complete('Hearth ')
  expect(vim.fn.uniq(vim.deepcopy(all)), all, 'nothing is completed twice')
  expect(vim.tbl_contains(all, 'accepted'), false, 'what no person says is completed')
  expect(complete('Hearth! '), complete('Hearth '), 'what is completed behind a bang')
  expect(complete('1,5Hearth! expl'), { 'explain' }, 'what is completed behind a range and a bang')
  expect(complete('Hearth! pin '), { 'off' }, 'what pin takes, behind a bang')
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

case(':Hearth edit takes files that go with it, and completes their names', function(nvim)
  local folder = vim.fn.fnamemodify(nvim.path, ':h')
  vim.fn.writefile({ 'def helper():', '    return 41' }, folder .. '/helper.py')
  vim.fn.writefile({ 'x = 1' }, folder .. '/with space.py')
  nvim:lua('vim.api.nvim_set_current_dir(...)', folder)
  local function complete(line)
    return nvim:lua("return vim.fn.getcompletion(..., 'cmdline')", line)
  end
  expect(complete('Hearth edit +hel'), { '+helper.py' }, 'a name')
  expect(complete('1,5Hearth! edit +helper.py +with'), { '+with\\ space.py' }, 'a second name, with a space')
  expect(complete('HearthAction edit +hel'), { '+helper.py' }, 'a name behind :HearthAction')
  expect(complete('Hearth edit hel'), {}, 'the person\'s own words')
  nvim:lua([[
    local client = require('hearth.client')
    local request = client.request
    client.request = function(connection, method, params, ...)
      if params.command == 'hearth.server.edit' then sent = params.arguments[1] end
      return request(connection, method, params, ...)
    end
  ]])
  nvim:type(':1,5Hearth edit +helper.py +with\\ space.py rename the function to `mean`<CR>')
  child.wait('the job has ended', function()
    return youngest(nvim).state == 'done'
  end)
  local uris = vim.tbl_map(vim.uri_from_fname, { folder .. '/helper.py', folder .. '/with space.py' })
  expect(nvim:lua('return { sent.instruction, sent.attached[1].uri, sent.attached[2].uri }'),
    { 'rename the function to `mean`', uris[1], uris[2] }, 'what the daemon is told')
  local prompt = vim.fn.system({ vim.env.HEARTH_UNDER_TEST, 'jobs', 'show', tostring(youngest(nvim).id), '--prompt' })
  expect(prompt:find('return 41', 1, true) ~= nil, true, 'that the model was shown it, in ' .. prompt)
  expect_said(nvim, ':1,5Hearth edit +none.py shorten it<CR>',
    'hearth: there is no file none.py (a first word with + is a file that goes with it)')
end)
