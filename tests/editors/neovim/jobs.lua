-- Jobs: what a person says of them, and what they live through.
local child = require('child')
local suite = require('suite')

local average = suite.average
local explanation = suite.explanation
local expect = suite.expect
local case = suite.case
local expect_said = suite.expect_said
local choose_from_menus = suite.choose_from_menus
local is_writing = suite.is_writing
local is_computing = suite.is_computing
local youngest = suite.youngest
local wait_for_state = suite.wait_for_state
local explain_until = suite.explain_until

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
