-- Changes that wait for a person: of an editor that went, and of many files at once.
local child = require('child')
local suite = require('suite')

local average = suite.average
local expect = suite.expect
local case = suite.case
local expect_said = suite.expect_said
local choose_from_menus = suite.choose_from_menus
local is_computing = suite.is_computing
local wait_for_state = suite.wait_for_state

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
  repeat
    suite.act_at(leaving, ':1,5Hearth document<CR>', is_computing, function()
      vim.fn.rpcnotify(leaving.channel, 'nvim_command', 'qall!')
      expect(vim.fn.jobwait({ leaving.job }, 120000)[1], 0, 'how the first editor ended')
    end)
    leaving:close() -- where the change was made before
    leaving = child.edit(nil, nil, { beside = nvim })
  until is_left()
  return leaving
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
  nvim:wait_for_screen(': 2 to review (:copen; all: :Hearth apply ')
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

case('with `!` a change of one\'s own waits for a look at it', function(nvim)
  nvim:type(':1,5Hearth! document<CR>')
  wait_for_state(nvim, 'waiting')
  nvim:wait_for_screen('+    """')
  expect(nvim:lines(), average, 'the file, before anything is said')
  nvim:type(':Hearth job<CR>/"""<CR>y')
  child.wait('its only hunk is made', function()
    return table.concat(nvim:lua("return vim.api.nvim_buf_get_lines(vim.fn.bufnr('stats.py'), 0, -1, false)"), '\n')
      :find('"""', 1, true)
  end)
  wait_for_state(nvim, 'done')
  expect(suite.youngest(nvim).text:find('not wanted', 1, true), nil, 'what the daemon says of a change that was made')
  local words = nvim:lua([[
    local jobs = require('hearth.jobs')
    return jobs.describe(jobs.youngest(function() return true end))
  ]])
  expect(words, 'Document average: done, 1 of 1 hunks made', 'how the job ended')
end)

case('a change offered while a person types on is shown at the text as it is, or as stale', function(nvim)
  local function type_meanwhile()
    nvim:type('ggO# new<Esc>')
    child.wait('it is typed', function()
      return nvim:lines()[1] == '# new'
    end)
  end
  while not suite.act_at(nvim, suite.in_code('1,5Hearth! document'), is_computing, type_meanwhile) do
    wait_for_state(nvim, 'waiting')
    nvim:type(':Hearth dismiss<CR>')
    wait_for_state(nvim, 'done')
  end
  wait_for_state(nvim, 'waiting')
  nvim:wait_for_screen('# new')
  nvim:wait_for_screen(' @@  line 3')
  nvim:type(':1wincmd w<CR>:2,$d<CR>ogone = 1<Esc>')
  nvim:wait_for_screen(' @@  does not fit any more: the code has changed there')
  nvim:type(':Hearth apply<CR>')
  wait_for_state(nvim, 'done')
  expect(suite.youngest(nvim).text:find('Nothing was changed', 1, true) ~= nil, true,
    'what is said of it, in ' .. suite.youngest(nvim).text)
  local lines = nvim:lua("return vim.api.nvim_buf_get_lines(vim.fn.bufnr('stats.py'), 0, 2, false)")
  expect(lines, { '# new', 'gone = 1' }, 'the file')
end)
