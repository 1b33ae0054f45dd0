-- The recipe of editors/README.md for a Neovim without the plugin, word for word.
local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
local readme = table.concat(vim.fn.readfile(vim.fn.fnamemodify(here, ':h:h') .. '/editors/README.md'), '\n')
local recipe = assert(readme:match('without the plugin[^`]*```lua\n(.-)```'), 'editors/README.md has no recipe')
vim.o.swapfile = false
vim.o.shortmess = vim.o.shortmess .. 'I'
vim.cmd('filetype plugin indent on')
assert(loadstring(recipe))()
