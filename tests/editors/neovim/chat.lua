-- :Hearth chat: a conversation in a split.
local child = require('child')
local suite = require('suite')

local case = suite.case
local expect = suite.expect
local average = suite.average

local function conversation(nvim)
  local window = vim.tbl_filter(function(each)
    return each.name:find('hearth://chat/', 1, true)
  end, nvim:windows())[1]
  return window and window.text or ''
end

-- Waits until `count` answers are whole; the conversation.
local function wait_for_answers(nvim, count)
  child.wait(count .. ' answers are whole', function()
    return nvim:lua([[
      local jobs = require('hearth.jobs')
      return jobs.count() == ... and not jobs.running()
    ]], count)
  end)
  return conversation(nvim)
end

-- Keeps what the daemon is told of the next question as `sent`.
local function watch_questions(nvim)
  nvim:lua([[
    local client = require('hearth.client')
    local request = client.request
    client.request = function(connection, method, params, ...)
      if params.command == 'hearth.server.ask' or params.command == 'hearth.session.followUp' then
        sent = params.arguments[1]
      end
      return request(connection, method, params, ...)
    end
  ]])
end

case(':Hearth chat asks and goes on from the answer, in one window', function(nvim)
  watch_questions(nvim)
  nvim:type(':1,5Hearth chat What does this code do?<CR>')
  child.wait('the question is there', function()
    return conversation(nvim):find('» What does this code do?', 1, true)
  end)
  local first = wait_for_answers(nvim, 1)
  local answer = nvim:lua("return require('hearth.jobs').youngest(function() return true end).text")
  expect(answer ~= '', true, 'there is an answer')
  expect(first:find(answer, 1, true) ~= nil, true, 'the answer stands in ' .. first)
  nvim:type('Why is this?<CR>')
  local second = wait_for_answers(nvim, 2)
  expect(second:find('» Why is this?', 1, true) > second:find(answer, 1, true), true, 'the order in ' .. second)
  expect(nvim:lua('return sent.question'), 'Why is this?', 'the second question')
  expect(nvim:lua("return require('hearth.jobs').youngest(function() return true end).state.title"),
    'Follow-up to Ask about average', 'what the second is')
  expect(#nvim:windows(), 2, 'the windows')
  nvim:wait_for_screen('Follow-up to Ask about average: done')
  nvim:type('<Esc>q')
  child.wait('it is closed', function()
    return conversation(nvim) == ''
  end)
  nvim:type(':Hearth chat<CR>')
  child.wait('it is there again', function()
    return conversation(nvim) == second
  end)
  expect(nvim:lua("return vim.api.nvim_buf_get_lines(vim.fn.bufnr('stats.py'), 0, -1, false)"), average, 'the file')
end)

case('a chat is stopped with Escape, what is written stays, and it goes on', function(nvim)
  nvim:lua([[
    require('hearth.jobs').on_change(function(job)
      if not stopped and job.claimed and job.state.state ~= 'queued' then
        stopped = true
        vim.api.nvim_input('<Esc><Esc>')
      end
    end)
  ]])
  nvim:type(':1,5Hearth chat What does this code do?<CR>')
  child.wait('it has ended', function()
    return nvim:lua([[
      local job = require('hearth.jobs').youngest(function() return true end)
      return job ~= nil and require('hearth.jobs').has_ended(job)
    ]])
  end)
  expect(conversation(nvim):find('» What does this code do?', 1, true) ~= nil, true, 'the question stays')
  nvim:type('iAnd why?<CR>')
  wait_for_answers(nvim, 2)
end)

local function lines_of(attached)
  return attached.range and { attached.range.start.line, attached.range['end'].line, attached.range['end'].character }
end

case(':Hearth chat takes files and selections that go with a question, and completes their names', function(nvim)
  local folder = vim.fn.fnamemodify(nvim.path, ':h')
  vim.fn.writefile({ 'def helper():', '    return 41', '', 'x = 1' }, folder .. '/helper.py')
  vim.fn.writefile({ 'y = 2' }, folder .. "/with space's.py")
  nvim:lua('vim.api.nvim_set_current_dir(...)', folder)
  local helper, spaced, stats = vim.uri_from_fname(folder .. '/helper.py'),
    vim.uri_from_fname(folder .. "/with space's.py"), vim.uri_from_fname(nvim.path)
  watch_questions(nvim)
  expect(nvim:lua("return vim.fn.getcompletion('Hearth chat +hel', 'cmdline')"), { '+helper.py' }, 'a name')
  local named = nvim:lua("return vim.fn.getcompletion('Hearth chat +helper.py +with', 'cmdline')")[1]

  nvim:type((':1,5Hearth chat +helper.py:1-2 %s What does this code do?<CR>'):format((named:gsub('<', '<lt>'))))
  wait_for_answers(nvim, 1)
  local sent = nvim:lua('return sent')
  expect({ sent.instruction, sent.attached[1].uri, sent.attached[2].uri },
    { 'What does this code do?', helper, spaced }, 'what goes with the first question')
  expect({ lines_of(sent.attached[1]), lines_of(sent.attached[2]) }, { { 0, 2, 0 } }, 'the lines of them')
  local prompt = vim.fn.system({ vim.env.HEARTH_UNDER_TEST, 'jobs', 'show', tostring(suite.youngest(nvim).id), '--prompt' })
  expect({ prompt:find('return 41', 1, true) ~= nil, prompt:find('x = 1', 1, true), prompt:find('y = 2', 1, true) ~= nil },
    { true, nil, true }, 'what the model was shown, in ' .. prompt)

  -- In the conversation: completed by <Tab>, and lines that were selected in the code.
  nvim:type('+hel<Tab>')
  child.wait('the name is completed', function()
    return vim.endswith(conversation(nvim), '\n» +helper.py')
  end)
  nvim:type('<C-y> Why<Esc>:1wincmd w<CR>:2,3Hearth chat<CR>')
  child.wait('the lines go with it', function()
    return vim.endswith(conversation(nvim), '\n» +stats.py:2-3 +helper.py Why')
  end)
  nvim:type(' is this?<CR>')
  wait_for_answers(nvim, 2)
  sent = nvim:lua('return sent')
  expect({ sent.question, sent.attached[1].uri, lines_of(sent.attached[1]), sent.attached[2].uri },
    { 'Why is this?', stats, { 1, 3, 0 }, helper }, 'what goes with the second question')

  nvim:type('+none.py Why?<CR>+helper.py<CR>')
  child.wait('what is wrong is said', function()
    local text = conversation(nvim)
    return text:find('(there is no file none.py (a first word with + is a file that goes with it))', 1, true)
      and text:find('(a question belongs behind the files)', 1, true)
  end)
  expect(nvim:lua("return require('hearth.jobs').count()"), 2, 'the questions that were asked')
end)
