-- What a model thought before its answer, above it: in a fold that is closed until a person opens it (zo).
local M = {}

local heading = 'Thought:'

-- The job's answer so far, below its thought.
local function above(job)
  local thought = vim.trim(job.thought)
  if thought == '' then
    return job.text, 0
  end
  local shown = heading .. '\n' .. thought
  local _, breaks = shown:gsub('\n', '')
  return shown .. (job.text == '' and '' or '\n\n' .. job.text), breaks + 1
end

-- What a buffer is to show of a job from line `first` on (from 1), its thought folded there.
function M.text(job, buffer, first)
  local text, lines = above(job)
  local folds = vim.tbl_filter(function(fold)
    return fold.first < first
  end, vim.b[buffer].hearth_thoughts or {})
  if lines > 0 then
    table.insert(folds, { first = first, last = first + lines - 1 })
  end
  vim.b[buffer].hearth_thoughts = folds
  return text
end

local function fold_at(line)
  for _, fold in ipairs(vim.b.hearth_thoughts or {}) do
    if line >= fold.first and line <= fold.last then
      return fold
    end
  end
end

-- 'foldexpr' and 'foldtext' of the windows below.
function M.level(line)
  local fold = fold_at(line)
  return fold and (line == fold.first and '>1' or '1') or '0'
end
function M.line() -- always the same: a closed fold is not drawn again when what is in it grows
  return fold_at(vim.v.foldstart) and '▸ Thought (zo opens it)' or vim.fn.foldtext()
end

-- The window shows a buffer with thoughts.
function M.fold(window)
  local options = {
    foldmethod = 'expr',
    foldexpr = "v:lua.require'hearth.thought'.level(v:lnum)",
    foldtext = "v:lua.require'hearth.thought'.line()",
    foldlevel = 0,
    foldenable = true,
  }
  for option, value in pairs(options) do
    vim.api.nvim_win_set_option(window, option, value)
  end
end

return M
