-- How ghost text looks: the group HearthGhost, on every Neovim. It is set anew with each colour
-- scheme, and never where the scheme or the user has set it.
local group = vim.api.nvim_create_augroup('hearth_highlight', { clear = true })

local function define()
  -- Neovim's own scheme has no colours for terminals without true colour since 0.10: a comment, and
  -- what Neovim ≥ 0.12 draws inline completions with, cannot be told from the file's text there.
  local comment = vim.api.nvim_get_hl and vim.api.nvim_get_hl(0, { name = 'Comment', link = false })
  if not comment or comment.ctermfg or next(comment.cterm or {}) then
    vim.api.nvim_set_hl(0, 'HearthGhost', { default = true, link = 'Comment' })
  else
    -- A grey in the middle of 256 colours, to be read on black and on white.
    vim.api.nvim_set_hl(0, 'HearthGhost', { default = true, fg = comment.fg, ctermfg = 244 })
  end
  -- Unless it was set to something else than what Neovim itself sets.
  if vim.lsp.inline_completion and vim.api.nvim_get_hl(0, { name = 'ComplHint' }).link == 'NonText' then
    vim.api.nvim_set_hl(0, 'ComplHint', { link = 'HearthGhost' })
  end
end

vim.api.nvim_create_autocmd('ColorScheme', { group = group, callback = define })
define()
