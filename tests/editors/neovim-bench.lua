-- How long a person waits for the sight of something in a real Neovim: from the key to the first mark of a
-- generation, and from Escape to its end, both as they stand on a terminal's screen. Prints percentiles and
-- asserts nothing. The screen is read as the terminal here refreshes it, up to 10 ms late.
local child = require('child')
local suite = require('suite')

local tries = tonumber(vim.env.HEARTH_TRIES) or 30

local function say(text)
  io.stdout:write(text .. '\n')
  io.stdout:flush()
end

local function now()
  return vim.loop.hrtime() / 1e6
end

local function wait(what, condition)
  assert(vim.wait(60000, condition, 1), 'waited in vain until ' .. what)
end

-- Milliseconds from `keys` until the screen meets `condition`.
local function seen_after(nvim, keys, what, condition)
  local begun = now()
  vim.fn.rpcnotify(nvim.channel, 'nvim_input', keys)
  wait(what, condition)
  return now() - begun
end

local function print_series(name, all)
  table.sort(all)
  local function at(share)
    return all[math.floor(share * (#all - 1) + 0.5) + 1]
  end
  say(('%-52s %8.1f %8.1f %8.1f %6d'):format(name, at(0.5), at(0.9), all[#all], #all))
end

-- `once(nvim, i)` returns milliseconds, or nil where that try is no measure.
local function measure(nvim, name, once)
  local all = {}
  for i = 1, tries * 10 do
    local ok, milliseconds = pcall(once, nvim, i)
    if not ok then
      return say(name .. ': ' .. tostring(milliseconds) .. '\n' .. table.concat(nvim:screen(), '\n'))
    end
    table.insert(all, milliseconds)
    if #all == tries then
      break
    end
  end
  if #all > 0 then
    print_series(name, all)
  else
    say(name .. ': every generation had ended before it was stopped')
  end
end

local function wait_for_rest(nvim)
  wait('nothing runs', function()
    return nvim:lua("return require('hearth').statusline()") == 'hearth: ember'
  end)
  vim.fn.rpcrequest(nvim.channel, 'nvim_command', 'stopinsert | silent! 1wincmd w | silent! only | nohlsearch | normal! 1G0')
  wait('no answer is on the screen', function()
    return not nvim:shows('Explain ') and not nvim:shows('Document ')
  end)
end

-- Numbers differ from try to try: nothing is known from before.
local function set_number(nvim, i)
  nvim:lua([[vim.api.nvim_buf_set_lines(0, 1, 2, false, { '    total = ' .. ... })]], i)
  wait('it is drawn', function()
    return vim.startswith(nvim:screen()[2], '    total = ' .. i)
  end)
end

local function prepare(nvim, i)
  wait_for_rest(nvim)
  set_number(nvim, i)
end

local function run(lines, body)
  local nvim = child.edit('stats.py', lines)
  nvim:lua([[
    vim.keymap.set({ 'n', 'x' }, 'gX', '<Plug>(hearth-explain)')
    vim.keymap.set({ 'n', 'x' }, 'gD', '<Plug>(hearth-document)')
    vim.keymap.set('n', 'gS', '<Plug>(hearth-cancel)')
    vim.keymap.set('i', '<C-Space>', '<Plug>(hearth-complete)')
  ]])
  local ok, problem = pcall(body, nvim)
  nvim:close()
  if not ok then
    say(tostring(problem))
  end
end

local function shows(nvim, text)
  return function()
    return nvim:shows(text)
  end
end

say(('%-52s %8s %8s %8s %6s'):format('milliseconds on the screen', 'p50', 'p90', 'max', 'tries'))
run(suite.average, function(nvim)
  measure(nvim, 'explain: key to the first mark', function(_, i)
    prepare(nvim, i)
    return seen_after(nvim, 'gX', 'it is seen', function()
      return nvim:shows('hearth: explain') or nvim:shows('Explain average')
    end)
  end)
  measure(nvim, 'explain: key to the window of its answer', function(_, i)
    prepare(nvim, i)
    return seen_after(nvim, 'gX', 'it is seen', shows(nvim, 'Explain average'))
  end)
  measure(nvim, 'document: key to the mark beside the code', function(_, i)
    wait_for_rest(nvim)
    vim.fn.rpcrequest(nvim.channel, 'nvim_buf_set_lines', 0, 0, -1, false, suite.average)
    set_number(nvim, i)
    return seen_after(nvim, 'gD', 'it is seen', function()
      return nvim:shows('hearth: document') or nvim:shows('Document average')
    end)
  end)
end)
-- Long enough that it can be stopped before its end.
local long = { 'def totals(values):', '    total = 0' }
for i = 1, 60 do
  table.insert(long, ('    total += values[%d] * %d'):format(i, i * i))
end
run(long, function(nvim)
  measure(nvim, 'explain: Escape in its window to its end', function(_, i)
    prepare(nvim, i)
    seen_after(nvim, 'gX', 'it is seen', shows(nvim, 'Explain totals:'))
    local after = seen_after(nvim, '<C-w>w<Esc>', 'it has ended', function()
      return nvim:shows('Explain totals: cancelled') or nvim:shows('Explain totals: done')
    end)
    return nvim:shows('Explain totals: cancelled') and after or nil
  end)
  measure(nvim, 'document: the key that cancels to its mark\'s end', function(_, i)
    wait_for_rest(nvim)
    vim.fn.rpcrequest(nvim.channel, 'nvim_buf_set_lines', 0, 0, -1, false, long)
    set_number(nvim, i)
    seen_after(nvim, 'gD', 'it is seen', shows(nvim, 'Document totals:'))
    local after = seen_after(nvim, 'gS', 'it has ended', function()
      return not nvim:shows('Document totals:')
    end)
    return suite.youngest(nvim).state == 'cancelled' and after or nil
  end)
end)
run(suite.settings, function(nvim)
  local function at_hole(i)
    wait_for_rest(nvim)
    nvim:lua([[
      local line = ('    with open(path, "w") as handle:  # %d'):format(...)
      vim.api.nvim_buf_set_lines(0, 12, 13, false, { line })
    ]], i)
    nvim:type(suite.at_hole)
    wait('it is in insert mode', function()
      return nvim:lua('return vim.api.nvim_get_mode().mode') == 'i' and nvim:screen()[14] == ''
    end)
  end
  nvim:lua("require('hearth.config').current.inline.debounce_ms = 100000")
  measure(nvim, 'completion: key to its mark or its text', function(_, i)
    at_hole(i)
    return seen_after(nvim, '<C-Space>', 'it is seen', function()
      return nvim:screen()[14]:find('%S')
    end)
  end)
  measure(nvim, 'completion: Escape to a line without it', function(_, i)
    at_hole(i)
    seen_after(nvim, '<C-Space>', 'it is seen', function()
      return nvim:screen()[14]:find('%S')
    end)
    return seen_after(nvim, '<Esc>', 'it has gone', function()
      return not nvim:screen()[14]:find('%S')
    end)
  end)
end)
vim.cmd('qall!')
