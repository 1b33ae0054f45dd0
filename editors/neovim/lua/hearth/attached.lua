-- Files and lines of files that go with what a person asks, by name: "+util.py", "+util.py:3-7", before the
-- other words. A space in a name stands behind a backslash.
local M = {}

-- The first word of `text`, which begins with a plus, without that; and what comes behind it.
local function take(text)
  local name, i = '', 2
  while i <= #text and not text:find('^%s', i) do
    i = text:find('^\\.', i) and i + 1 or i
    name = name .. text:sub(i, i)
    i = i + 1
  end
  return name, (text:sub(i):gsub('^%s+', ''))
end

local function is_there(name)
  local path = vim.fn.fnamemodify(name, ':p')
  return (vim.fn.filereadable(path) == 1 or vim.fn.bufloaded(path) == 1) and path
end

-- The protocol's form of a name, or nil: there is no such file.
local function file_of(name)
  local path, first, last = is_there(name), nil, nil
  if not path then
    local plain, lines = name:match('^(.+):(%d[%d-]*)$')
    path = plain and is_there(plain)
    first, last = (lines or ''):match('^(%d+)%-(%d+)$')
    first = first or (lines or ''):match('^%d+$')
    last = last or first
    if not path or not first or tonumber(first) < 1 or tonumber(last) < tonumber(first) then
      return nil
    end
  end
  local range = first and {
    start = { line = first - 1, character = 0 },
    ['end'] = { line = tonumber(last), character = 0 }, -- the beginning of the line behind them
  } or nil
  return { uri = vim.uri_from_fname(path), range = range }
end

-- What `words` begin with, as the protocol has it, and the other words; or nil and what is wrong.
function M.read(words)
  local files = {}
  while words:find('^%+%S') do
    local name
    name, words = take(words)
    local file = file_of(name)
    if not file then
      return nil, ('there is no file %s (a first word with + is a file that goes with it)'):format(name)
    end
    table.insert(files, file)
  end
  return files, words
end

-- The word for lines of a buffer's file, from 1, both included.
function M.word_for(buffer, first, last)
  local name = vim.fn.fnamemodify(vim.api.nvim_buf_get_name(buffer), ':~:.')
  local lines = first == last and first or first .. '-' .. last
  return ('+%s:%s'):format(name:gsub('[\\ ]', '\\%0'), lines)
end

-- What completes a word: names of files behind a plus; for a person's own words nothing.
function M.complete(beginning)
  if not vim.startswith(beginning, '+') then
    return {}
  end
  return vim.tbl_map(function(path)
    return '+' .. vim.fn.fnameescape(path)
  end, vim.fn.getcompletion((take(beginning)), 'file'))
end

-- The same as an 'omnifunc' has it.
function M.omnifunc(finds_start, beginning)
  if finds_start == 0 then
    return M.complete(beginning)
  end
  local before = vim.fn.getline('.'):sub(1, vim.fn.col('.') - 1)
  local word = before:gsub('\\.', '__'):match('%S*$')
  return vim.startswith(before:sub(#before - #word + 1), '+') and #before - #word or -3
end

return M
