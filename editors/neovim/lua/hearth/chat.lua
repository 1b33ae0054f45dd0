-- :Hearth chat: a conversation about the code of one buffer, in a split. The first question is the
-- action `ask`, each other one goes on from the answer before. Enter asks, Escape or CTRL-C stops. A
-- question may begin with files that go with it.
local attached = require('hearth.attached')
local client = require('hearth.client')
local config = require('hearth.config')
local jobs = require('hearth.jobs')
local thought = require('hearth.thought')

local M = {}

local prompt = '» '
local bar = vim.fn.exists('+winbar') == 1 and 'winbar' or 'statusline'

-- The conversation that there is, or nil:
--   buffer, about (the code's buffer), place (its lines when it began), job (of the last answer), from
--   (the line, from 0, where that begins), length (in lines)
local chat = nil

local function say(message)
  vim.notify('hearth: ' .. message, vim.log.levels.WARN)
end

local function is_running()
  return chat.job and jobs.runs(chat.job) or chat.asked
end

local function show_state(text)
  for _, window in ipairs(vim.fn.win_findbuf(chat.buffer)) do
    vim.api.nvim_win_set_option(window, bar, ' ' .. text:gsub('%%', '%%%%'))
  end
end

-- The answer so far, above the line that is typed in, which keeps what is typed. Replaces what differs only,
-- so that a fold stays open.
local function write(text)
  local lines = vim.split(text, '\n', { plain = true })
  table.insert(lines, '')
  local present = vim.api.nvim_buf_get_lines(chat.buffer, chat.from, chat.from + chat.length, false)
  local same = 0
  while same < #present and present[same + 1] == lines[same + 1] do
    same = same + 1
  end
  local rest = vim.list_slice(lines, same + 1)
  vim.api.nvim_buf_set_lines(chat.buffer, chat.from + same, chat.from + chat.length, false, rest)
  chat.length = #lines
  vim.bo[chat.buffer].modified = false
  for _, window in ipairs(vim.fn.win_findbuf(chat.buffer)) do
    local at = vim.api.nvim_win_get_cursor(window)
    if at[1] >= chat.from then
      vim.api.nvim_win_set_cursor(window, { vim.api.nvim_buf_line_count(chat.buffer), at[2] })
    end
  end
end

jobs.on_change(function(job)
  if not chat or chat.job ~= job or not vim.api.nvim_buf_is_valid(chat.buffer) then
    return
  end
  show_state(jobs.describe(job))
  local text = thought.text(job, chat.buffer, chat.from + 1)
  if text ~= '' then
    write(text)
  elseif job.state.error then
    write('(' .. job.state.error .. ')')
  end
end)

local function begin_answer(text)
  chat.from, chat.length = vim.api.nvim_buf_line_count(chat.buffer) - 1, 0
  write(text)
end

-- `words`: a question, behind files that go with it.
local function ask(words)
  if not words:find('%S') then
    return
  end
  if is_running() then
    return say('the answer before is not whole yet; CTRL-C stops it')
  end
  local files, question = attached.read(words)
  if not files or question == '' then
    return begin_answer(('(%s)'):format(files and 'a question belongs behind the files' or question))
  end
  local connection = client.of(chat.about)
  if not connection then
    return say(client.why_not(chat.about))
  end
  local conversation = chat
  chat.asked = true
  begin_answer('…')
  show_state('asking')
  local goes_on = chat.job and chat.job.text ~= '' and not chat.job.away
  local command = goes_on and 'hearth.session.followUp' or 'hearth.server.ask'
  local argument = goes_on and { job = chat.job.id, question = question }
    or vim.tbl_extend('force', chat.place, { instruction = question })
  argument.attached = #files > 0 and files or nil
  jobs.claim(connection.id, 'ask', function(job)
    conversation.asked, conversation.job = false, job
  end)
  local params = { command = command, arguments = { argument } }
  client.request(connection, 'workspace/executeCommand', params, nil, function(failure)
    if failure then
      jobs.claim(connection.id, nil)
      conversation.asked = false
      if vim.api.nvim_buf_is_valid(conversation.buffer) then
        write('(' .. failure.message:gsub('^workspace/executeCommand: ', '') .. ')')
      end
    end
  end)
end

local function stop()
  if chat and chat.job and jobs.runs(chat.job) then
    jobs.tell(chat.job.id, 'cancel')
  end
end

local function open_window(buffer)
  local options = config.current.answer
  vim.cmd(options.view == 'vsplit' and 'vertical botright split' or ('botright %dsplit'):format(options.size))
  local window = vim.api.nvim_get_current_win()
  vim.api.nvim_win_set_buf(window, buffer)
  for option, value in pairs({ wrap = true, linebreak = true, number = false, relativenumber = false }) do
    vim.api.nvim_win_set_option(window, option, value)
  end
  thought.fold(window)
end

local function begin(about, place)
  local buffer = vim.api.nvim_create_buf(false, true)
  chat = { buffer = buffer, about = about, place = place, from = 0, length = 0 }
  vim.api.nvim_buf_set_name(buffer, ('hearth://chat/%d/%s'):format(buffer, vim.fn.fnamemodify(vim.api.nvim_buf_get_name(about), ':t')))
  vim.bo[buffer].buftype = 'prompt'
  vim.bo[buffer].bufhidden = 'hide'
  vim.api.nvim_buf_call(buffer, function()
    vim.cmd('silent! setlocal filetype=markdown')
  end)
  vim.fn.prompt_setprompt(buffer, prompt)
  vim.fn.prompt_setcallback(buffer, ask)
  vim.fn.prompt_setinterrupt(buffer, stop)
  vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = buffer, desc = 'hearth: close the chat' })
  for _, key in ipairs({ '<Esc>', '<C-c>' }) do
    vim.keymap.set('n', key, stop, { buffer = buffer, desc = 'hearth: stop the answer' })
  end
  vim.bo[buffer].omnifunc = "v:lua.require'hearth.attached'.omnifunc"
  -- Not worked out as an expression: that may come before what is typed ahead.
  vim.keymap.set('i', '<Tab>', function()
    local completes = attached.omnifunc(1, '') >= 0 and '<C-x><C-o>' or '<Tab>'
    local keys = vim.fn.pumvisible() == 1 and '<C-n>' or completes
    vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes(keys, true, true, true), 'ni', false)
  end, { buffer = buffer, desc = 'hearth: complete the name of a file' })
