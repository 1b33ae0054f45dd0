-- A daemon that goes or is killed.
local child = require('child')
local suite = require('suite')

local average = suite.average
local explanation = suite.explanation
local expect = suite.expect
local case = suite.case
local messages = suite.messages
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

-- Kills the daemon at that moment of an answer. Whether the next one went on with it: not where the answer
-- was whole already.
local function kill_daemon_at(nvim, moment)
  nvim:lua([[
    went_on = false
    local states = {}
    require('hearth.jobs').on_change(function(job)
      went_on = went_on or job.state.state == 'queued' and (states[job.id] or 'queued') ~= 'queued'
      states[job.id] = job.state.state
    end)
  ]])
  local pid = suite.daemon()
  local is_killed = suite.act_at(nvim, suite.explain_keys, moment, function()
    vim.loop.kill(pid, 'sigkill')
  end)
  local said = ''
  child.wait('the answer is whole, and another daemon there', function()
    said = said .. messages(nvim)
    -- hearth/status may tell of the end before hearth/jobState brings the text.
    return youngest(nvim).state == 'done' and nvim:answer().text == explanation
      and (not is_killed or said:find('started again', 1, true))
  end)
  nvim:wait_for_screen('Explain average: done')
  expect(select(2, said:gsub('started again', '')), is_killed and 1 or 0, 'how often it is said, in ' .. said)
  return nvim:lua('return went_on')
end

case('an answer whose daemon is killed goes on in its window, and becomes whole', function(nvim)
  local asked = 0
  for _, moment in ipairs({ is_computing, is_writing }) do
    repeat
      asked = asked + 1
    until kill_daemon_at(nvim, moment)
    expect(nvim:lua("return require('hearth.jobs').count()"), asked, 'the jobs that there were')
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
