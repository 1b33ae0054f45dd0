-- The commands. Nothing is loaded before one of them, or require('hearth').setup(), is used.
if vim.g.loaded_hearth then
  return
end
vim.g.loaded_hearth = true

local function command(name, action, options)
  vim.api.nvim_create_user_command(name, action, options)
end

-- Without a range the function around the cursor is meant.
local function lines(arguments)
  if arguments.range > 0 then
    return arguments.line1, arguments.line2
  end
end

command('Hearth', function(arguments)
  local name, words = arguments.args:match('^(%S*)%s*(.*)$')
  local first, last = lines(arguments)
  require('hearth.command').run(name, words, first, last, arguments.bang)
end, {
  bang = true,
  range = true,
  nargs = '*',
  complete = function(beginning, line)
    return require('hearth.command').complete(beginning, line)
  end,
  desc = 'Everything that hearth does: explain, ask, jobs, pause, …',
})
command('HearthExplain', function(arguments)
  require('hearth').explain(lines(arguments))
end, { range = true, desc = 'Explain the selected lines' })
command('HearthAction', function(arguments)
  local name, words = arguments.args:match('^(%S+)%s*(.*)$')
  local first, last = lines(arguments)
  require('hearth').action(first, last, name, words ~= '' and words or nil)
end, {
  range = true,
  nargs = '*',
  complete = function(beginning, line)
    if line:match('HearthAction%s+%S+%s') then
      return require('hearth.attached').complete(beginning)
    end
    return vim.tbl_filter(function(name)
      return vim.startswith(name, beginning)
    end, require('hearth.actions').names())
  end,
  desc = 'Choose what to do with the selected lines',
})
command('HearthCancel', function()
  require('hearth').cancel()
end, { desc = 'Stop the answer that is being written' })
command('HearthStatus', function()
  require('hearth').status()
end, { desc = 'Show the model and the jobs' })
command('HearthComplete', function()
  require('hearth').request()
end, { desc = 'Ask for an inline completion now' })

-- For mappings: <Plug>(hearth-explain) and so on.
for _, name in ipairs({ 'explain', 'ask', 'edit', 'fix', 'document', 'review', 'chat' }) do
  vim.keymap.set({ 'n', 'x' }, ('<Plug>(hearth-%s)'):format(name), (':Hearth %s<CR>'):format(name), { silent = true })
end
vim.keymap.set({ 'n', 'x' }, '<Plug>(hearth-action)', ':HearthAction<CR>', { silent = true })
for _, name in ipairs({ 'jobs', 'job', 'changes', 'pause', 'resume', 'cancel', 'apply', 'dismiss', 'status' }) do
  vim.keymap.set('n', ('<Plug>(hearth-%s)'):format(name), ('<Cmd>Hearth %s<CR>'):format(name))
end
for name, calls in pairs({
  accept = 'accept', ['accept-word'] = 'accept_word', ['accept-line'] = 'accept_line', hide = 'dismiss', complete = 'request',
}) do
  vim.keymap.set('i', ('<Plug>(hearth-%s)'):format(name), ('<Cmd>lua require("hearth").%s()<CR>'):format(calls))
end
