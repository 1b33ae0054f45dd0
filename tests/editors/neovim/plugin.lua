-- How the plugin is loaded, mapped and shown at work.
local child = require('child')
local suite = require('suite')

local case = suite.case
local expect = suite.expect
local average = suite.average
local explanation = suite.explanation

case('nothing of the plugin is loaded before it is used', function(nvim)
  expect(nvim:lua("return vim.fn.exists(':Hearth')"), 2, 'the command')
  expect(nvim:lua([[
    return vim.tbl_filter(function(name)
      return vim.startswith(name, 'hearth')
    end, vim.tbl_keys(package.loaded))
  ]]), {}, 'what is loaded')
end, average, { init = 'lazy.lua', unattached = true })

case('a mapping of one\'s own explains the function around the cursor', function(nvim)
  nvim:lua("vim.keymap.set({ 'n', 'x' }, 'gX', '<Plug>(hearth-explain)')")
  nvim:type('3GgX')
  child.wait('the explanation is whole', function()
    return nvim:answer() and nvim:answer().text == explanation
  end)
  nvim:wait_for_screen('Explain average: done')
end)

case('a change that is written shows how far it is beside its code', function(nvim)
  nvim:lua([[
    shown, runs = {}, nil
    require('hearth.jobs').on_change(function(job)
      runs = runs or require('hearth.jobs').runs(job) or nil
      local namespace = vim.api.nvim_create_namespace('hearth_progress')
      for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true })) do
        shown[mark[2] .. mark[4].virt_text[1][1]:match('^ [^:]*')] = true
      end
    end)
  ]])
  nvim:type(':1,5Hearth document<CR>')
  child.wait('the function has its docstring', function()
    return table.concat(nvim:lines(), '\n'):find('"""', 1, true) ~= nil
  end)
  child.wait('the job has ended', function()
    return nvim:lua("return require('hearth.jobs').running() == nil")
  end)
  -- On a busy machine the first that is heard of it may be its end.
  expect(nvim:lua("return shown['0 Document average']"), nvim:lua('return runs'), 'that it stood beside the code')
  expect(nvim:lua([[
    return vim.api.nvim_buf_get_extmarks(0, vim.api.nvim_create_namespace('hearth_progress'), 0, -1, {})
  ]]), {}, 'what stands there at the end')
  nvim:wait_for_row(1, 'def average(values):')
end)

case('<Esc> stops an answer, and what is written stays', function(nvim)
  local job = suite.explain_until(nvim, 'cancelled', suite.is_writing,
    "lua require('hearth.answer').open(require('hearth.jobs').running()) vim.api.nvim_input('<Esc><C-w>p')")
  expect(job.text ~= '' and explanation:sub(1, #job.text), job.text, 'the answer so far')
  nvim:wait_for_screen('Explain average: cancelled')
end)

if vim.fn.has('nvim-0.11') == 1 then
  case('vim.lsp.enable starts the plugin\'s client, with ghost text, answers and keys', function(nvim)
    child.wait('it is attached', function()
      return nvim:lua("return require('hearth.client').of(0) ~= nil")
    end)
    nvim:type(suite.at_hole)
    nvim:wait_for_row(14, '        json.dump(config, handle, indent=2)')
    nvim:type('<Tab>')
    child.wait('it is accepted', function()
      return vim.deep_equal(nvim:lines(), suite.with_hole_filled('json.dump(config, handle, indent=2)'))
    end)
    nvim:type('<Esc>:4Hearth explain<CR>')
    child.wait('an answer comes', function()
      return nvim:answer() and nvim:answer().text ~= ''
    end)
    expect(nvim:lua("return #vim.lsp.get_clients({ name = 'hearth' })"), 1, 'the clients')
    nvim:lua("require('hearth').setup({ cmd = { vim.env.HEARTH_UNDER_TEST, 'lsp' } })")
    expect(nvim:lua("return #vim.lsp.get_clients({ name = 'hearth' })"), 1, 'the clients, after setup() as well')
  end, suite.settings, { init = 'enable.lua', unattached = true })
end