end

-- A question stands above the line that is typed in, and what goes with one at that line's beginning. Neither
-- replaces the line: Neovim ≥ 0.12 keeps where the next question begins with it.
local function put(question, files)
  local row = vim.api.nvim_buf_line_count(chat.buffer) - 1
  if not vim.startswith(vim.api.nvim_buf_get_lines(chat.buffer, row, row + 1, false)[1], prompt) then
    vim.api.nvim_buf_set_lines(chat.buffer, row, row + 1, false, { prompt })
  end
  if question then
    vim.api.nvim_buf_set_lines(chat.buffer, row, row, false, { prompt .. question })
  elseif files ~= '' then
    vim.api.nvim_buf_set_text(chat.buffer, row, #prompt, row, #prompt, { files .. ' ' })
  end
end

-- Opens the conversation about the current buffer, or goes to it. What it is about are whole lines of that,
-- from 1, both included (without them those around the cursor that belong together); in one that has begun,
-- lines go with the next question. `words` are asked, or where they are files alone, go with it, too.
function M.open(first, last, words)
  local about = vim.api.nvim_get_current_buf()
  local valid = chat and vim.api.nvim_buf_is_valid(chat.buffer)
  if not (valid and (chat.about == about or chat.buffer == about)) then
    if not client.of(about) then
      return say(client.why_not(about))
    end
    begin(about, require('hearth.actions').place(first, last))
  elseif first and chat.about == about then
    words = vim.trim(attached.word_for(about, first, last) .. ' ' .. words)
  end
  local window = vim.fn.win_findbuf(chat.buffer)[1]
  if window then
    vim.api.nvim_set_current_win(window)
  else
    open_window(chat.buffer)
  end
  local files, question = attached.read(words)
  local asks = not files or question ~= ''
  put(asks and words, words)
  if asks then
    ask(words)
  end
  vim.api.nvim_win_set_cursor(0, { vim.api.nvim_buf_line_count(chat.buffer), 0 })
  vim.cmd('startinsert!')
end

return M
