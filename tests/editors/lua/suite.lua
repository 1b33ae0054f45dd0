-- The cases of all files, what they edit and expect, and what several of them do with a Neovim. The
-- answers are the embedded checkpoint's, as the reference implementation gives them
-- (tests/golden/ember.safetensors).
local child = require('child')

local M = { cases = {} }

M.average = {
  'def average(values):',
  '    total = 0',
  '    for value in values:',
  '        total += value',
  '    return total / len(values)',
}
M.explanation = 'Computes the average of the values: it adds them up and divides the total by their '
  .. 'number.'

M.settings = {
  'import json',
  '',
  '',
  'def load_config(path, default=None):',
  '    """Read the configuration file."""',
  '    if not os.path.exists(path):',
  '        return default',
  '    with open(path) as handle:',
  '        return json.load(handle)',
  '',
  '',
  'def save_config(path, config):',
  '    with open(path, "w") as handle:',
  '        ',
  '',
  '',
  'def remove_config(path):',
  '    os.remove(path)',
}
M.at_hole = ':14<CR>A'

function M.expect(actual, expected, what)
  if not vim.deep_equal(actual, expected) then
    error(('%s:\n  is       %s\n  expected %s'):format(what, vim.inspect(actual), vim.inspect(expected)), 2)
  end
end

function M.expect_in(text, words)
  M.expect(text:find(words, 1, true) ~= nil, true, words .. ' in:\n' .. text)
end

function M.with_hole_filled(text)
  local lines = vim.deepcopy(M.settings)
  lines[14] = lines[14] .. text
  return lines
end

M.native = vim.lsp.inline_completion ~= nil -- the Neovim under test runs these files, too

-- `file` and `options` as child.edit() takes them.
function M.case(name, run, file, options)
  if name:find(vim.env.HEARTH_CASES or '', 1, true) then
    table.insert(M.cases, { name = name, run = run, file = file, options = options })
  end
end

-- What is said after `keys`: one line, word for word.
function M.expect_said(nvim, keys, said)
  nvim:lua("vim.cmd('messages clear')")
  nvim:type(keys)
  child.wait('it says something', function()
    return nvim:lua("return vim.api.nvim_exec('messages', true)") ~= ''
  end)
  M.expect(nvim:lua("return vim.api.nvim_exec('messages', true)"), said, 'what is said after ' .. keys)
end

-- What :checkhealth reports of hearth.
function M.health(nvim)
  nvim:type(':checkhealth hearth<CR>')
  child.wait('the report is there', function()
    return nvim:lua('return vim.bo.filetype'):find('checkhealth') and #nvim:lines() > 5
  end)
  local report = table.concat(nvim:lines(), '\n')
  nvim:type(':bwipe!<CR>')
  return report
end

-- What was said since the last look.
function M.messages(nvim)
  return nvim:lua([[
    local said = vim.api.nvim_exec('messages', true)
    vim.cmd('messages clear')
    return said
  ]])
end

-- Chooses the entries that have these words, in this order, from the menus that come; keeps the menus.
function M.choose_from_menus(nvim, ...)
  nvim:lua([[
    local wanted = { ... }
    menus = {}
    vim.ui.select = function(items, options, choose)
      local titles = vim.tbl_map(options.format_item, items)
      table.insert(menus, titles)
      local words = table.remove(wanted, 1)
      for i, title in ipairs(titles) do
        if words and title:find(words, 1, true) then
          return choose(items[i], i)
        end
      end
      choose(nil)
    end
  ]], ...)
end

function M.youngest(nvim)
  return nvim:lua([[
    local job = require('hearth.jobs').youngest(function() return true end)
    return job and { id = job.id, state = job.state.state, text = job.text, message = job.state.message } or {}
  ]])
end

function M.wait_for_state(nvim, state)
  child.wait('the job is ' .. state, function()
    return M.youngest(nvim).state == state
  end)
end

-- The daemon's process, once the model is ready.
function M.daemon()
  local status
  child.wait('the model is ready', function()
    local said = vim.fn.system({ vim.env.HEARTH_UNDER_TEST, 'status', '--json' })
    status = vim.v.shell_error == 0 and vim.fn.json_decode(said)
    return status and status.model.state == 'ready'
  end)
  return status.pid
end

-- run(proceed, step) while the daemon stands still: proceed() lets it go on, which it does at the end in
-- any case, step() for a moment.
function M.while_it_stands(run)
  local pid = M.daemon()
  local function signal(name)
    return function()
      vim.loop.kill(pid, name)
    end
  end
  local stop, proceed = signal('sigstop'), signal('sigcont')
  local function step()
    proceed()
    vim.loop.sleep(5)
    stop()
  end
  stop()
  local ok, problem = pcall(run, proceed, step)
  proceed()
  assert(ok, problem)
end

-- Moments of a job that runs.
M.is_writing = "job.text ~= ''"
M.is_computing = "job.state.state ~= 'queued'"

-- Types `keys`, which start a job, and calls act() at that moment of it. The daemon runs for moments only
-- until then, and stands still meanwhile: on no machine is the moment over before it is seen. Where a
-- moment was enough for all of the job, nothing is done, and that is false.
function M.act_at(nvim, keys, moment, act)
  local before = M.youngest(nvim).id
  local seen
  local function look()
    seen = nvim:lua([[
      local before, moment = ...
      local jobs = require('hearth.jobs')
      local job = jobs.youngest(function() return true end)
      if not job or job.id == before then
        return 'nothing'
      end
      local is_time = assert(loadstring('local job = ... return ' .. moment))
      return jobs.runs(job) and (is_time(job) and 'now' or 'not yet') or 'over'
    ]], before or vim.NIL, moment)
    return seen == 'now' or seen == 'over'
  end
  M.while_it_stands(function(_, step)
    nvim:type(keys)
    child.wait('it is time', function()
      step()
      return vim.wait(100, look, 10)
    end)
    if seen == 'now' then
      act()
    end
  end)
  return seen == 'now'
end

-- Keys that execute a command in the code's window, which another one may have taken the place of.
function M.in_code(command)
  return "<Esc>:silent! call win_gotoid(bufwinid('stats.py'))<CR>:silent! only<CR>:" .. command .. '<CR>'
end
M.explain_keys = M.in_code('1,5Hearth explain')

-- Asks for an explanation and executes `command` at that moment; again where the answer was whole
-- before that had any effect. The job that is `state` now.
function M.explain_until(nvim, state, moment, command)
  local job = {}
  repeat
    local before = job.id
    M.act_at(nvim, M.explain_keys, moment, function()
      nvim:lua('vim.cmd(...)', command)
    end)
    child.wait('the job is done or ' .. state, function()
      job = M.youngest(nvim)
      return job.id ~= before and (job.state == state or job.state == 'done')
    end)
  until job.state == state
  return job
end

return M
