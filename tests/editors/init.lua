-- What a person who uses hearth has in init.lua, with the program and the plugin under test.
local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
vim.opt.runtimepath:prepend(vim.fn.fnamemodify(here, ':h:h') .. '/editors/neovim')
vim.o.swapfile = false
vim.o.shortmess = vim.o.shortmess .. 'I'
vim.cmd('filetype plugin indent on')
vim.cmd('syntax on')
vim.g.loaded_hearth = nil
require('hearth').setup({ cmd = { vim.env.HEARTH_UNDER_TEST, 'lsp' } })
