-- How ghost text and changes that wait look: the group HearthGhost, and HearthAdded, HearthRemoved
-- and HearthPlace of a diff, on every Neovim. They are set anew with each colour scheme, and never
-- where the scheme or the user has set them.
local group = vim.api.nvim_create_augroup('hearth_highlight', { clear = true })

local function define()
  -- Neovim ≥ 0.10 has colours for the text of a diff, before there were backgrounds only.
  local since_0_10 = vim.fn.hlexists('Added') == 1
  vim.api.nvim_set_hl(0, 'HearthAdded', { default = true, link = since_0_10 and 'Added' or 'DiffAdd' })
  vim.api.nvim_set_hl(0, 'HearthRemoved', { default = true, link = since_0_10 and 'Removed' or 'DiffDelete' })
  vim.api.nvim_set_hl(0, 'HearthPlace', { default = true, link = since_0_10 and 'Changed' or 'Comment' })

  vim.api.nvim_set_hl(0, 'HearthProgress', { default = true, link = 'Comment' })

  -- Neovim's own scheme has no colours for terminals without true colour since 0.10: a comment cannot
  -- be told from the file's text there.
  local comment = vim.api.nvim_get_hl and vim.api.nvim_get_hl(0, { name = 'Comment', link = false })
  if not comment or comment.ctermfg or next(comment.cterm or {}) then
    vim.api.nvim_set_hl(0, 'HearthGhost', { default = true, link = 'Comment' })
  else
    -- A grey in the middle of 256 colours, to be read on black and on white.
    vim.api.nvim_set_hl(0, 'HearthGhost', { default = true, fg = comment.fg, ctermfg = 244 })
  end
end

vim.api.nvim_create_autocmd('ColorScheme', { group = group, callback = define })
define()
