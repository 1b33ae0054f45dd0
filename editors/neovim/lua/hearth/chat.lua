-- :Hearth chat: a conversation about the code of one buffer, in a split. The first question is the
-- action `ask`, each other one goes on from the answer before. Enter asks, Escape or CTRL-C stops.
local client = require('hearth.client')
local config = require('hearth.config')
local jobs = require('hearth.jobs')

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

-- The answer so far, above the line that is typed in, which keeps what is typed.
local function write(text)
  local lines = vim.split(text, '\n', { plain = true })
  table.insert(lines, '')
  vim.api.nvim_buf_set_lines(chat.buffer, chat.from, chat.from + chat.length, false, lines)
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
  if job.text ~= '' then
    write(job.text)
  elseif job.state.error then
    write('(' .. job.state.error .. ')')
  end
end)

local function ask(question)
  if not question:find('%S') then
    return
  end
  if is_running() then
    return say('the answer before is not whole yet; CTRL-C stops it')
  end
  local connection = client.of(chat.about)
  if not connection then
    return say(client.why_not(chat.about))
  end
  local conversation = chat
  chat.asked = true
  chat.from, chat.length = vim.api.nvim_buf_line_count(chat.buffer) - 1, 0
  write('…')
  show_state('asking')
  local goes_on = chat.job and chat.job.text ~= '' and not chat.job.away
  local command = goes_on and 'hearth.session.followUp' or 'hearth.server.ask'
  local argument = goes_on and { job = chat.job.id, question = question }
    or vim.tbl_extend('force', chat.place, { instruction = question })
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
end

-- Opens the conversation about the current buffer, or goes to it; with `question`, asks it. `place`: the
-- argument of an action for what it is about.
function M.open(place, question)
  local about = vim.api.nvim_get_current_buf()
  local valid = chat and vim.api.nvim_buf_is_valid(chat.buffer)
  if not (valid and (chat.about == about or chat.buffer == about)) then
    if not client.of(about) then
      return say(client.why_not(about))
    end
    begin(about, place)
  end
  local window = vim.fn.win_findbuf(chat.buffer)[1]
  if window then
    vim.api.nvim_set_current_win(window)
  else
    open_window(chat.buffer)
  end
  if question then
    local last = vim.api.nvim_buf_line_count(chat.buffer)
    vim.api.nvim_buf_set_lines(chat.buffer, last - 1, last, false, { prompt .. question, prompt })
    ask(question)
  end
  vim.api.nvim_win_set_cursor(0, { vim.api.nvim_buf_line_count(chat.buffer), 0 })
  vim.cmd('startinsert!')
end

return M
