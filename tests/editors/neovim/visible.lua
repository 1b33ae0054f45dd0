-- What was asked for and what was stopped is seen before the daemon has said a word: it stands still here
-- meanwhile.
local child = require('child')
local suite = require('suite')

local case = suite.case
local expect = suite.expect
local explanation = suite.explanation

local function wait_until_ready(nvim)
  child.wait('the model is ready', function()
    return nvim:lua("return require('hearth').statusline()") == 'hearth: ember'
  end)
end

local function expect_statusline(nvim, text)
  expect(nvim:lua("return require('hearth').statusline()"), text, 'the status line')
end

case('an action is seen before the daemon answers, and its mark goes when it does', function(nvim)
  wait_until_ready(nvim)
  suite.while_it_stands(function(proceed)
    nvim:type(':2,5Hearth explain<CR>')
    nvim:wait_for_row(2, '    total = 0  hearth: explain …')
    expect_statusline(nvim, 'hearth: asking')
    proceed()
    child.wait('the explanation is whole', function()
      return nvim:answer() and suite.youngest(nvim).state == 'done'
    end)
    nvim:wait_for_row(2, '    total = 0')
    expect_statusline(nvim, 'hearth: ember')
  end)
end)

case('an inline completion is seen before the model answers, and <Esc> takes it back', function(nvim)
  wait_until_ready(nvim)
  suite.while_it_stands(function(proceed)
    nvim:type(suite.at_hole)
    nvim:wait_for_row(14, '         …')
    expect_statusline(nvim, 'hearth: completing')
    expect(nvim:lua('return vim.api.nvim_win_get_cursor(0)'), { 14, 8 }, 'the cursor')
    nvim:type('<Esc>')
    nvim:wait_for_row(14, '')
    expect_statusline(nvim, 'hearth: ember')
    nvim:type('A')
    nvim:wait_for_row(14, '         …')
    proceed()
    nvim:wait_for_row(14, '        json.dump(config, handle, indent=2)')
    expect(nvim:lines(), suite.settings, 'the buffer')
  end)
end, suite.settings)

case('that a job is to stop is seen before the daemon answers, and its text so far stays', function(nvim)
  local job, kept
  repeat
    kept = nil
    suite.act_at(nvim, suite.explain_keys, suite.is_writing, function()
      nvim:lua("vim.cmd('Hearth cancel')")
      nvim:wait_for_screen('Explain average: stopping')
      job = suite.youngest(nvim)
      expect(job.message, 'stopping', 'what is said of it')
      kept = job.text
    end)
    child.wait('the job has ended', function()
      job = suite.youngest(nvim)
      return job.state == 'cancelled' or job.state == 'done'
    end)
  until kept and job.state == 'cancelled'
  local text = nvim:answer().text
  expect(kept ~= '' and text:sub(1, #kept), kept, 'what was written')
  expect(explanation:sub(1, #text), text, 'the answer')
  nvim:wait_for_screen('Explain average: cancelled')
end)
