-- An engine on another machine: who wrote what is shown, and where code goes.
local child = require('child')
local home = require('home')
local suite = require('suite')

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h:h:h:h')
local settings = suite.settings
local at_hole = suite.at_hole
local expect = suite.expect
local case = suite.case

-- run(nvim) in a Neovim of a user with this configuration, with hearth's words as its status line.
local function with_configuration(configuration, run)
  local user = home.new(configuration)
  local ok, problem = pcall(function()
    local nvim = child.edit('stats.py', settings, { environment = user.environment })
    nvim:lua([[vim.o.laststatus, vim.o.statusline = 2, "%{v:lua.require'hearth'.statusline()}"]])
    run(nvim)
    nvim:close()
  end)
  user:stop()
  assert(ok, problem)
end

local function expect_status(nvim, words)
  child.wait('the status line is: ' .. words, function()
    return vim.tbl_contains(nvim:screen(), words)
  end)
end

case('the status line says who wrote ghost text, where another one answers, as long as it shows', function(nvim)
  local server = home.new({ '[serve]', 'port = 0' })
  server:hearth('serve')
  local url = vim.fn.json_decode(server:hearth('status', '--json')).serve.url
  local key = server.folder .. '/key'
  vim.fn.writefile({ vim.trim(server:hearth('serve', '--token')) }, key)
  vim.fn.setfperm(key, 'rw-------') -- or it is refused
  with_configuration({ '[model]', ('url = "%s"'):format(url), ('key_file = "%s"'):format(key) }, function(remote)
    expect_status(remote, 'hearth: ember') -- which is this machine: nothing leaves it
    remote:type(at_hole)
    remote:wait_for_row(14, '        json.dump(config, handle, indent=2)')
    local signed = 'hearth: by ember at ' .. url:match('//(.-)/')
    expect_status(remote, signed)
    remote:type('json')
    child.wait('it is typed', function()
      return remote:lines()[14] == '        json'
    end)
    remote:wait_for_row(14, '        json.dump(config, handle, indent=2)')
    expect_status(remote, signed)
    remote:type('<Esc>')
    expect_status(remote, 'hearth: ember')
  end)
  server:stop()

  nvim:type(at_hole) -- of the only engine, on this machine
  nvim:wait_for_row(14, '        json.dump(config, handle, indent=2)')
  expect(nvim:lua("return require('hearth').statusline()"), 'hearth: ember', 'the status line')
end, settings)

case('the status line and :checkhealth say that code goes to another machine', function()
  local ember = here .. '/engine/ember'
  local configuration = { '[model]', 'url = "http://gpu.invalid/v1"', ('path = "%s"'):format(ember) }
  with_configuration(configuration, function(nvim)
    expect_status(nvim, 'hearth: ember → gpu.invalid')
    suite.expect_in(suite.health(nvim), 'prompts, with code in them, leave this machine for gpu.invalid')
  end)
end)
