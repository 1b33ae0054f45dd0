-- The prompts of a team: shown, applied, asked about again once they have changed, and taken back.
local child = require('child')
local suite = require('suite')

local case = suite.case
local expect = suite.expect
local messages = suite.messages

-- In words that the embedded checkpoint knows.
local explain_words = 'Explain what this code does.'

local function write_prompt(nvim, name, ...)
  local folder = vim.fn.fnamemodify(nvim.path, ':h') .. '/.hearth/prompts'
  vim.fn.mkdir(folder, 'p')
  vim.fn.writefile({ ... }, folder .. '/' .. name)
end

-- The window of the prompts, or nil.
local function shown(nvim)
  return vim.tbl_filter(function(window)
    return vim.startswith(window.name, 'hearth://team/')
  end, nvim:windows())[1]
end

local function open_prompts(nvim, words)
  nvim:type(':Hearth team<CR>')
  child.wait('the prompts are shown', function()
    return shown(nvim) and shown(nvim).text:find(words, 1, true)
  end)
  return shown(nvim).text
end

local function wait_for_message(nvim, words)
  local said = ''
  child.wait('it says: ' .. words, function()
    said = said .. messages(nvim)
    return said:find(words, 1, true)
  end)
  return said
end

-- Explains, and waits until that is whole; the job's title.
local function explained_title(nvim)
  local before = nvim:lua("return require('hearth.jobs').count()")
  nvim:type(suite.explain_keys)
  child.wait('the explanation is whole', function()
    return nvim:lua("return require('hearth.jobs').count()") > before and suite.youngest(nvim).state == 'done'
  end)
  return nvim:lua("return require('hearth.jobs').youngest(function() return true end).state.title")
end

case(':Hearth team shows the prompts of the team, which are used once a person has applied them', function(nvim)
  suite.expect_said(nvim, ':Hearth team<CR>', 'hearth: there are no prompts of a team here (.hearth/prompts/NAME.md)')
  write_prompt(nvim, 'explain.md', explain_words)
  write_prompt(nvim, 'purpose.md', '# Its purpose', '', explain_words, '```', 'x', '```')
  write_prompt(nvim, 'Not A Name.md', explain_words)
  expect(explained_title(nvim), 'Explain average', 'the title, before anybody has seen them')

  local text = open_prompts(nvim, '`a` applies these prompts')
  for _, words in ipairs({
    '## .hearth/prompts/explain.md: the words of the action "explain"\n\n```\n' .. explain_words .. '\n```',
    '## .hearth/prompts/purpose.md: "Its purpose", answers about code\n\n````\n' .. explain_words .. '\n```\nx\n```\n````',
    '- .hearth/prompts/Not A Name.md is not used: ',
  }) do
    expect(text:find(words, 1, true) ~= nil, true, words .. ' in ' .. text)
  end
  nvim:wait_for_screen('`a` applies these prompts')
  nvim:type('q')
  child.wait('the window is closed', function()
    return shown(nvim) == nil
  end)
  expect(explained_title(nvim), 'Explain average', 'the title, as they were looked at alone')

  open_prompts(nvim, '`a` applies these prompts')
  nvim:type('a')
  wait_for_message(nvim, "hearth: the team's prompts are in use")
  child.wait('the window is closed', function()
    return shown(nvim) == nil
  end)
  expect(explained_title(nvim), "Explain average (the team's words)", 'the title, once they are applied')
  suite.choose_from_menus(nvim, "Its purpose (the team's)")
  nvim:type(suite.in_code('1,5HearthAction'))
  child.wait("the team's own action answers", function()
    return nvim:lua("return require('hearth.jobs').count()") == 4 and suite.youngest(nvim).state == 'done'
  end)

  -- Changed, they are not used, and it is told once.
  messages(nvim)
  write_prompt(nvim, 'explain.md', 'Say something else.')
  expect(explained_title(nvim), 'Explain average', 'the title, as they have changed')
  local changed = "hearth: the team's prompts have changed: see :Hearth team"
  local said = wait_for_message(nvim, changed)
  explained_title(nvim)
  text = open_prompts(nvim, 'has changed since you applied them')
  expect(text:find('Say something else.', 1, true) ~= nil, true, 'the new text in ' .. text)
  write_prompt(nvim, 'explain.md', explain_words)
  nvim:type('a')
  said = said .. wait_for_message(nvim, 'changed meanwhile: look at them again')
  expect(select(2, said:gsub(changed, '')), 1, 'how often it is told, in ' .. said)

  -- As they were applied, they are in use again; `d` ends that.
  text = open_prompts(nvim, 'These prompts are in use. `d` ends that')
  expect(text:find('Say something else.', 1, true), nil, 'the old text')
  expect(nvim:lua("return vim.fn.maparg('a', 'n')"), '', 'a key of what does not apply')
  nvim:type('d')
  wait_for_message(nvim, "hearth: the team's prompts are not used any more")
  expect(explained_title(nvim), 'Explain average', 'the title, as they are not used any more')
end)
