-- The plugin with vim.lsp.enable() in place of setup().
local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
vim.opt.runtimepath:prepend(vim.fn.fnamemodify(here, ':h:h') .. '/editors/neovim')
vim.o.swapfile = false
vim.o.shortmess = vim.o.shortmess .. 'I'
vim.g.loaded_hearth = nil
vim.cmd('filetype plugin indent on')
vim.lsp.config('hearth', { cmd = { vim.env.HEARTH_UNDER_TEST, 'lsp' } })
vim.lsp.enable('hearth')
