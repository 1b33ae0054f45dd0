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

case(':Hearth chat asks and goes on from the answer, in one window', function(nvim)
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
