-- A daemon that goes or is killed.
local child = require('child')
local suite = require('suite')

local average = suite.average
local explanation = suite.explanation
local expect = suite.expect
local case = suite.case
local messages = suite.messages
local type_then = suite.type_then
local is_writing = suite.is_writing
local is_computing = suite.is_computing
local youngest = suite.youngest

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
