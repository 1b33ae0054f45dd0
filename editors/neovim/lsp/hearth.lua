-- For Neovim ≥ 0.11: vim.lsp.enable('hearth') in place of require('hearth').setup(), and
-- vim.lsp.config('hearth', { cmd = … }) for what is to differ.
return require('hearth').lsp_config()
