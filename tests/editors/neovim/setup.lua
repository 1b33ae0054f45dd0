-- What is said where something is not in order: options, buffers, the configuration, :checkhealth.
local child = require('child')
local suite = require('suite')

local average = suite.average
local expect = suite.expect
local case = suite.case
local expect_said = suite.expect_said
local expect_in = suite.expect_in
local health = suite.health

case('options that are wrong are told in one line, and again by what needs them', function(nvim)
  for lua, problem in pairs({
    ['{ inline = { delay = 3 } }'] = 'unknown option inline.delay',
    ['{ inline = { debounce_ms = -1 } }'] = 'inline.debounce_ms must be a whole number from 0, not -1',
    ['{ inline = 3 }'] = 'inline must be a table, not a number',
    ["{ cmd = 'hearth lsp' }"] = "cmd must be a list of words, such as { 'hearth', 'lsp' }",
    ['{ cmd = {} }'] = "cmd must be a list of words, such as { 'hearth', 'lsp' }",
    ['{ filetypes = { 3 } }'] = "filetypes must be a list of words, such as { 'python', 'cpp' }",
    ["{ answer = { view = 'tab' } }"] = "answer.view must be 'split', 'vsplit' or 'float', not 'tab'",
    ['{ keys = { accept = true } }'] = "keys.accept must be a key such as '<Tab>', or false",
    ["'python'"] = 'the options must be a table, not a string',
  }) do
    expect_said(nvim, (':lua require("hearth").setup(%s)<CR>'):format(lua), 'hearth.setup: ' .. problem)
  end
  nvim:lua("require('hearth').setup({ answer = { size = 1.5 } })")
  nvim:type(':vsplit other.py<CR>')
  child.wait('another file is there', function()
    return nvim:lua("return vim.fn.expand('%:t')") == 'other.py'
  end)
  nvim:lua("require('hearth.client').of = function() end") -- as if setup() had never been right
  expect_said(nvim, ':HearthExplain<CR>',
    'hearth: setup() refused the options: answer.size must be a whole number from 0, not 1.5')
end)

case('each reason why a buffer is not served has its own sentence', function(nvim)
  for keys, said in pairs({
    [':new<CR>'] = 'this buffer has no name yet; :write NAME gives it one',
    [':new notes<CR>'] = "this buffer has no file type; ':set filetype=python', say, gives it one",
    [':new notes.vim<CR>'] = "the file type 'vim' is not among the filetypes of setup()",
    [':silent! help<CR>'] = "this window shows no file but a buffer of the type 'help'",
  }) do
    nvim:type(keys)
    expect_said(nvim, ':HearthExplain<CR>', 'hearth: ' .. said)
    nvim:type(':bwipe!<CR>')
  end
  local folder = vim.fn.fnamemodify(nvim.path, ':h')
  nvim:type((':new<CR>ix = 1<Esc>:set filetype=python<CR>:write %s/named.py<CR>'):format(folder))
  child.wait('a buffer that was given a name is attached', function()
    return nvim:lua("return vim.fn.expand('%:t') == 'named.py' and require('hearth.client').of(0) ~= nil")
  end)
end)

case('a configuration that hearth refuses is told in one line', function(nvim)
  vim.fn.system({ vim.env.HEARTH_UNDER_TEST, 'stop' })
  local file = vim.env.XDG_CONFIG_HOME .. '/hearth/config.toml'
  vim.fn.mkdir(vim.fn.fnamemodify(file, ':h'), 'p')
  vim.fn.writefile({ '[inline]', 'hold = 3' }, file)
  local problem = 'hearth cannot start: ' .. file .. ':2: inline.hold'
  local ok, failure = pcall(function()
    -- Neovim itself says one thing and another: with room for it nobody has to press Enter.
    local roomy = { '--cmd', 'set cmdheight=5' }
    local other = child.edit('stats.py', average, { unattached = true, arguments = roomy })
    child.wait('it is told', function()
      return other:lua("return vim.api.nvim_exec('messages', true)"):find(problem, 1, true)
    end)
    local messages = other:lua("return vim.api.nvim_exec('messages', true)")
    expect(messages:find('traceback'), nil, 'a stack trace in ' .. messages)
    expect(#vim.split(vim.trim(messages), '\n'), 1, 'lines of ' .. messages)
    child.wait('it has gone', function()
      return other:lua("return require('hearth.client').of(0) == nil")
    end)
    vim.fn.delete(file)
    other:type(':HearthExplain<CR>')
    child.wait('it is started again, as the configuration is mended', function()
      return other:lua("return require('hearth.client').of(0) ~= nil")
    end)
    messages = other:lua("return vim.api.nvim_exec('messages', true)")
    expect(messages:find('is started again; before: ' .. problem, 1, true) ~= nil, true, 'the reason in ' .. messages)
    other:close()
  end)
  vim.fn.delete(file)
  if not ok then
    error(failure, 0)
  end
end)

case(':checkhealth hearth tells what is there and what is wrong', function(nvim)
  child.wait('the model is ready', function()
    return nvim:lua("return require('hearth').statusline()") == 'hearth: ember'
  end)
  local report = health(nvim)
  expect(report:find('ERROR') or report:find('WARNING'), nil, 'a complaint in:\n' .. report)
  for _, words in ipairs({ 'the options of setup() are in order', 'serves: ', 'stats.py', vim.env.HEARTH_UNDER_TEST,
    'its configuration can be read', 'it runs: process', 'model: ember', 'its log: ', 'Neovim 0.' }) do
    expect_in(report, words)
  end
  nvim:lua("require('hearth').setup({ answer = { view = 'tab' } })")
  expect_in(health(nvim), "answer.view must be 'split', 'vsplit' or 'float', not 'tab'")
  nvim:lua("require('hearth').setup({ cmd = { 'no-such-hearth', 'lsp' } })")
  expect_in(health(nvim), "there is no program 'no-such-hearth'")
  nvim:lua("require('hearth').setup({ cmd = { 'true', 'lsp' } })")
  expect_in(health(nvim), "true --version' failed")
end)
