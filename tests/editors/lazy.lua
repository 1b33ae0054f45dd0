-- The plugin is found, and nothing of it is asked for.
local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
vim.opt.runtimepath:prepend(vim.fn.fnamemodify(here, ':h:h') .. '/editors/neovim')
vim.g.loaded_hearth = nil
vim.cmd('filetype plugin indent on')
