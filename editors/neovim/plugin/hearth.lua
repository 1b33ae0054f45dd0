-- The commands. Nothing is loaded before one of them, or require('hearth').setup(), is used.
if vim.g.loaded_hearth then
  return
end
vim.g.loaded_hearth = true

local function command(name, action, options)
  vim.api.nvim_create_user_command(name, action, options)
end

command('Hearth', function(arguments)
  local name, words = arguments.args:match('^(%S*)%s*(.*)$')
  require('hearth.command').run(name, words, arguments.line1, arguments.line2)
end, {
  range = true,
  nargs = '*',
  complete = function(beginning, line)
    return require('hearth.command').complete(beginning, line)
  end,
  desc = 'Everything that hearth does: explain, ask, jobs, pause, …',
})
command('HearthExplain', function(arguments)
  require('hearth').explain(arguments.line1, arguments.line2)
end, { range = true, desc = 'Explain the selected lines' })
command('HearthAction', function(arguments)
  local name, words = arguments.args:match('^(%S+)%s*(.*)$')
  require('hearth').action(arguments.line1, arguments.line2, name, words ~= '' and words or nil)
end, {
  range = true,
  nargs = '*',
  complete = function(beginning, line)
    if line:match('HearthAction%s+%S+%s') then
      return {} -- the person's own words
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
